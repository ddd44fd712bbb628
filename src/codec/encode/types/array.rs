//! Arrays of one dimension (more are `matrix.rs`): a header, then the elements as fields of the element type's own rule.
//!
//! Payload: `i32` dimensions, `i32` whether there are NULLs, `u32` element OID, per dimension `i32` length and `i32`
//! lower bound, the elements row-major. An empty array has no dimensions. The elements of all rows are one column to the
//! element rule, so a list costs no call of its own.

use std::ops::Range;

use arrow::array::Array;
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::codec::encode::column::{
    ColumnEncoder, Encoder, Faults, Planned, Scratch, fits, length_word, put_null, some_nulls,
};
use crate::codec::encode::error::Refused;
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;

const EMPTY_HEADER: usize = 12;
const HEADER: usize = 20;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, element: &PgType, rules: &Rules<'_>) -> Planned {
    if source.is_text() {
        return super::literal::array(element, rules);
    }
    let Some(field) = element_field(source.data_type) else {
        return Err(Refused::NoRule);
    };
    let deep_tensor = matches!(&source.extension, Some(Extension::FixedShapeTensor { shape }) if shape.len() != 1);
    if !is_value(field.data_type(), element) && (deep_tensor || element_field(field.data_type()).is_some()) {
        return super::matrix::plan(source, element, rules);
    }
    let bind_elements = rules.plan(&Source::of(field), element)?;
    let oid = element.oid();
    Ok(Box::new(move |array| {
        let lists = Lists::of(array)?;
        let encoder = bind_elements(&lists.elements)?;
        let element_nulls = some_nulls(lists.elements.logical_nulls().as_ref());
        Ok(Box::new(Arrays {
            lists,
            encoder,
            element_nulls,
            oid,
        }) as Encoder)
    }))
}

/// Whether a list is one value of the element's type, and so no further dimension.
fn is_value(list: &DataType, element: &PgType) -> bool {
    let item = || element_field(list).map(|item| item.data_type());
    match element {
        PgType::Domain(domain) => is_value(list, &domain.base),
        PgType::Vector(_, _) | PgType::HalfVec(_, _) | PgType::SparseVec(_, _) | PgType::Multirange(_) => true,
        // Behind a domain, as only there.
        PgType::Array(_) => true,
        PgType::Point => matches!(item(), Some(DataType::Float32 | DataType::Float64)),
        PgType::Bit(_) | PgType::VarBit(_) => matches!(item(), Some(DataType::Boolean)),
        _ => false,
    }
}

struct Arrays {
    lists: Lists,
    encoder: Encoder,
    element_nulls: Option<NullBuffer>,
    oid: u32,
}

impl Arrays {
    fn is_null(&self, row: usize) -> bool {
        self.lists.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn elements(&self, rows: &Range<usize>) -> Range<usize> {
        self.lists.starts[rows.start]..self.lists.starts[rows.end]
    }

    fn has_nulls(&self, elements: Range<usize>) -> bool {
        self.element_nulls
            .as_ref()
            .is_some_and(|nulls| elements.into_iter().any(|element| nulls.is_null(element)))
    }

    fn put_header(&self, elements: Range<usize>, size: usize, cursor: usize, out: &mut [u8]) {
        out[cursor..cursor + 4].copy_from_slice(&length_word(size));
        let mut header = [0; HEADER];
        header[8..12].copy_from_slice(&self.oid.to_be_bytes());
        if elements.is_empty() {
            out[cursor + 4..cursor + 4 + EMPTY_HEADER].copy_from_slice(&header[..EMPTY_HEADER]);
            return;
        }
        let count = elements.len() as i32;
        header[..4].copy_from_slice(&1i32.to_be_bytes());
        header[4..8].copy_from_slice(&i32::from(self.has_nulls(elements)).to_be_bytes());
        header[12..16].copy_from_slice(&count.to_be_bytes());
        header[16..].copy_from_slice(&1i32.to_be_bytes());
        out[cursor + 4..cursor + 4 + HEADER].copy_from_slice(&header);
    }
}

impl ColumnEncoder for Arrays {
    fn measure(&self, rows: Range<usize>, lengths: &mut [usize], scratch: &mut Scratch, faults: &mut Faults) {
        let elements = self.elements(&rows);
        scratch.marks.clear();
        scratch.marks.resize(elements.len(), 0);
        scratch.children.clear();
        scratch.children.push(Scratch::of(&scratch.meter));
        let mut element_faults = Faults::new(usize::MAX);
        self.encoder.measure(
            elements.clone(),
            &mut scratch.marks,
            &mut scratch.children[0],
            &mut element_faults,
        );
        let mut bad = element_faults.found().iter().peekable();
        for (length, row) in lengths.iter_mut().zip(rows) {
            let list = self.lists.starts[row]..self.lists.starts[row + 1];
            *length += 4;
            if self.is_null(row) {
                continue;
            }
            let sizes = &scratch.marks[list.start - elements.start..list.end - elements.start];
            let size = if list.is_empty() {
                EMPTY_HEADER
            } else {
                HEADER + sizes.iter().sum::<usize>()
            };
            *length += size;
            while let Some((_, reason)) = bad.next_if(|(element, _)| *element < list.end) {
                faults.push(row, reason.clone());
            }
            if let Err(reason) = fits(size) {
                faults.push(row, reason);
            }
        }
    }

    fn write(&self, rows: Range<usize>, cursors: &mut [usize], scratch: &mut Scratch, out: &mut [u8]) {
        let elements = self.elements(&rows);
        // The measured sizes become the elements' cursors.
        let marks = &mut scratch.marks[..elements.len()];
        for (cursor, row) in cursors.iter_mut().zip(rows) {
            if self.is_null(row) {
                put_null(cursor, out);
                continue;
            }
            let list = self.lists.starts[row]..self.lists.starts[row + 1];
            let mut next = *cursor + 4 + if list.is_empty() { EMPTY_HEADER } else { HEADER };
            for mark in &mut marks[list.start - elements.start..list.end - elements.start] {
                let size = *mark;
                *mark = next;
                next += size;
            }
            self.put_header(list, next - *cursor - 4, *cursor, out);
            *cursor = next;
        }
        self.encoder.write(elements, marks, &mut scratch.children[0], out);
    }
}
