//! `timestamp` and `timestamptz`: microseconds since 2000-01-01 (UTC) as `i64`; the largest and smallest number are the
//! infinities, which no Arrow time stamp has.
//!
//! A `timestamp` read with a zone is taken as UTC and a `timestamptz` read without one is its UTC wall clock, the rules by
//! which such columns are written. The last 30 years of what Postgres can hold (294247 to 294276 AD) are out of range in
//! Arrow's microseconds; its milliseconds and seconds hold them.

use arrow::array::ArrowPrimitiveType;
use arrow::datatypes::{
    DataType, Field, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::time::whole;
use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::EPOCH_SECONDS;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    let DataType::Timestamp(unit, _) = field.data_type() else {
        return Err(Refused::NoRule);
    };
    match unit {
        TimeUnit::Second => {
            of::<TimestampSecondType>(field, |micros| since_1970(whole(micros, 1_000_000)?, EPOCH_SECONDS))
        }
        TimeUnit::Millisecond => {
            of::<TimestampMillisecondType>(field, |micros| since_1970(whole(micros, 1_000)?, EPOCH_SECONDS * 1_000))
        }
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(field, unix_micros),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(field, |micros| {
            unix_micros(micros)?.checked_mul(1_000).ok_or(Fault::OutOfRange)
        }),
    }
}

fn unix_micros(micros: i64) -> Result<i64, Fault> {
    since_1970(micros, EPOCH_SECONDS * 1_000_000)
}

/// A count of a unit, of which `epoch` lie between 1970 and 2000. The epoch moves in the unit that was asked for: the last
/// instants of Postgres are past the last microsecond that 64 bits count from 1970, and not past the last millisecond.
fn since_1970(count: i64, epoch: i64) -> Result<i64, Fault> {
    count.checked_add(epoch).ok_or(Fault::OutOfRange)
}

/// `count` makes microseconds since 2000 what the type counts.
fn of<T>(field: &Field, count: fn(i64) -> Result<i64, Fault>) -> Planned
where
    T: ArrowPrimitiveType<Native = i64>,
{
    primitive::<T, _>(field.data_type(), move |payload| {
        match i64::from_be_bytes(exactly(payload)?) {
            i64::MAX | i64::MIN => Err(Fault::Infinite),
            micros => count(micros),
        }
    })
}
