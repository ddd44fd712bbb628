//! Arrays: `i32` dimensions, `i32` whether there are NULLs, `u32` element OID, per dimension `i32` length and `i32` lower
//! bound, then the elements as fields, row-major. An empty array has no dimensions.
//!
//! A Postgres array type says nothing about dimensions: each value has its own. A list type says how many it can hold, so
//! a value of another number of dimensions, or one that does not start at 1, is refused and never flattened: but into a
//! tensor, whose field says the lengths of the dimensions that its one list has.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{ArrayRef, FixedSizeListArray, GenericListArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;

use super::vector::offsets;
use crate::codec::decode::column::{ColumnDecoder, Decoder, PlanPart, Planned, append};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::MAX_DIMENSIONS;
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;

/// A NULL element is a length word.
const LEAST_ELEMENT: usize = 4;

pub(in crate::codec::decode) fn plan(element: &PgType, field: &Field, plan_part: PlanPart) -> Planned {
    if let Some(Extension::FixedShapeTensor { shape }) = Extension::of(field)
        && let (Some(level), DataType::FixedSizeList(item, _)) = (Level::of(field.data_type()), field.data_type())
    {
        let child = plan_part(element, item)?;
        return Ok(Box::new(Arrays {
            levels: vec![level],
            shape: Some(shape),
            child,
        }));
    }
    let mut levels = Vec::new();
    let mut innermost = field;
    while let Some(level) = Level::of(innermost.data_type()) {
        levels.push(level);
        innermost = match innermost.data_type() {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => item,
            _ => break,
        };
        // A list of vectors has a list type as its element: the levels end where the element's own rule begins.
        if let Ok(child) = plan_part(element, innermost) {
            return arrays(levels, child);
        }
    }
    Err(Refused::NoRule)
}

fn arrays(levels: Vec<Level>, child: Decoder) -> Planned {
    let fixed_inside = levels.len() > 1 && levels.iter().any(|level| matches!(level.form, Form::Fixed(_)));
    if fixed_inside || levels.len() > MAX_DIMENSIONS {
        return Err(Refused::Because(
            "lists of lists are read as List and LargeList, up to six levels".to_owned(),
        ));
    }
    Ok(Box::new(Arrays {
        levels,
        shape: None,
        child,
    }))
}

enum Form {
    List,
    Large,
    Fixed(usize),
}

/// One level of a list type.
struct Level {
    form: Form,
    item: FieldRef,
    ends: Vec<usize>,
    /// Only lists of the outermost level can be NULL.
    nulls: NullBufferBuilder,
}

impl Level {
    fn of(data_type: &DataType) -> Option<Self> {
        let (form, item) = match data_type {
            DataType::List(item) => (Form::List, item),
            DataType::LargeList(item) => (Form::Large, item),
            DataType::FixedSizeList(item, size) => (Form::Fixed(usize::try_from(*size).ok()?), item),
            _ => return None,
        };
        Some(Self {
            form,
            item: item.clone(),
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        })
    }

    fn push(&mut self, length: usize) -> Result<(), Fault> {
        if let Form::Fixed(size) = self.form
            && size != length
        {
            return Err(Fault::WrongLength {
                found: length,
                expected: size,
                unit: "elements",
            });
        }
        self.ends.push(self.ends.last().copied().unwrap_or(0) + length);
        self.nulls.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) -> usize {
        let fill = if let Form::Fixed(size) = self.form { size } else { 0 };
        self.ends.push(self.ends.last().copied().unwrap_or(0) + fill);
        self.nulls.append_null();
        fill
    }

    fn finish(&mut self, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let nulls = self.nulls.finish();
        let item = self.item.clone();
        Ok(match self.form {
            Form::List => Arc::new(GenericListArray::<i32>::try_new(item, offsets(&ends)?, values, nulls)?),
            Form::Large => Arc::new(GenericListArray::<i64>::try_new(item, offsets(&ends)?, values, nulls)?),
            Form::Fixed(size) => {
                let size = i32::try_from(size).map_err(|_| ArrowError::OffsetOverflowError(size))?;
                let rows = ends.len() - 1;
                Arc::new(FixedSizeListArray::try_new_with_length(
                    item, size, values, nulls, rows,
                )?)
            }
        })
    }
}

struct Arrays {
    levels: Vec<Level>,
    /// The dimensions of a tensor, all of which are in one level.
    shape: Option<Vec<usize>>,
    child: Decoder,
}

impl Arrays {
    /// Lengths of the dimensions; none for an empty array.
    fn dimensions(&self, cursor: &mut Cursor<'_>) -> Result<Vec<usize>, Fault> {
        let found = cursor.count()?;
        let _has_nulls = cursor.i32()?;
        let _element_oid = cursor.i32()?;
        let expected = self.shape.as_ref().map_or(self.levels.len(), Vec::len);
        if found != 0 && found != expected {
            return Err(Fault::Dimensions { found, expected });
        }
        let mut lengths = Vec::with_capacity(found);
        for _ in 0..found {
            match cursor.count()? {
                0 => return Err(Fault::Malformed("a dimension of an array is empty")),
                length => lengths.push(length),
            }
            match cursor.i32()? {
                1 => {}
                bound => return Err(Fault::LowerBound(bound)),
            }
        }
        Ok(lengths)
    }

    /// Lengths of the levels: those of the dimensions, or all elements of a tensor of the right shape.
    fn in_levels(&self, lengths: Vec<usize>, elements: usize) -> Result<Vec<usize>, Fault> {
        let Some(shape) = &self.shape else {
            return Ok(lengths);
        };
        let other = shape.iter().zip(&lengths).find(|(expected, found)| expected != found);
        match other {
            Some((expected, found)) => Err(Fault::WrongLength {
                found: *found,
                expected: *expected,
                unit: "elements in a dimension",
            }),
            None => Ok(vec![elements]),
        }
    }
}

impl ColumnDecoder for Arrays {
    fn null(&mut self) -> usize {
        let fill = self.levels.first_mut().map_or(0, Level::push_null);
        let elements: usize = (0..fill).map(|_| self.child.null()).sum();
        4 + elements
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        let mut cursor = Cursor::new(payload);
        let lengths = self.dimensions(&mut cursor)?;
        let elements = lengths.iter().try_fold(1usize, |sum, length| sum.checked_mul(*length));
        let elements = if lengths.is_empty() { Some(0) } else { elements };
        // Before any room is made for them, the elements must be there.
        let elements = elements
            .filter(|count| *count <= cursor.rest().len() / LEAST_ELEMENT)
            .ok_or(Fault::Short)?;
        let lengths = self.in_levels(lengths, elements)?;
        let mut lists = 1;
        let mut bytes = 0;
        for (n, level) in self.levels.iter_mut().enumerate() {
            // An empty array is an empty list at the outermost level, with nothing inside.
            let length = lengths.get(n).copied().unwrap_or(0);
            for _ in 0..lists {
                level.push(length)?;
            }
            bytes += 4 * lists;
            lists *= length;
        }
        let nullable = self.levels.last().is_some_and(|level| level.item.is_nullable());
        for _ in 0..elements {
            bytes += append(&mut *self.child, nullable, cursor.field()?)?;
        }
        cursor.end()?;
        Ok(bytes)
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let mut values = self.child.finish()?;
        for level in self.levels.iter_mut().rev() {
            values = level.finish(values)?;
        }
        Ok(values)
    }
}
