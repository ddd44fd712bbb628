//! `timestamp` and `timestamptz`: microseconds since 2000-01-01 (UTC) as `i64`; the largest and smallest number are the
//! infinities, which no Arrow time stamp has.
//!
//! A `timestamp` read with a zone is taken as UTC and a `timestamptz` read without one is its UTC wall clock, the rules by
//! which such columns are written. The last 23 years of what Postgres can hold (294247 to 294276 AD) are out of range in
//! Arrow's microseconds.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    DataType, Field, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::time::whole;
use crate::postgres::read::decode::column::{Planned, primitive};
use crate::postgres::read::decode::cursor::exactly;
use crate::postgres::read::decode::fault::{Fault, Refused};

/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(in crate::postgres::read::decode) fn plan(field: &Field) -> Planned {
    let DataType::Timestamp(unit, _) = field.data_type() else {
        return Err(Refused::NoRule);
    };
    match unit {
        TimeUnit::Second => of::<TimestampSecondType>(field, |micros| whole(micros, 1_000_000)),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(field, |micros| whole(micros, 1_000)),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(field, Ok),
        TimeUnit::Nanosecond => {
            of::<TimestampNanosecondType>(field, |micros| micros.checked_mul(1_000).ok_or(Fault::OutOfRange))
        }
    }
}

fn of<T>(field: &Field, count: fn(i64) -> Result<i64, Fault>) -> Planned
where
    T: ArrowPrimitiveType<Native = i64>,
{
    primitive::<T, _>(field.data_type(), move |payload| {
        match i64::from_be_bytes(exactly(payload)?) {
            i64::MAX | i64::MIN => Err(Fault::Infinite),
            micros => count(micros.checked_add(EPOCH_MICROS).ok_or(Fault::OutOfRange)?),
        }
    })
}
