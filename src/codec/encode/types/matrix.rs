//! Arrays of more dimensions, from lists of lists and from fixed-shape tensors.
//!
//! A Postgres array is rectangular and has no NULL but at its leaves: a row whose inner lists differ in length or are
//! NULL is refused. Payload as in `array.rs`, with one length and lower bound per dimension.

use std::ops::Range;

use arrow::array::Array;
use arrow::buffer::NullBuffer;
use arrow::datatypes::Field;

use crate::codec::encode::column::{
    ColumnEncoder, Encoder, Faults, Planned, Scratch, fits, length_word, put_null, some_nulls,
};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::codec::wire::MAX_DIMENSIONS;
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;

const EMPTY_HEADER: usize = 12;

/// Plans lists at least two deep, and tensors of at least two dimensions.
pub(in crate::codec::encode) fn plan(source: &Source<'_>, element: &PgType, rules: &Rules<'_>) -> Planned {
    let Leaf { field, lists, shape } = leaf(source).ok_or(Refused::NoRule)?;
    let depth = lists - 1 + shape.as_ref().map_or(1, Vec::len);
    if depth > MAX_DIMENSIONS {
        return Err(Refused::Because(format!(
            "{depth} dimensions, Postgres has at most {MAX_DIMENSIONS}"
        )));
    }
    let bind_leaves = rules.plan(&Source::of(field), element)?;
    let oid = element.oid();
    Ok(Box::new(move |array| {
        let outer = Lists::of(array)?;
        let mut inner = Vec::new();
        let mut leaves = outer.elements.clone();
        for _ in 1..lists {
            let lists = Lists::of(&leaves)?;
            leaves = lists.elements.clone();
            inner.push(lists);
        }
        let encoder = bind_leaves(&leaves)?;
        let leaf_nulls = some_nulls(leaves.logical_nulls().as_ref());
        Ok(Box::new(Matrices {
            outer,
            inner,
            shape: shape.clone(),
            encoder,
            leaf_nulls,
            oid,
        }) as Encoder)
    }))
}

/// What is below all list levels.
struct Leaf<'a> {
    field: &'a Field,
    lists: usize,
    /// The dimensions that the innermost list stands for, where it is a tensor.
    shape: Option<Vec<usize>>,
}

fn leaf<'a>(source: &Source<'a>) -> Option<Leaf<'a>> {
    let tensor = |extension| match extension {
        Some(Extension::FixedShapeTensor { shape }) => Some(shape),
        _ => None,
    };
    let mut leaf = Leaf {
        field: element_field(source.data_type)?,
        lists: 1,
        shape: tensor(source.extension.clone()),
    };
    while leaf.shape.is_none()
        && let Some(inner) = element_field(leaf.field.data_type())
    {
        leaf.shape = tensor(Extension::of(leaf.field));
        leaf.field = inner;
        leaf.lists += 1;
    }
    Some(leaf)
}

struct Matrices {
    outer: Lists,
    /// The lists below the outermost, from the outside in.
    inner: Vec<Lists>,
    shape: Option<Vec<usize>>,
    encoder: Encoder,
    leaf_nulls: Option<NullBuffer>,
    oid: u32,
}

