//! `boolean`: one byte, 0 or 1.

use arrow::array::{Array, BooleanArray, Int8Array};
use arrow::datatypes::DataType;

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed_any};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::extension::Extension;

pub(in crate::codec::encode) fn plan(source: &Source<'_>) -> Planned {
    match (source.data_type, &source.extension) {
        (DataType::Boolean, _) => bind_as(|array: BooleanArray| {
            let values = array.values().clone();
            fixed_any(array.nulls(), move |row| [u8::from(values.value(row))])
        }),
        (DataType::Int8, Some(Extension::Bool8)) => bind_as(|array: Int8Array| {
            let values = array.values().clone();
            fixed_any(array.nulls(), move |row| [u8::from(values[row] != 0)])
        }),
        _ if source.is_text() => from_text(|text, out| {
            out.push(u8::from(literal::boolean(text).ok_or(CellReason::NotA("a boolean"))?));
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}
