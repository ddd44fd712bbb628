//! `interval`: microseconds `i64`, days `i32`, months `i32`, kept apart as Arrow keeps them.

use arrow::array::{
    Array, ArrowPrimitiveType, IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalUnit, TimeUnit,
};

use super::timestamp::{TOO_FINE, micros};
use crate::postgres::copy::EncodeOptions;
use crate::postgres::copy::cells::from_text;
use crate::postgres::copy::column::{Planned, bind_as, fixed, fixed_any};
use crate::postgres::copy::error::{CellReason, Refused};
use crate::postgres::copy::parse;
use crate::postgres::copy::source::Source;

pub(in crate::postgres::copy) fn plan(source: &Source<'_>, options: &EncodeOptions) -> Planned {
    let floor = options.floors_nanoseconds();
    match source.data_type {
        DataType::Duration(TimeUnit::Second) => duration::<DurationSecondType>(TimeUnit::Second, floor),
        DataType::Duration(TimeUnit::Millisecond) => duration::<DurationMillisecondType>(TimeUnit::Millisecond, floor),
        DataType::Duration(TimeUnit::Microsecond) => duration::<DurationMicrosecondType>(TimeUnit::Microsecond, floor),
        DataType::Duration(TimeUnit::Nanosecond) => duration::<DurationNanosecondType>(TimeUnit::Nanosecond, floor),
        DataType::Interval(IntervalUnit::YearMonth) => bind_as(|array: IntervalYearMonthArray| {
            let values = array.values().clone();
            fixed_any(array.nulls(), move |row| payload(0, 0, values[row]))
        }),
        DataType::Interval(IntervalUnit::DayTime) => bind_as(|array: IntervalDayTimeArray| {
            let values = array.values().clone();
            fixed_any(array.nulls(), move |row| {
                let value = values[row];
                payload(i64::from(value.milliseconds) * 1_000, value.days, 0)
            })
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => bind_as(move |array: IntervalMonthDayNanoArray| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| {
                let value = values[row];
                Ok(payload(
                    micros(value.nanoseconds, TimeUnit::Nanosecond, floor)?,
                    value.days,
                    value.months,
                ))
            })
        }),
        _ if source.is_text() => from_text(move |text, out| {
            let read = parse::interval(text).ok_or(CellReason::NotA("an interval"))?;
            if !floor && read.nanoseconds % 1_000 != 0 {
                return Err(TOO_FINE);
            }
            let micros = i64::try_from(read.nanoseconds.div_euclid(1_000)).map_err(|_| CellReason::OutOfRange)?;
            out.extend_from_slice(&payload(micros, read.days, read.months));
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

fn duration<T: ArrowPrimitiveType<Native = i64>>(unit: TimeUnit, floor: bool) -> Planned {
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed(array.nulls(), move |row| {
            let micros: Result<i64, CellReason> = micros(values[row], unit, floor);
            Ok(payload(micros?, 0, 0))
        })
    })
}

/// Payload of an interval.
pub(in crate::postgres::copy) fn payload(micros: i64, days: i32, months: i32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    bytes
}