impl Matrices {
    fn is_null(&self, row: usize) -> bool {
        self.outer.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The leaves below a range of rows.
    fn leaves(&self, rows: Range<usize>) -> Range<usize> {
        let outer = self.outer.starts[rows.start]..self.outer.starts[rows.end];
        self.inner
            .iter()
            .fold(outer, |range, lists| lists.starts[range.start]..lists.starts[range.end])
    }

    /// Lengths of the dimensions of one row.
    fn dimensions(&self, row: usize) -> Result<Vec<usize>, CellReason> {
        let mut range = self.outer.starts[row]..self.outer.starts[row + 1];
        let mut dimensions = vec![range.len()];
        for lists in &self.inner {
            let mut lengths = range.clone().map(|list| lists.starts[list + 1] - lists.starts[list]);
            let first = lengths.next().unwrap_or(0);
            if lengths.any(|length| length != first) {
                return Err(CellReason::Ragged);
            }
            if lists
                .nulls
                .as_ref()
                .is_some_and(|nulls| range.clone().any(|list| nulls.is_null(list)))
            {
                return Err(CellReason::NullInside(
                    "an inner list is NULL, which a Postgres array cannot hold",
                ));
            }
            dimensions.push(first);
            range = lists.starts[range.start]..lists.starts[range.end];
        }
        if let Some(shape) = &self.shape {
            dimensions.pop();
            dimensions.extend(shape);
        }
        Ok(dimensions)
    }
}

impl ColumnEncoder for Matrices {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults) {
        let leaves = self.leaves(rows.clone());
        scratch.marks.clear();
        scratch.marks.resize(leaves.len(), 0);
        scratch.children.clear();
        scratch.children.push(Scratch::of(&scratch.meter));
        let mut leaf_faults = Faults::new(usize::MAX);
        self.encoder.measure(
            leaves.clone(),
            &mut scratch.marks,
            &mut scratch.children[0],
            &mut leaf_faults,
        );
        let mut bad = leaf_faults.found().iter().peekable();
        for (length, row) in lengths.iter_mut().zip(rows) {
            let own = self.leaves(row..row + 1);
            *length += 4;
            while let Some((_, reason)) = bad.next_if(|(leaf, _)| *leaf < own.end) {
                faults.push(row, reason.clone());
            }
            if self.is_null(row) {
                continue;
            }
            match self.dimensions(row) {
                Ok(dimensions) if own.is_empty() => {
                    // Postgres has one empty array; [[], []] would come back as [].
                    if dimensions[0] > 0 {
                        faults.push(row, CellReason::NotA("a Postgres array: its inner lists are empty"));
                    }
                    *length += EMPTY_HEADER;
                }
                Ok(dimensions) => {
                    let sizes = &scratch.marks[own.start - leaves.start..own.end - leaves.start];
                    let size = EMPTY_HEADER + 8 * dimensions.len() + sizes.iter().sum::<usize>();
                    *length += size;
                    if let Err(reason) = fits(size) {
                        faults.push(row, reason);
                    }
                }
                Err(reason) => faults.push(row, reason),
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        let leaves = self.leaves(rows.clone());
        let marks = &mut scratch.marks[..leaves.len()];
        for (cursor, row) in cursors.iter_mut().zip(rows) {
            if self.is_null(row) {
                put_null(cursor, out);
                continue;
            }
            let own = self.leaves(row..row + 1);
            let dimensions = if own.is_empty() {
                Vec::new()
            } else {
                self.dimensions(row).unwrap_or_default()
            };
            let mut next = *cursor + 4 + EMPTY_HEADER + 8 * dimensions.len();
            for mark in &mut marks[own.start - leaves.start..own.end - leaves.start] {
                let size = *mark;
                *mark = next;
                next += size;
            }
            let has_nulls = self
                .leaf_nulls
                .as_ref()
                .is_some_and(|nulls| own.into_iter().any(|leaf| nulls.is_null(leaf)));
            let mut header = Vec::with_capacity(4 + EMPTY_HEADER + 8 * dimensions.len());
            header.extend_from_slice(&length_word(next - *cursor - 4));
            header.extend_from_slice(&(dimensions.len() as i32).to_be_bytes());
            header.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
            header.extend_from_slice(&self.oid.to_be_bytes());
            for length in dimensions {
                header.extend_from_slice(&(length as i32).to_be_bytes());
                header.extend_from_slice(&1i32.to_be_bytes());
            }
            out[*cursor..*cursor + header.len()].copy_from_slice(&header);
            *cursor = next;
        }
        self.encoder.write(leaves, marks, &mut scratch.children[0], out);
    }
}
