//! `uuid`: 16 bytes in network order, from 16-byte binaries of any layout.

use crate::postgres::copy::cells::Binaries;
use crate::postgres::copy::column::{Planned, fixed};
use crate::postgres::copy::error::{CellReason, Refused};
use crate::postgres::copy::source::Source;
use arrow::datatypes::DataType;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>) -> Planned {
    match source.data_type {
        DataType::FixedSizeBinary(16) | DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            Ok(Box::new(|array| {
                let cells = Binaries::of(array)?;
                Ok(fixed(array.nulls(), move |row| {
                    let value = cells.get(row);
                    let wrong = CellReason::WrongLength { found: value.len(), expected: 16, unit: "bytes" };
                    <[u8; 16]>::try_from(value).map_err(|_| wrong)
                }))
            }))
        }
        _ => Err(Refused::NoRule),
    }
}
