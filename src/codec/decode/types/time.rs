//! `time`: microseconds since midnight as `i64`, 0 to 86400000000 (24:00:00, which is kept as that number) inclusive.

use arrow::datatypes::{
    DataType, Field, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};

use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::DAY_MICROS;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    let ty = field.data_type();
    match ty {
        DataType::Time32(TimeUnit::Second) => primitive::<Time32SecondType, _>(ty, |payload| small(payload, 1_000_000)),
        DataType::Time32(TimeUnit::Millisecond) => {
            primitive::<Time32MillisecondType, _>(ty, |payload| small(payload, 1_000))
        }
        DataType::Time64(TimeUnit::Microsecond) => primitive::<Time64MicrosecondType, _>(ty, micros),
        DataType::Time64(TimeUnit::Nanosecond) => {
            primitive::<Time64NanosecondType, _>(ty, |payload| Ok(micros(payload)? * 1_000))
        }
        _ => Err(Refused::NoRule),
    }
}

fn micros(payload: &[u8]) -> Result<i64, Fault> {
    let micros = i64::from_be_bytes(exactly(payload)?);
    if (0..=DAY_MICROS).contains(&micros) {
        Ok(micros)
    } else {
        Err(Fault::Malformed("a time is outside the day"))
    }
}

fn small(payload: &[u8], unit_micros: i64) -> Result<i32, Fault> {
    i32::try_from(whole(micros(payload)?, unit_micros)?).map_err(|_| Fault::OutOfRange)
}

/// A count of a larger unit, where nothing is left over.
pub(in crate::codec::decode) fn whole(micros: i64, unit_micros: i64) -> Result<i64, Fault> {
    if micros % unit_micros == 0 {
        Ok(micros / unit_micros)
    } else {
        Err(Fault::Inexact(
            "the value has finer fractions of a second than the type keeps; ask for microseconds",
        ))
    }
}
