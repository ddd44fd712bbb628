//! `timestamp` and `timestamptz`: microseconds since 2000-01-01 (UTC) as `i64`, from 4713 BC to 294276 AD.
//!
//! A zoned instant in a `timestamp` column is its UTC wall clock and a zoneless one in a `timestamptz` column is read as
//! UTC: what Postgres' own casts do in our sessions, whose time zone is UTC.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, Date32Array, Date64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::lists::child_under;
use crate::codec::encode::rules::Rules;
use crate::codec::encode::source::Source;
use crate::codec::wire::EPOCH_SECONDS;
use crate::literal;
use crate::model::pg_type::PgType;

/// What is finer than a microsecond.
pub(super) const TOO_FINE: CellReason = CellReason::Inexact("the value has nanoseconds, Postgres keeps microseconds");
const FIRST: i64 = -211_813_488_000_000_000;
const END: i64 = 9_223_371_331_200_000_000;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, digits: Option<u8>, options: &EncodeOptions) -> Planned {
    let floor = options.floors_nanoseconds();
    match source.data_type {
        DataType::Timestamp(TimeUnit::Second, _) => from::<TimestampSecondType>(TimeUnit::Second, digits, floor),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            from::<TimestampMillisecondType>(TimeUnit::Millisecond, digits, floor)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            from::<TimestampMicrosecondType>(TimeUnit::Microsecond, digits, floor)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            from::<TimestampNanosecondType>(TimeUnit::Nanosecond, digits, floor)
        }
        DataType::Date32 => bind_as(move |array: Date32Array| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| {
                payload(
                    since_2000(i64::from(values[row]) * 86_400, TimeUnit::Second, false)?,
                    digits,
                )
            })
        }),
        DataType::Date64 => bind_as(move |array: Date64Array| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| {
                payload(since_2000(values[row], TimeUnit::Millisecond, false)?, digits)
            })
        }),
        _ if source.is_text() => from_text(move |text, out| {
            const FORM: &str = "a timestamp in the form YYYY-MM-DD HH:MM:SS";
            if let Some(sign) = literal::infinity(text) {
                let micros = if sign > 0 { i64::MAX } else { i64::MIN };
                out.extend_from_slice(&micros.to_be_bytes());
                return Ok(());
            }
            let instant = literal::timestamp(text).ok_or(CellReason::NotA(FORM))?;
            let seconds = since_2000(instant.seconds, TimeUnit::Second, floor)?;
            let below = micros(instant.nanoseconds, TimeUnit::Nanosecond, floor)?;
            out.extend_from_slice(&payload(
                seconds.checked_add(below).ok_or(CellReason::OutOfRange)?,
                digits,
            )?);
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

/// `arrow.timestamp_with_offset`: the instant; the offset is not kept, as `timestamptz` keeps none.
pub(in crate::codec::encode) fn plan_with_offset(source: &Source<'_>, target: &PgType, rules: &Rules<'_>) -> Planned {
    let DataType::Struct(fields) = source.data_type else {
        return Err(Refused::NoRule);
    };
    let bind = rules.plan(&Source::of(&fields[0]), target)?;
    Ok(Box::new(move |array| {
        let parent = array
            .as_struct_opt()
            .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
        bind(&child_under(parent, 0)?)
    }))
}

fn from<T: ArrowPrimitiveType<Native = i64>>(unit: TimeUnit, digits: Option<u8>, floor: bool) -> Planned {
    bind_as(move |array: PrimitiveArray<T>| {
        let values = array.values().clone();
        fixed(array.nulls(), move |row| {
            payload(since_2000(values[row], unit, floor)?, digits)
        })
    })
}

/// Microseconds of a count of `unit`; `floor` drops what is left of nanoseconds.
pub(in crate::codec::encode) fn micros(count: i64, unit: TimeUnit, floor: bool) -> Result<i64, CellReason> {
    match unit {
        TimeUnit::Second => count.checked_mul(1_000_000).ok_or(CellReason::OutOfRange),
        TimeUnit::Millisecond => count.checked_mul(1_000).ok_or(CellReason::OutOfRange),
        TimeUnit::Microsecond => Ok(count),
        TimeUnit::Nanosecond if floor || count % 1_000 == 0 => Ok(count.div_euclid(1_000)),
        TimeUnit::Nanosecond => Err(TOO_FINE),
    }
}

/// The same microseconds, where a type of `digits` fraction digits keeps them all.
pub(in crate::codec::encode) fn fraction(micros: i64, digits: Option<u8>) -> Result<i64, CellReason> {
    let Some(digits) = digits.filter(|digits| *digits < 6) else {
        return Ok(micros);
    };
    if micros % 10i64.pow(6 - u32::from(digits)) == 0 {
        Ok(micros)
    } else {
        Err(CellReason::Inexact(
            "the value has more fraction digits of a second than the column keeps",
        ))
    }
}

/// Microseconds since 2000-01-01 of a count of `unit` since 1970-01-01. The epoch moves first where the count is coarse:
/// the last instants of Postgres are past the last microsecond that 64 bits count from 1970.
pub(in crate::codec::encode) fn since_2000(count: i64, unit: TimeUnit, floor: bool) -> Result<i64, CellReason> {
    let moved = |epoch: i64, count: i64| count.checked_sub(epoch).ok_or(CellReason::OutOfRange);
    match unit {
        TimeUnit::Second => micros(moved(EPOCH_SECONDS, count)?, unit, floor),
        TimeUnit::Millisecond => micros(moved(EPOCH_SECONDS * 1_000, count)?, unit, floor),
        _ => moved(EPOCH_SECONDS * 1_000_000, micros(count, unit, floor)?),
    }
}

/// Payload for microseconds since 2000-01-01.
pub(in crate::codec::encode) fn payload(micros: i64, digits: Option<u8>) -> Result<[u8; 8], CellReason> {
    if !(FIRST..END).contains(&micros) {
        return Err(CellReason::OutOfRange);
    }
    fraction(micros, digits).map(i64::to_be_bytes)
}
