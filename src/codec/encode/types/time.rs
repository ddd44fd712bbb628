//! `time`: microseconds since midnight as `i64`, 0 to 86400000000 (24:00:00) inclusive.

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};

use super::timestamp::{fraction, micros};
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::codec::wire::DAY_MICROS;
use crate::literal;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, digits: Option<u8>, options: &EncodeOptions) -> Planned {
    let floor = options.floors_nanoseconds();
    match source.data_type {
        DataType::Time32(TimeUnit::Second) => from::<Time32SecondType>(TimeUnit::Second, digits, floor),
        DataType::Time32(TimeUnit::Millisecond) => from::<Time32MillisecondType>(TimeUnit::Millisecond, digits, floor),
        DataType::Time64(TimeUnit::Microsecond) => from::<Time64MicrosecondType>(TimeUnit::Microsecond, digits, floor),
        DataType::Time64(TimeUnit::Nanosecond) => from::<Time64NanosecondType>(TimeUnit::Nanosecond, digits, floor),
        _ if source.is_text() => from_text(move |text, out| {
            let count = literal::time(text).ok_or(CellReason::NotA("a time in the form HH:MM:SS"))?;
            out.extend_from_slice(&payload(micros(count, TimeUnit::Nanosecond, floor)?, digits)?);
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

fn from<T: ArrowPrimitiveType>(unit: TimeUnit, digits: Option<u8>, floor: bool) -> Planned
where
    T::Native: Into<i64>,
{
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed(array.nulls(), move |row| {
            payload(micros(values[row].into(), unit, floor)?, digits)
        })
    })
}

/// Payload for microseconds since midnight.
pub(in crate::codec::encode) fn payload(micros: i64, digits: Option<u8>) -> Result<[u8; 8], CellReason> {
    if !(0..=DAY_MICROS).contains(&micros) {
        return Err(CellReason::OutOfRange);
    }
    fraction(micros, digits).map(i64::to_be_bytes)
}
