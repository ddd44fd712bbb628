//! `time with time zone`: microseconds since midnight as `i64` and seconds *west* of UTC as `i32`.
//!
//! Taken from text with an offset, and from Arrow times as times at UTC.

use arrow::array::Array;
use arrow::datatypes::{DataType, TimeUnit};

use super::time::payload;
use super::timestamp::micros;
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::render::counts;
use crate::codec::encode::source::Source;
use crate::literal;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, digits: Option<u8>, options: &EncodeOptions) -> Planned {
    let floor = options.floors_nanoseconds();
    let put = move |count: i64, unit: TimeUnit, east: i64, out: &mut Vec<u8>| -> Result<(), CellReason> {
        out.extend_from_slice(&payload(micros(count, unit, floor)?, digits)?);
        out.extend_from_slice(&(-east as i32).to_be_bytes());
        Ok(())
    };
    match source.data_type {
        DataType::Time32(unit) | DataType::Time64(unit) => {
            let unit = *unit;
            Ok(Box::new(move |array| {
                let count = counts(array)?;
                Ok(rendered(array.nulls(), move |row, out| put(count(row), unit, 0, out)))
            }))
        }
        _ if source.is_text() => from_text(move |text, out| {
            let (nanoseconds, east) =
                literal::time_with_zone(text).ok_or(CellReason::NotA("a time in the form HH:MM:SS+HH:MM"))?;
            put(nanoseconds, TimeUnit::Nanosecond, east, out)
        }),
        _ => Err(Refused::NoRule),
    }
}
