//! `interval`: microseconds `i64`, days `i32`, months `i32`, kept apart as Arrow keeps them; from Postgres 17 on all
//! three at their largest or smallest are the infinities.
//!
//! Arrow's month-day-nano interval counts nanoseconds, so more than 292 years of hours are out of its range. The narrower
//! types are given where a value has nothing in the parts that they lack.

use arrow::array::types::{IntervalDayTime, IntervalMonthDayNano};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Field, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    TimeUnit,
};

use super::time::whole;
use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};

const PARTS: Fault = Fault::Inexact("the interval has parts that the type does not keep; ask for MonthDayNano");

#[derive(Clone, Copy)]
struct Interval {
    micros: i64,
    days: i32,
    months: i32,
}

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    let ty = field.data_type();
    match ty {
        DataType::Interval(IntervalUnit::MonthDayNano) => primitive::<IntervalMonthDayNanoType, _>(ty, |payload| {
            let value = read(payload)?;
            let nanoseconds = value.micros.checked_mul(1_000).ok_or(Fault::OutOfRange)?;
            Ok(IntervalMonthDayNano::new(value.months, value.days, nanoseconds))
        }),
        DataType::Interval(IntervalUnit::DayTime) => primitive::<IntervalDayTimeType, _>(ty, |payload| {
            let value = read(payload)?;
            let milliseconds = i32::try_from(whole(value.micros, 1_000)?).map_err(|_| Fault::OutOfRange)?;
            nothing(value.months == 0)?;
            Ok(IntervalDayTime::new(value.days, milliseconds))
        }),
        DataType::Interval(IntervalUnit::YearMonth) => primitive::<IntervalYearMonthType, _>(ty, |payload| {
            let value = read(payload)?;
            nothing(value.days == 0 && value.micros == 0)?;
            Ok(value.months)
        }),
        DataType::Duration(TimeUnit::Second) => {
            duration::<DurationSecondType>(field, |micros| whole(micros, 1_000_000))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            duration::<DurationMillisecondType>(field, |micros| whole(micros, 1_000))
        }
        DataType::Duration(TimeUnit::Microsecond) => duration::<DurationMicrosecondType>(field, Ok),
        DataType::Duration(TimeUnit::Nanosecond) => {
            duration::<DurationNanosecondType>(field, |micros| micros.checked_mul(1_000).ok_or(Fault::OutOfRange))
        }
        _ => Err(Refused::NoRule),
    }
}

fn duration<T>(field: &Field, count: fn(i64) -> Result<i64, Fault>) -> Planned
where
    T: ArrowPrimitiveType<Native = i64>,
{
    primitive::<T, _>(field.data_type(), move |payload| {
        let value = read(payload)?;
        nothing(value.days == 0 && value.months == 0)?;
        count(value.micros)
    })
}

fn nothing(lost_is_zero: bool) -> Result<(), Fault> {
    if lost_is_zero { Ok(()) } else { Err(PARTS) }
}

fn read(payload: &[u8]) -> Result<Interval, Fault> {
    let mut cursor = Cursor::new(payload);
    let value = Interval {
        micros: cursor.i64()?,
        days: cursor.i32()?,
        months: cursor.i32()?,
    };
    cursor.end()?;
    match (value.micros, value.days, value.months) {
        (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN) => Err(Fault::Infinite),
        _ => Ok(value),
    }
}
