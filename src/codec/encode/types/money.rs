//! `money`: minor units as `i64`; how many make one unit of the currency is the server's `lc_monetary`.
//!
//! Integers are minor units, as they are read back. Decimals and decimal text are amounts in units, and text is also taken
//! exactly as this server prints an amount; both need the server's own form, and a text that reads differently as either is
//! refused.

use arrow::array::Array;
use arrow::datatypes::DataType;

use super::int;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, fixed};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::model::money::MoneyForm;
use crate::model::pg_type::PgType;

const TOO_FINE: CellReason = CellReason::Inexact("the amount has more fraction digits than the server's currency");

pub(in crate::codec::encode) fn plan(source: &Source<'_>, form: &MoneyForm) -> Planned {
    if source.data_type.is_integer() {
        return int::plan(source, &PgType::Int8);
    }
    let unknown = || Refused::Because("how the server writes amounts (lc_monetary) is not known".to_owned());
    match source.data_type {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            decimal(source.data_type.clone(), *scale, form.digits().ok_or_else(unknown)?)
        }
        _ if source.is_text() => {
            let digits = form.digits().ok_or_else(unknown)?;
            let form = form.clone();
            from_text(move |text, out| {
                let amount = match (form.read(text), plain(text, digits)) {
                    (Some(printed), None) => printed,
                    (Some(printed), Some(Ok(plain))) if printed == plain => printed,
                    (None, Some(plain)) => plain?,
                    _ => {
                        return Err(CellReason::NotA(
                            "an amount in plain digits or as this server prints it",
                        ));
                    }
                };
                out.extend_from_slice(&amount.to_be_bytes());
                Ok(())
            })
        }
        _ => Err(Refused::NoRule),
    }
}

fn decimal(source: DataType, scale: i8, digits: usize) -> Planned {
    Ok(Box::new(move |array| {
        let values = int::unscaled(array, &source, scale)?;
        Ok(fixed(array.nulls(), move |row| {
            minor(values[row], i32::from(scale), digits).map(i64::to_be_bytes)
        }))
    }))
}

/// Minor units of `number` x 10^-`scale`.
fn minor(number: i128, scale: i32, digits: usize) -> Result<i64, CellReason> {
    let shift = digits as i32 - scale;
    let power = 10i128.checked_pow(shift.unsigned_abs());
    let amount = match power {
        _ if number == 0 => 0,
        Some(power) if shift >= 0 => number.checked_mul(power).ok_or(CellReason::OutOfRange)?,
        None if shift >= 0 => return Err(CellReason::OutOfRange),
        Some(power) if number % power == 0 => number / power,
        _ => return Err(TOO_FINE),
    };
    i64::try_from(amount).map_err(|_| CellReason::OutOfRange)
}

/// Minor units of a plain decimal number: a sign, digits, a point and digits.
fn plain(text: &str, digits: usize) -> Option<Result<i64, CellReason>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    if fraction.len() > digits {
        return Some(Err(TOO_FINE));
    }
    let number: Result<i128, CellReason> = match significant.len() {
        0 => Ok(0),
        1..=38 => significant.parse().map_err(|_| CellReason::OutOfRange),
        _ => Err(CellReason::OutOfRange),
    };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(number.and_then(|number| minor(sign * number, fraction.len() as i32, digits)))
}
