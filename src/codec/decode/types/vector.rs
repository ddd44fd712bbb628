//! pgvector's `vector` and `halfvec`: `i16` dimensions, `i16` zero, the elements as big-endian floats of 32 and 16 bits.
//!
//! Given as a fixed-size list where the column declares its dimensions, as a list where it does not.

use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, FixedSizeListArray, GenericListArray, OffsetSizeTrait, PrimitiveArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float16Type, Float32Type};
use arrow::error::ArrowError;
use half::f16;

use crate::codec::decode::column::{ColumnDecoder, Planned};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};
use crate::model::pg_type::PgType;

pub(in crate::codec::decode) fn plan(ty: &PgType, field: &Field) -> Planned {
    let item = match field.data_type() {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => item,
        _ => return Err(Refused::NoRule),
    };
    match (ty, item.data_type()) {
        (PgType::Vector(..), DataType::Float32) => {
            of::<Float32Type, 4>(field, item, |bytes| f32::from_be_bytes(*bytes))
        }
        (PgType::HalfVec(..), DataType::Float16) => {
            of::<Float16Type, 2>(field, item, |bytes| f16::from_be_bytes(*bytes))
        }
        (PgType::HalfVec(..), DataType::Float32) => {
            of::<Float32Type, 2>(field, item, |bytes| f16::from_be_bytes(*bytes).into())
        }
        _ => Err(Refused::NoRule),
    }
}

fn of<T: ArrowPrimitiveType, const N: usize>(
    field: &Field,
    item: &FieldRef,
    read: fn(&[u8; N]) -> T::Native,
) -> Planned {
    let form = match field.data_type() {
        DataType::FixedSizeList(_, size) => Form::Fixed(usize::try_from(*size).map_err(|_| Refused::NoRule)?),
        DataType::LargeList(_) => Form::Large,
        _ => Form::List,
    };
    Ok(Box::new(Vectors::<T, N> {
        item: item.clone(),
        form,
        elements: Vec::new(),
        ends: vec![0],
        nulls: NullBufferBuilder::new(0),
        read,
    }))
}

enum Form {
    Fixed(usize),
    List,
    Large,
}

struct Vectors<T: ArrowPrimitiveType, const N: usize> {
    item: FieldRef,
    form: Form,
    elements: Vec<T::Native>,
    ends: Vec<usize>,
    nulls: NullBufferBuilder,
    read: fn(&[u8; N]) -> T::Native,
}

impl<T: ArrowPrimitiveType, const N: usize> ColumnDecoder for Vectors<T, N> {
    fn null(&mut self) -> usize {
        self.nulls.append_null();
        let fill = if let Form::Fixed(size) = self.form { size } else { 0 };
        self.elements.resize(self.elements.len() + fill, T::Native::default());
        self.ends.push(self.elements.len());
        4 + fill * N
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        let mut cursor = Cursor::new(payload);
        let dimensions = usize::from(cursor.u16()?);
        cursor.u16()?;
        let bytes = cursor.take(dimensions * N)?;
        cursor.end()?;
        if let Form::Fixed(size) = self.form
            && size != dimensions
        {
            return Err(Fault::WrongLength {
                found: dimensions,
                expected: size,
                unit: "elements",
            });
        }
        let (chunks, _) = bytes.as_chunks::<N>();
        self.elements.extend(chunks.iter().map(self.read));
        self.nulls.append_non_null();
        self.ends.push(self.elements.len());
        Ok(4 + dimensions * size_of::<T::Native>())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let elements = std::mem::take(&mut self.elements);
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let nulls = self.nulls.finish();
        let values: ArrayRef = Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(elements), None));
        let item = self.item.clone();
        match self.form {
            Form::Fixed(size) => {
                let size = i32::try_from(size).map_err(|_| ArrowError::InvalidArgumentError("list size".to_owned()))?;
                let rows = ends.len() - 1;
                // Lists of no elements do not tell how many they are.
                let list = FixedSizeListArray::try_new_with_length(item, size, values, nulls, rows)?;
                Ok(Arc::new(list))
            }
            Form::List => Ok(Arc::new(GenericListArray::<i32>::try_new(
                item,
                offsets(&ends)?,
                values,
                nulls,
            )?)),
            Form::Large => Ok(Arc::new(GenericListArray::<i64>::try_new(
                item,
                offsets(&ends)?,
                values,
                nulls,
            )?)),
        }
    }
}

/// Ends of lists as Arrow's offsets; `ends` starts with 0 and never falls.
pub(in crate::codec::decode) fn offsets<O: OffsetSizeTrait>(ends: &[usize]) -> Result<OffsetBuffer<O>, ArrowError> {
    let offsets = ends.iter().map(|end| O::from_usize(*end)).collect::<Option<Vec<O>>>();
    let offsets = offsets.ok_or(ArrowError::OffsetOverflowError(ends.last().copied().unwrap_or(0)))?;
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}
