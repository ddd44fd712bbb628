//! The texts of dates, times, timestamps, durations and intervals, in both styles.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{
    DataType, Int64Type, IntervalDayTime, IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, IntervalYearMonthType, TimeUnit,
};

use super::form::{Quoting, Style, Write};
use super::scalar::{Place, Scalar, of, primitive};
use crate::codec::encode::error::WrongArray;
use crate::literal::calendar::{put, put_date, put_fraction, put_time};
use crate::literal::digits::put_whole;

/// A count of 1/10^`digits` seconds, taken apart into days, seconds of the day and the rest.
fn apart(count: i64, digits: u32) -> (i64, i64, i64) {
    let per_second = 10i64.pow(digits);
    let (seconds, sub) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    (seconds.div_euclid(86_400), seconds.rem_euclid(86_400), sub)
}

/// Fraction digits of a second in a unit.
fn digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Writes a count of days since 1970-01-01 as a date.
pub(super) fn put_day(out: &mut Vec<u8>, day: i64) {
    let before = put_date(out, day);
    out.extend_from_slice(if before { b" BC" } else { b"" });
}

/// Writes a count of `unit` since midnight.
pub(super) fn put_time_of_day(out: &mut Vec<u8>, count: i64, unit: TimeUnit) {
    let per_second = 10i64.pow(digits(unit));
    let (seconds, sub) = (count.div_euclid(per_second), count.rem_euclid(per_second));
    put_time(out, seconds, sub, digits(unit) as usize);
}

/// Writes a count of `unit` since 1970-01-01: the date, `between`, the time and `suffix`.
pub(super) fn put_timestamp(out: &mut Vec<u8>, count: i64, unit: TimeUnit, between: u8, suffix: &str) {
    let (day, seconds, sub) = apart(count, digits(unit));
    let before = put_date(out, day);
    out.push(between);
    put_time(out, seconds, sub, digits(unit) as usize);
    out.extend_from_slice(suffix.as_bytes());
    out.extend_from_slice(if before { b" BC" } else { b"" });
}

/// The counts of a temporal array as 64-bit integers.
pub(crate) fn counts(array: &ArrayRef) -> Result<impl Fn(usize) -> i64 + Send + Sync + use<>, WrongArray> {
    let wrong = || WrongArray::Type(array.data_type().clone());
    let target = match array.data_type().primitive_width() {
        Some(4) => DataType::Int32,
        _ => DataType::Int64,
    };
    let data = array
        .to_data()
        .into_builder()
        .data_type(target)
        .build()
        .map_err(|_| wrong())?;
    let wide = arrow::compute::cast(&arrow::array::make_array(data), &DataType::Int64).map_err(|_| wrong())?;
    let values = primitive::<Int64Type>(&wide)?.values().clone();
    Ok(move |row: usize| values[row])
}

pub(super) fn temporal(array: &ArrayRef, style: Style, place: Place) -> Scalar {
    // Postgres prints a timestamp one way as text and the ISO way in JSON.
    let as_text = style == Style::Native && place == Place::Column;
    Ok(Some(match array.data_type().clone() {
        DataType::Date32 | DataType::Date64 => {
            let count = counts(array)?;
            let per_day = if array.data_type() == &DataType::Date64 {
                86_400_000
            } else {
                1
            };
            of(Quoting::Plain, move |row, out| {
                put_day(out, count(row).div_euclid(per_day));
                Ok(())
            })
        }
        DataType::Time32(unit) | DataType::Time64(unit) => {
            let count = counts(array)?;
            of(Quoting::Plain, move |row, out| {
                put_time_of_day(out, count(row), unit);
                Ok(())
            })
        }
        DataType::Timestamp(unit, zone) => {
            let count = counts(array)?;
            let suffix = match (style, zone) {
                (Style::Cloudquery, _) => "Z",
                (Style::Native, Some(_)) if as_text => "+00",
                (Style::Native, Some(_)) => "+00:00",
                (Style::Native, None) => "",
            };
            let between = if as_text { b' ' } else { b'T' };
            of(Quoting::Plain, move |row, out| {
                put_timestamp(out, count(row), unit, between, suffix);
                Ok(())
            })
        }
        DataType::Duration(unit) => {
            let count = counts(array)?;
            of(Quoting::Plain, move |row, out| {
                put_iso(out, 0, 0, i128::from(count(row)) * 10i128.pow(9 - digits(unit)));
                Ok(())
            })
        }
        _ => return Ok(None),
    }))
}

