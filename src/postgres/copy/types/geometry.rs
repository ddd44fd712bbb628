//! PostGIS `geometry` and `geography`: well-known binary, as the type's own receive function reads it.

use arrow::array::{BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray};
use arrow::datatypes::DataType;

use super::text::copied;
use crate::postgres::copy::cells::AnyBytes;
use crate::postgres::copy::column::Planned;
use crate::postgres::copy::error::Refused;
use crate::postgres::copy::source::Source;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>) -> Planned {
    match source.data_type {
        DataType::Binary => copied::<BinaryArray, _>(None, AnyBytes),
        DataType::LargeBinary => copied::<LargeBinaryArray, _>(None, AnyBytes),
        DataType::BinaryView => copied::<BinaryViewArray, _>(None, AnyBytes),
        DataType::FixedSizeBinary(_) => copied::<FixedSizeBinaryArray, _>(None, AnyBytes),
        _ => Err(Refused::NoRule),
    }
}
