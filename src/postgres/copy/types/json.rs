//! `json` and `jsonpath`-like texts, and `jsonb`: a version byte 1 before the same text.

use arrow::array::{BinaryArray, BinaryViewArray, LargeBinaryArray};
use arrow::datatypes::DataType;

use super::text::{copied, layouts};
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;
use crate::postgres::copy::EncodeOptions;
use crate::postgres::copy::cells::{ByteCheck, NoNul, NoNulAnd};
use crate::postgres::copy::column::Planned;
use crate::postgres::copy::error::{CellReason, Refused};
use crate::postgres::copy::source::Source;

/// First byte of a `jsonb` and of a `jsonpath` payload.
const VERSION: u8 = 1;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, target: &PgType, options: &EncodeOptions) -> Planned {
    let prefix = match target {
        PgType::Jsonb | PgType::JsonPath => Some(VERSION),
        _ => None,
    };
    match (source.data_type, &source.extension) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => {
            layouts(source.data_type, prefix, NoNul, options)
        }
        // CloudQuery keeps JSON in binary arrays, whose bytes nobody has checked to be UTF-8.
        (DataType::Binary, Some(Extension::Json)) => copied::<BinaryArray, _>(prefix, utf8()),
        (DataType::LargeBinary, Some(Extension::Json)) => copied::<LargeBinaryArray, _>(prefix, utf8()),
        (DataType::BinaryView, Some(Extension::Json)) => copied::<BinaryViewArray, _>(prefix, utf8()),
        _ => Err(Refused::NoRule),
    }
}

fn utf8() -> impl ByteCheck {
    NoNulAnd(|bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .map(|_| ())
            .map_err(|_| CellReason::NotA("UTF-8"))
    })
}
