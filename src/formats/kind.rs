//! Types of text columns: which type a column of texts can have without altering a value, and the exact conversion.
//!
//! Pure. A type is chosen only if it gives back the very value that the text says: `007` is no number, a number with
//! more digits than a double keeps is no double, a time finer than a microsecond is no timestamp; such columns are
//! text. Conversion applies the same rule to every later row and refuses instead of rounding.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray, StringBuilder};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use super::own_text::{array_text, own_text, unescaped};

/// What a column of texts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Integer,
    /// Integers, of which one has more digits than a double keeps: together with other numbers they are none.
    LongInteger,
    Number,
    Date,
    Timestamp,
    TimestampUtc,
    Text,
    /// A JSON document, kept as its own text (`arrow.json`).
    Json,
    /// What the cell says, for a column whose type is known elsewhere.
    Given,
    /// The same for an array.
    GivenArray,
}

/// How the cells of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Cells are plain texts.
    Csv,
    /// Cells are JSON tokens: strings in quotes and with escapes.
    Json,
}

/// A cell that does not fit its column's kind; the index counts from the start of the block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) row: usize,
}

impl Kind {
    /// The narrowest kind that keeps `cell` exactly.
    pub(crate) fn of(cell: &str, dialect: Dialect) -> Self {
        match dialect {
            Dialect::Csv => Self::of_csv(cell),
            Dialect::Json => match cell.as_bytes().first() {
                Some(b'"') => Self::Text,
                Some(b't' | b'f') => Self::Boolean,
                Some(b'{' | b'[') => Self::Json,
                _ if integer(cell).is_some() => Self::of_integer(cell),
                _ if number(cell).is_some() => Self::Number,
                _ => Self::Json,
            },
        }
    }

    fn of_csv(cell: &str) -> Self {
        if boolean(cell).is_some() {
            Self::Boolean
        } else if integer(cell).is_some() {
            Self::of_integer(cell)
        } else if number(cell).is_some() {
            Self::Number
        } else if date(cell).is_some() {
            Self::Date
        } else if timestamp(cell).is_some() {
            Self::Timestamp
        } else if timestamp_utc(cell).is_some() {
            Self::TimestampUtc
        } else {
            Self::Text
        }
    }

    fn of_integer(cell: &str) -> Self {
        match number(cell) {
            Some(_) => Self::Integer,
            None => Self::LongInteger,
        }
    }

    /// The kind that keeps what both keep.
    pub(crate) fn or(self, other: Self, dialect: Dialect) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Integer, Self::LongInteger) | (Self::LongInteger, Self::Integer) => Self::LongInteger,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            _ if dialect == Dialect::Json => Self::Json,
            _ => Self::Text,
        }
    }

    /// The kind of a column in which no cell had a value.
    pub(crate) fn unknown(dialect: Dialect) -> Self {
        if dialect == Dialect::Json {
            Self::Json
        } else {
            Self::Text
        }
    }

    /// In words, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer | Self::LongInteger => "a 64-bit integer",
            Self::Number => "a double-precision number",
            Self::Date => "a date",
            Self::Timestamp => "a timestamp in microseconds",
            Self::TimestampUtc => "a timestamp with time zone in microseconds",
            Self::Text | Self::Given => "text",
            Self::Json => "JSON",
            Self::GivenArray => "an array",
        }
    }

    /// The Arrow field of a column of this kind; every column may hold NULL.
    pub(crate) fn field(self, name: &str) -> Field {
        let data_type = match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer | Self::LongInteger => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text | Self::Json | Self::Given | Self::GivenArray => DataType::Utf8,
        };
        let field = Field::new(name, data_type, true);
        match self {
            // Canonical extension type "arrow.json" (Arrow format, canonical extensions): storage is UTF-8.
            Self::Json => field.with_metadata([
                ("ARROW:extension:name".to_owned(), "arrow.json".to_owned()),
                ("ARROW:extension:metadata".to_owned(), String::new()),
            ]),
            _ => field,
        }
    }

    /// The column's values, each exactly what its text says.
    pub(crate) fn convert(self, cells: &StringArray, dialect: Dialect) -> Result<ArrayRef, Misfit> {
        Ok(match self {
            Self::Boolean => Arc::new(booleans(cells)?),
            Self::Integer | Self::LongInteger => Arc::new(primitives::<Int64Type>(cells, integer)?),
            Self::Number => Arc::new(primitives::<Float64Type>(cells, number)?),
            Self::Date => Arc::new(primitives::<Date32Type>(cells, date)?),
            Self::Timestamp => Arc::new(primitives::<TimestampMicrosecondType>(cells, timestamp)?),
            Self::TimestampUtc => {
                Arc::new(primitives::<TimestampMicrosecondType>(cells, timestamp_utc)?.with_timezone("UTC"))
            }
            Self::Text if dialect == Dialect::Json => Arc::new(texts(cells, unescaped)?),
            Self::Given if dialect == Dialect::Json => Arc::new(texts(cells, own_text)?),
            Self::GivenArray if dialect == Dialect::Json => Arc::new(texts(cells, array_text)?),
            Self::Text | Self::Json | Self::Given | Self::GivenArray => Arc::new(cells.clone()),
        })
    }
}

