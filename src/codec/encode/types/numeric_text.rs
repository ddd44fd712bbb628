//! Decimal text as `numeric`: any number of digits, exact or refused.

use super::numeric_shape::put_header;
use crate::codec::encode::error::CellReason;
use crate::codec::wire::sign;
use crate::model::pg_type::NumericMod;

/// The display scale that Postgres itself sends with an infinity; it ignores the one that it is sent.
const INFINITY_SCALE: u16 = 0x20;
/// Digits that Postgres keeps before and after the point without a declared precision.
const MAX_WHOLE: i64 = 131_072;
const MAX_FRACTION: i64 = 16_383;
const NOT_A_NUMBER: CellReason = CellReason::NotA("a decimal number");

/// Appends the payload of a decimal number, `NaN` or an infinity.
pub(in crate::codec::encode) fn decimal_text(
    text: &str,
    modifier: Option<NumericMod>,
    out: &mut Vec<u8>,
) -> Result<(), CellReason> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let (negative, number) = match text.as_bytes().first() {
        Some(b'-') => (true, text.trim_start_matches('-')),
        _ => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if text.len() - number.len() > 1 {
        return Err(NOT_A_NUMBER);
    }
    match number.to_ascii_lowercase().as_str() {
        "nan" if !negative => return special(sign::NAN, 0, out),
        // numeric(p,s) holds NaN and no infinity.
        "inf" | "infinity" if modifier.is_some() => return Err(CellReason::NotFinite),
        "inf" | "infinity" => {
            return special(
                if negative { sign::MINUS_INFINITY } else { sign::INFINITY },
                INFINITY_SCALE,
                out,
            );
        }
        _ => {}
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NOT_A_NUMBER)?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    finite(
        negative,
        &digits,
        whole.len() as i64 + i64::from(exponent),
        modifier,
        out,
    )
}

fn special(sign: u16, display_scale: u16, out: &mut Vec<u8>) -> Result<(), CellReason> {
    put_header(out, 0, 0, sign, display_scale);
    Ok(())
}

/// The scale of a column with a modifier, where it holds 0.`digits` x 10^`point` exactly.
fn kept_scale(modifier: NumericMod, digits: &[u8], point: i64) -> Result<i64, CellReason> {
    let scale = i64::from(modifier.scale);
    if !digits.is_empty() && digits.len() as i64 - point > scale {
        return Err(CellReason::Inexact(
            "the value has more fraction digits than the column keeps",
        ));
    }
    if !digits.is_empty() && point > i64::from(modifier.precision) - scale {
        return Err(CellReason::OutOfRange);
    }
    Ok(scale.max(0))
}

/// The number 0.`digits` x 10^`point`.
fn finite(
    negative: bool,
    digits: &[u8],
    point: i64,
    modifier: Option<NumericMod>,
    out: &mut Vec<u8>,
) -> Result<(), CellReason> {
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let trailing = digits[leading..].iter().rev().take_while(|digit| **digit == 0).count();
    let written_scale = (digits.len() as i64 - point).max(0);
    let digits = &digits[leading..digits.len() - trailing];
    let point = point - leading as i64;
    // Fraction digits that carry the value, and those that are shown.
    let needed_scale = if digits.is_empty() {
        0
    } else {
        (digits.len() as i64 - point).max(0)
    };
    let display_scale = match modifier {
        Some(modifier) => kept_scale(modifier, digits, point)?,
        None => written_scale,
    };
    if needed_scale > MAX_FRACTION || display_scale > MAX_FRACTION || point > MAX_WHOLE {
        return Err(CellReason::OutOfRange);
    }
    if digits.is_empty() {
        put_header(out, 0, 0, 0, display_scale as u16);
        return Ok(());
    }
    // Digits are grouped by fours from the point, so the first group may begin with zeros.
    let first_group = (point - 1).div_euclid(4);
    let lead = ((first_group + 1) * 4 - point) as usize;
    let groups = (lead + digits.len()).div_ceil(4);
    put_header(
        out,
        groups as u16,
        first_group as i16,
        if negative { sign::NEGATIVE } else { sign::POSITIVE },
        display_scale as u16,
    );
    for group in 0..groups {
        let value = (0..4).fold(0u16, |value, place| {
            let at = (group * 4 + place).checked_sub(lead);
            value * 10 + at.and_then(|at| digits.get(at)).map_or(0, |digit| u16::from(*digit))
        });
        out.extend_from_slice(&value.to_be_bytes());
    }
    Ok(())
}