pub(super) fn go_duration(array: &ArrayRef) -> Result<(Quoting, Write), WrongArray> {
    let count = counts(array)?;
    let unit = match array.data_type() {
        DataType::Duration(TimeUnit::Second) => "s",
        DataType::Duration(TimeUnit::Millisecond) => "ms",
        DataType::Duration(TimeUnit::Microsecond) => "us",
        _ => "ns",
    };
    Ok(of(Quoting::Plain, move |row, out| {
        put_whole(out, count(row).into());
        out.extend_from_slice(unit.as_bytes());
        Ok(())
    }))
}

/// ISO 8601 as Postgres writes it (`intervalstyle = iso_8601`), each part with its own sign. Postgres reads a number of
/// seconds as a double, so that many of them without hours and minutes would come back as others.
fn put_iso(out: &mut Vec<u8>, months: i32, days: i32, nanoseconds: i128) {
    const MINUTE: i128 = 60_000_000_000;
    let (hours, minutes) = (nanoseconds / (60 * MINUTE), nanoseconds / MINUTE % 60);
    let seconds = nanoseconds % MINUTE;
    let part = |out: &mut Vec<u8>, number: i128, unit: char| {
        if number != 0 {
            put(out, format_args!("{number}{unit}"));
        }
    };
    out.push(b'P');
    part(out, i128::from(months / 12), 'Y');
    part(out, i128::from(months % 12), 'M');
    part(out, i128::from(days), 'D');
    if nanoseconds != 0 {
        out.push(b'T');
    }
    part(out, hours, 'H');
    part(out, minutes, 'M');
    if seconds != 0 {
        let sign = if seconds < 0 { "-" } else { "" };
        put(out, format_args!("{sign}{}", seconds.unsigned_abs() / 1_000_000_000));
        put_fraction(out, (seconds.unsigned_abs() % 1_000_000_000) as i64, 9);
        out.push(b'S');
    }
    if months == 0 && days == 0 && nanoseconds == 0 {
        out.extend_from_slice(b"T0S");
    }
}

/// A JSON object of numbers.
fn put_members(out: &mut Vec<u8>, members: &[(&str, i64)]) {
    for (at, (name, value)) in members.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        put_whole(out, (*value).into());
    }
    out.push(b'}');
}

pub(super) fn interval(array: &ArrayRef, style: Style, place: Place) -> Result<(Quoting, Write), WrongArray> {
    let native = style == Style::Native;
    let quoting = if native { Quoting::Plain } else { Quoting::Bare };
    Ok(match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            let values = primitive::<IntervalYearMonthType>(array)?.values().clone();
            of(quoting, move |row, out| {
                match (style, place) {
                    (Style::Native, _) => put_iso(out, values[row], 0, 0),
                    (Style::Cloudquery, Place::Column) => put_whole(out, values[row].into()),
                    (Style::Cloudquery, Place::Json) => put(out, format_args!("{{\"months\":{}}}", values[row])),
                }
                Ok(())
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let values = primitive::<IntervalDayTimeType>(array)?.values().clone();
            of(quoting, move |row, out| {
                let IntervalDayTime { days, milliseconds } = values[row];
                if native {
                    put_iso(out, 0, days, i128::from(milliseconds) * 1_000_000);
                } else {
                    put_members(out, &[("days", days.into()), ("milliseconds", milliseconds.into())]);
                }
                Ok(())
            })
        }
        _ => {
            let values = primitive::<IntervalMonthDayNanoType>(array)?.values().clone();
            of(quoting, move |row, out| {
                let IntervalMonthDayNano {
                    months,
                    days,
                    nanoseconds,
                } = values[row];
                if native {
                    put_iso(out, months, days, i128::from(nanoseconds));
                } else {
                    put_members(
                        out,
                        &[
                            ("months", months.into()),
                            ("days", days.into()),
                            ("nanoseconds", nanoseconds),
                        ],
                    );
                }
                Ok(())
            })
        }
    })
}
