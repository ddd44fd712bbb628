//! A time span in the text form of Go's `time.ParseDuration`: `500ms`, `60s`, `1m30s`, `1.5h`.
//!
//! The form is CloudQuery's (`batch_timeout: 60s`), and every time span of our own options uses it too, so that a
//! reader meets one notation. A bare number is refused, because nobody can tell its unit. Pure: no clock.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a duration must look like, for error messages.
pub const DURATION_FORM: &str = "a duration such as 500ms, 60s or 1m30s";

/// A non-negative span of time, read and written in Go's notation. At most about 292 years, as in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(Duration);

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, no unit, an unknown unit, or something after the end.
    #[error("{0:?} is not {DURATION_FORM}")]
    Malformed(String),
    /// A leading minus sign.
    #[error("{0:?} is negative; write {DURATION_FORM}")]
    Negative(String),
    /// More than Go's `time.Duration` (2^63 - 1 ns) can hold.
    #[error("{0:?} is longer than 292 years")]
    TooLong(String),
}

impl GoDuration {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The span as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// True for a span of length zero, which several options read as "no limit".
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for GoDuration {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

/// Nanoseconds per unit, longest spelling first so that `ms` is not read as `m`.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let malformed = || DurationError::Malformed(text.to_owned());
        if text.starts_with('-') {
            return Err(DurationError::Negative(text.to_owned()));
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if rest.is_empty() {
            return Err(malformed());
        }
        let mut total: u128 = 0;
        while !rest.is_empty() {
            let (span, after) = component(rest).ok_or_else(malformed)?;
            total = total.saturating_add(span);
            rest = after;
        }
        if total > i64::MAX as u128 {
            return Err(DurationError::TooLong(text.to_owned()));
        }
        let nanoseconds = u64::try_from(total).map_err(|_| malformed())?;
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }
}

/// Reads one `<number><unit>` and returns its length in nanoseconds and what follows.
fn component(text: &str) -> Option<(u128, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .filter(|end| *end > 0)?;
    let (number, rest) = text.split_at(end);
    let (unit, per_unit) = UNITS
        .iter()
        .filter(|(unit, _)| rest.starts_with(unit))
        .max_by_key(|(unit, _)| unit.len())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.saturating_mul(*per_unit);
    let mut scale = *per_unit;
    // Digits below a nanosecond carry no information and are dropped, as Go does.
    for digit in fraction.bytes() {
        scale /= 10;
        nanoseconds = nanoseconds.saturating_add(u128::from(digit - b'0').saturating_mul(scale));
    }
    Some((nanoseconds, rest.strip_prefix(unit)?))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        if nanoseconds == 0 {
            return f.write_str("0s");
        }
        let mut rest = nanoseconds;
        for (unit, length) in [("h", 3_600_000_000_000), ("m", 60_000_000_000)] {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        for (unit, length) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)] {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for GoDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "duration-go",
            "pattern": "^\\+?(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_sum_of_units_is_read() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500_000_000),
            ("60s", 60_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("7µs", 7_000),
            ("+2s", 2_000_000_000),
        ] {
            let span: GoDuration = text.parse().unwrap();
            assert_eq!(span.get().as_nanos(), nanoseconds, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_duration_is_refused_with_the_form_that_is() {
        for text in ["", "60", "s", ".s", "1.2.3s", "1 s", "5d", "1s-2s", "1m30"] {
            let error = text.parse::<GoDuration>().unwrap_err();
            assert_eq!(error, DurationError::Malformed(text.to_owned()));
            assert!(error.to_string().contains("500ms, 60s or 1m30s"), "{error}");
        }
        assert_eq!(
            "-1s".parse::<GoDuration>().unwrap_err(),
            DurationError::Negative("-1s".to_owned())
        );
        assert_eq!(
            "3000000h".parse::<GoDuration>().unwrap_err(),
            DurationError::TooLong("3000000h".to_owned())
        );
    }

    #[test]
    fn display_parses_back_to_the_same_span() {
        for nanoseconds in [0, 1, 999, 1_500_000, 61_000_000_000, 3_723_004_005_006] {
            let span = GoDuration::from(Duration::from_nanos(nanoseconds));
            assert_eq!(span.to_string().parse::<GoDuration>().unwrap(), span);
        }
        assert_eq!(GoDuration::from_secs(90).to_string(), "1m30s");
        assert_eq!(GoDuration::from_millis(1500).to_string(), "1s500ms");
    }
}