fn primitives<T: ArrowPrimitiveType>(
    cells: &StringArray,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>, Misfit> {
    let mut values = PrimitiveArray::<T>::builder(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        match cell {
            None => values.append_null(),
            Some(cell) => values.append_value(parse(cell).ok_or(Misfit { row })?),
        }
    }
    Ok(values.finish())
}

fn booleans(cells: &StringArray) -> Result<BooleanArray, Misfit> {
    let convert = |(row, cell): (usize, Option<&str>)| match cell {
        None => Ok(None),
        Some(cell) => boolean(cell).map(Some).ok_or(Misfit { row }),
    };
    cells.iter().enumerate().map(convert).collect()
}

fn texts(cells: &StringArray, text: impl Fn(&str) -> Option<String>) -> Result<StringArray, Misfit> {
    let mut texts = StringBuilder::with_capacity(cells.len(), cells.value_data().len());
    for (row, cell) in cells.iter().enumerate() {
        match cell {
            None => texts.append_null(),
            Some(cell) => texts.append_value(text(cell).ok_or(Misfit { row })?),
        }
    }
    Ok(texts.finish())
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// An integer in its one canonical form: no plus sign, no leading zero, no negative zero.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

/// A decimal number as JSON writes it, if a double holds exactly its digits.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match unsigned {
        [b'0'] | [b'0', b'.' | b'e' | b'E', ..] | [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let allowed = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    if !unsigned.iter().all(allowed) || unsigned.ends_with(b".") {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // A decimal of up to 15 significant digits always survives the way into a double and back (IEEE 754).
    let plain = unsigned.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if plain && unsigned.len() <= 16 && unsigned.iter().filter(|byte| byte.is_ascii_digit()).count() <= 15 {
        return Some(value);
    }
    (value.is_finite() && significand(text)? == significand(&format!("{value:e}"))?).then_some(value)
}

/// Significant digits and decimal exponent: equal for texts that denote the same number.
fn significand(text: &str) -> Option<(String, i64)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let mut exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent -= i64::try_from(fraction.len()).ok()?;
    let digits = format!("{whole}{fraction}");
    let leading = digits.trim_start_matches('0');
    let bare = leading.trim_end_matches('0');
    exponent += i64::try_from(leading.len() - bare.len()).ok()?;
    Some(if bare.is_empty() {
        (String::new(), 0)
    } else {
        (bare.to_owned(), exponent)
    })
}

/// Whether `text` has the shape of `pattern`, in which `0` stands for any digit.
fn shaped(text: &[u8], pattern: &[u8]) -> bool {
    let fits = |(byte, wanted): (&u8, &u8)| {
        if *wanted == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == wanted
        }
    };
    text.len() == pattern.len() && text.iter().zip(pattern).all(fits)
}

/// The number that two digits make.
fn two(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| text.get(at)?.checked_sub(b'0');
    Some(digit(at)? * 10 + digit(at + 1)?)
}

/// `YYYY-MM-DD`, as days since 1970-01-01. There is no year 0 for Postgres.
fn date(text: &str) -> Option<i32> {
    if shaped(text.as_bytes(), b"0000-00-00") && !text.starts_with("0000") {
        Date32Type::parse(text)
    } else {
        None
    }
}

/// Splits `YYYY-MM-DD[ T]HH:MM:SS[.ffffff]` from what follows it (the zone).
fn clock(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    if !(shaped(head, b"0000-00-00 00:00:00") || shaped(head, b"0000-00-00T00:00:00")) || head.starts_with(b"0000") {
        return None;
    }
    // Arrow reads a leap second as the next minute, and others would read 24:00 as the next day.
    if two(head, 11)? > 23 || two(head, 14)? > 59 || two(head, 17)? > 59 {
        return None;
    }
    let end = match tail.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=6).contains(&digits) {
                return None;
            }
            20 + digits
        }
        _ => 19,
    };
    text.split_at_checked(end)
}

/// A timestamp without zone, in microseconds.
fn timestamp(text: &str) -> Option<i64> {
    match clock(text)? {
        (_, "") => TimestampMicrosecondType::parse(text),
        _ => None,
    }
}

/// A timestamp with `Z` or a numeric zone, in microseconds since the epoch.
fn timestamp_utc(text: &str) -> Option<i64> {
    let (_, zone) = clock(text)?;
    let zone = zone.as_bytes();
    let numeric = |pattern: &[u8]| {
        zone.split_first()
            .is_some_and(|(sign, rest)| matches!(sign, b'+' | b'-') && shaped(rest, pattern))
    };
    if zone != b"Z" && !numeric(b"00:00") && !numeric(b"0000") && !numeric(b"00") {
        return None;
    }
    let minutes = if zone.contains(&b':') { 4 } else { 3 };
    // What Postgres takes for a zone, too.
    if zone != b"Z" && (two(zone, 1)? > 15 || two(zone, minutes).unwrap_or(0) > 59) {
        return None;
    }
    string_to_datetime(&chrono_utc(), text)
        .ok()
        .map(|instant| instant.timestamp_micros())
}

/// The zone that Arrow's parser applies to texts without one; ours all have one.
fn chrono_utc() -> arrow::array::timezone::Tz {
    "+00:00"
        .parse()
        .unwrap_or_else(|_| unreachable!("a constant zone that Arrow's own parser accepts"))
}

#[cfg(test)]
#[path = "kind_tests.rs"]
mod tests;
