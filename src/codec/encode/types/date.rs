//! `date`: days since 2000-01-01 as `i32`; valid from 4714-11-24 BC to 5874897-12-31.

use arrow::array::{Array, Date32Array, Date64Array};
use arrow::datatypes::DataType;

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, bind_as, fixed};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::codec::wire::{DAY_MS, EPOCH_DAYS};
use crate::literal;

const FIRST: i64 = -2_451_545;
const LAST: i64 = 2_145_031_948;

pub(in crate::codec::encode) fn plan(source: &Source<'_>) -> Planned {
    match source.data_type {
        DataType::Date32 => bind_as(|array: Date32Array| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| payload(i64::from(values[row])))
        }),
        DataType::Date64 => bind_as(|array: Date64Array| {
            let values = array.values().clone();
            fixed(array.nulls(), move |row| days(values[row]).and_then(payload))
        }),
        _ if source.is_text() => from_text(|text, out| {
            if let Some(sign) = literal::infinity(text) {
                let days = if sign > 0 { i32::MAX } else { i32::MIN };
                out.extend_from_slice(&days.to_be_bytes());
                return Ok(());
            }
            let days = literal::date(text).ok_or(CellReason::NotA("a date in the form YYYY-MM-DD"))?;
            out.extend_from_slice(&payload(days)?);
            Ok(())
        }),
        _ => Err(Refused::NoRule),
    }
}

/// Whole days of an Arrow `Date64`, which the Arrow specification asks to be a multiple of a day.
pub(in crate::codec::encode) fn days(milliseconds: i64) -> Result<i64, CellReason> {
    if milliseconds % DAY_MS == 0 {
        Ok(milliseconds / DAY_MS)
    } else {
        Err(CellReason::Inexact(
            "the date has a time of day, which a date does not keep",
        ))
    }
}

/// Payload for days since 1970-01-01.
pub(in crate::codec::encode) fn payload(unix_days: i64) -> Result<[u8; 4], CellReason> {
    let days = unix_days - i64::from(EPOCH_DAYS);
    if (FIRST..=LAST).contains(&days) {
        Ok((days as i32).to_be_bytes())
    } else {
        Err(CellReason::OutOfRange)
    }
}
