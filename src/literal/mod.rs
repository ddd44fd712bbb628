//! Forms of values outside Arrow and COPY: texts, well-known geometries, Parquet variants. Pure, and knows no column.
//!
//! Texts are read in the forms that have one meaning whatever a server's settings are. Postgres itself reads many more; those
//! that depend on `DateStyle`, a locale or a table of names are refused here rather than guessed.

pub(crate) mod calendar;
pub(crate) mod container;
mod datetime;
pub(crate) mod digits;
pub(crate) mod fulltext;
mod interval;
mod network;
mod pairs;
mod unreadable;
pub(crate) mod variant;
pub(crate) mod wkb;
pub(crate) mod wkt;

pub(crate) use datetime::{date, time, time_with_zone, timestamp};
pub(crate) use interval::interval;
pub(crate) use network::{hardware, network};
pub(crate) use pairs::pairs;
pub(crate) use unreadable::Unreadable;

use std::str::FromStr;

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// The spellings that Postgres takes for a boolean, and their unique beginnings.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match trimmed(text).to_ascii_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Some(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A decimal integer with an optional sign.
pub(crate) fn integer(text: &str) -> Option<i128> {
    trimmed(text).parse().ok()
}

/// A decimal number, `NaN` or an infinity. A number past the type's range is nothing, not an infinity.
pub(crate) fn float<F: FromStr + Into<f64> + Copy>(text: &str) -> Option<F> {
    let text = trimmed(text);
    let value: F = text.parse().ok()?;
    let wide: f64 = value.into();
    let names_infinity = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    if wide.is_infinite() && !names_infinity {
        return None;
    }
    // Postgres refuses a number too small to be told from 0 as well.
    let names_zero = !text
        .split(['e', 'E'])
        .next()?
        .contains(|c: char| ('1'..='9').contains(&c));
    if wide == 0.0 && !names_zero { None } else { Some(value) }
}

/// A place in the write-ahead log: two hexadecimal numbers of up to eight digits, `16/B374D848`.
pub(crate) fn log_place(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |digits: &str| {
        let valid = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| u64::from_str_radix(digits, 16).ok())?
    };
    Some(part(high)? << 32 | part(low)?)
}

/// Whether a date or timestamp is one of the two that are no place in time: 1 for the later, -1 for the earlier.
pub(crate) fn infinity(text: &str) -> Option<i8> {
    match trimmed(text).to_ascii_lowercase().as_str() {
        "infinity" => Some(1),
        "-infinity" => Some(-1),
        _ => None,
    }
}

/// Appends the bytes of an even number of hexadecimal digits.
pub(crate) fn hexadecimal(digits: &str, out: &mut Vec<u8>) -> Option<()> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    for pair in digits.chunks_exact(2) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        out.push((high << 4 | low) as u8);
    }
    Some(())
}

/// Reads decimal digits from the front of `text`: at least one, at most `most`.
fn leading_digits(text: &mut &str, most: usize) -> Option<(u64, usize)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    *text = rest;
    Some((number.parse().ok()?, count))
}

/// Takes `expected` from the front of `text`.
fn token(text: &mut &str, expected: &str) -> Option<()> {
    *text = text.strip_prefix(expected)?;
    Some(())
}

/// A fraction of a second after its point, in nanoseconds; more than nine digits only where those are zeros.
fn fraction(text: &mut &str) -> Option<i64> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (all, rest) = text.split_at(count);
    *text = rest;
    let kept = all.trim_end_matches('0');
    if count == 0 || kept.len() > 9 {
        return None;
    }
    format!("{kept:0<9}").parse().ok()
}
