//! `bytea`: the bytes as they are, from binaries of any layout.

use arrow::array::{BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray};
use arrow::datatypes::DataType;

use super::text::copied;
use crate::codec::encode::cells::{AnyBytes, from_text};
use crate::codec::encode::column::Planned;
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal;

pub(in crate::codec::encode) fn plan(source: &Source<'_>) -> Planned {
    match source.data_type {
        DataType::Binary => copied::<BinaryArray, _>(None, AnyBytes),
        DataType::LargeBinary => copied::<LargeBinaryArray, _>(None, AnyBytes),
        DataType::BinaryView => copied::<BinaryViewArray, _>(None, AnyBytes),
        DataType::FixedSizeBinary(_) => copied::<FixedSizeBinaryArray, _>(None, AnyBytes),
        _ if source.is_text() => from_text(|text, out| {
            const FORM: CellReason = CellReason::NotA(r"\x and hexadecimal digits");
            match text.strip_prefix("\\x") {
                Some(digits) => literal::hexadecimal(digits, out).ok_or(FORM),
                None if text.is_empty() => Ok(()),
                None => Err(FORM),
            }
        }),
        _ => Err(Refused::NoRule),
    }
}
