//! `interval`: microseconds `i64`, days `i32`, months `i32`, kept apart as Arrow keeps them.

use arrow::array::{
    Array, ArrowPrimitiveType, IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalUnit, TimeUnit,
};

use super::timestamp::{TOO_FINE, fraction, micros};
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::interval_limit::{Finest, IntervalLimit};

pub(in crate::codec::encode) fn plan(
    source: &Source<'_>,
    limit: Option<IntervalLimit>,
    options: &EncodeOptions,
) -> Planned {
    let floor = options.floors_nanoseconds();
    let kept = move |micros, days, months| kept(micros, days, months, limit);
    match source.data_type {
        DataType::Duration(TimeUnit::Second) => duration::<DurationSecondType>(TimeUnit::Second, floor, kept),
        DataType::Duration(TimeUnit::Millisecond) => {
            duration::<DurationMillisecondType>(TimeUnit::Millisecond, floor, kept)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            duration::<DurationMicrosecondType>(TimeUnit::Microsecond, floor, kept)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            duration::<DurationNanosecondType>(TimeUnit::Nanosecond, floor, kept)
        }
        DataType::Interval(IntervalUnit::YearMonth) => bind_as(move |array: IntervalYearMonthArray| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| kept(0, 0, values[row]))
        }),
        DataType::Interval(IntervalUnit::DayTime) => bind_as(move |array: IntervalDayTimeArray| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| {
                let value = values[row];
                kept(i64::from(value.milliseconds) * 1_000, value.days, 0)
            })
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => bind_as(move |array: IntervalMonthDayNanoArray| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| {
                let value = values[row];
                kept(
                    micros(value.nanoseconds, TimeUnit::Nanosecond, floor)?,
                    value.days,
                    value.months,
                )
            })
        }),
        _ if source.is_text() => from_text(move |text, out| {
            let read = literal::interval(text).ok_or(CellReason::NotA("an interval"))?;
            if !floor && read.nanoseconds % 1_000 != 0 {
                return Err(TOO_FINE);
            }
            let micros = i64::try_from(read.nanoseconds.div_euclid(1_000)).map_err(|_| CellReason::OutOfRange)?;
            out.extend_from_slice(&kept(micros, read.days, read.months)?);
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

fn duration<T: ArrowPrimitiveType<Native = i64>>(
    unit: TimeUnit,
    floor: bool,
    kept: impl Fn(i64, i32, i32) -> Result<[u8; 16], CellReason> + Copy + Send + Sync + 'static,
) -> Planned {
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed(array.nulls(), move |row| kept(micros(values[row], unit, floor)?, 0, 0))
    })
}

/// Payload of an interval, where the column keeps all of it.
fn kept(micros: i64, days: i32, months: i32, limit: Option<IntervalLimit>) -> Result<[u8; 16], CellReason> {
    const PARTS: CellReason = CellReason::Inexact("the interval has parts that the column does not keep");
    // All ends together are the infinite interval since Postgres 17.
    if matches!(
        (micros, days, months),
        (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN)
    ) {
        return Err(CellReason::OutOfRange);
    }
    let Some(limit) = limit else {
        return Ok(payload(micros, days, months));
    };
    let is_kept = match limit.finest() {
        Finest::Year => months % 12 == 0 && days == 0 && micros == 0,
        Finest::Month => days == 0 && micros == 0,
        Finest::Day => micros == 0,
        Finest::Hour => micros % 3_600_000_000 == 0,
        Finest::Minute => micros % 60_000_000 == 0,
        Finest::Second => true,
    };
    if !is_kept {
        return Err(PARTS);
    }
    Ok(payload(fraction(micros, limit.digits())?, days, months))
}

/// Payload of an interval.
pub(in crate::codec::encode) fn payload(micros: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}
