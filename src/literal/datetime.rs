//! ISO 8601 dates, times and timestamps as Postgres prints and reads them: `2024-02-29`, `12:34:56.789`,
//! `2024-02-29 12:34:56+05:30`, `0044-03-15 BC`.

use super::{fraction, leading_digits, token, trimmed};
use crate::literal::calendar;

/// An instant, or a wall clock read as UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    /// Seconds since 1970-01-01.
    pub(crate) seconds: i64,
    /// Nanoseconds of the second, never negative.
    pub(crate) nanoseconds: i64,
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, the year with four to seven digits, optionally ` BC`.
pub(crate) fn date(text: &str) -> Option<i64> {
    let (mut text, before) = era(trimmed(text));
    let days = leading_date(&mut text, before)?;
    text.is_empty().then_some(days)
}

/// Nanoseconds since midnight of `HH:MM[:SS[.fraction]]`; `24:00:00` is the end of the day.
pub(crate) fn time(text: &str) -> Option<i64> {
    let mut text = trimmed(text);
    let nanoseconds = leading_time(&mut text)?;
    text.is_empty().then_some(nanoseconds)
}

/// Nanoseconds since midnight, and seconds east of UTC, of a time with its offset.
pub(crate) fn time_with_zone(text: &str) -> Option<(i64, i64)> {
    let mut text = trimmed(text);
    let nanoseconds = leading_time(&mut text)?;
    // Without an offset Postgres would take the session's, so it must be there.
    if text.is_empty() {
        return None;
    }
    let east = leading_offset(&mut text)?;
    text.is_empty().then_some((nanoseconds, east))
}

/// A date and a time after a blank or `T`, or a date alone, and an optional offset (`Z`, `+05:30`, `-03`).
pub(crate) fn timestamp(text: &str) -> Option<Instant> {
    let (mut text, before) = era(trimmed(text));
    let days = leading_date(&mut text, before)?;
    let mut nanoseconds = 0;
    let mut offset = 0;
    if !text.is_empty() {
        text = text.strip_prefix([' ', 'T', 't'])?;
        nanoseconds = leading_time(&mut text)?;
        offset = leading_offset(&mut text)?;
    }
    let seconds = days
        .checked_mul(86_400)?
        .checked_add(nanoseconds / 1_000_000_000)?
        .checked_sub(offset)?;
    text.is_empty().then_some(Instant {
        seconds,
        nanoseconds: nanoseconds % 1_000_000_000,
    })
}

fn era(text: &str) -> (&str, bool) {
    match text.strip_suffix(" BC").or_else(|| text.strip_suffix(" bc")) {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

fn leading_date(text: &mut &str, before: bool) -> Option<i64> {
    let (year, count) = leading_digits(text, 7)?;
    if count < 4 || year == 0 {
        return None;
    }
    token(text, "-")?;
    let (month, month_digits) = leading_digits(text, 2)?;
    token(text, "-")?;
    let (day, day_digits) = leading_digits(text, 2)?;
    if month_digits + day_digits != 4 {
        return None;
    }
    let year = i64::try_from(year).ok()?;
    calendar::days(if before { 1 - year } else { year }, month as u32, day as u32)
}

fn leading_time(text: &mut &str) -> Option<i64> {
    let (hour, hour_digits) = leading_digits(text, 2)?;
    token(text, ":")?;
    let (minute, minute_digits) = leading_digits(text, 2)?;
    let mut second = 0;
    let mut below = 0;
    if token(text, ":").is_some() {
        let (found, second_digits) = leading_digits(text, 2)?;
        if second_digits != 2 {
            return None;
        }
        second = found;
        if token(text, ".").is_some() {
            below = fraction(text)?;
        }
    }
    let end_of_day = hour == 24 && minute == 0 && second == 0 && below == 0;
    if hour_digits + minute_digits != 4 || (hour > 23 && !end_of_day) || minute > 59 || second > 59 {
        return None;
    }
    Some((hour * 3_600 + minute * 60 + second) as i64 * 1_000_000_000 + below)
}

/// Seconds east of UTC.
fn leading_offset(text: &mut &str) -> Option<i64> {
    *text = text.strip_prefix(' ').unwrap_or(text);
    if text.is_empty() || token(text, "Z").is_some() || token(text, "z").is_some() {
        return Some(0);
    }
    let sign = if token(text, "-").is_some() {
        -1
    } else {
        token(text, "+").map(|()| 1)?
    };
    let (hours, count) = leading_digits(text, 2)?;
    if count != 2 || hours > 15 {
        return None;
    }
    let mut seconds = hours * 3_600;
    for unit in [60, 1] {
        if text.is_empty() {
            break;
        }
        token(text, ":").or_else(|| (unit == 60).then_some(()))?;
        let (found, count) = leading_digits(text, 2)?;
        if count != 2 || found > 59 {
            return None;
        }
        seconds += found * unit;
    }
    Some(sign * seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::{Instant, date, time, timestamp};

    #[test]
    fn iso_forms_are_read_and_others_are_not() {
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert_eq!(date("0001-01-01 BC"), Some(-719_528));
        for wrong in [
            "2023-02-29",
            "24-02-29",
            "2024-2-29",
            "29.02.2024",
            "2024-02-29x",
            "",
            "0000-01-01",
        ] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert_eq!(time("12:34:56.789"), Some(45_296_789_000_000));
        assert_eq!(time("24:00"), Some(86_400_000_000_000));
        for wrong in ["24:00:01", "12:60", "12", "1:2:3", "12:34:56.", "12:34:56.1234567891"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn offsets_move_a_timestamp_to_utc() {
        let noon = Some(Instant {
            seconds: 1_709_208_000,
            nanoseconds: 500_000_000,
        });
        for text in [
            "2024-02-29 12:00:00.5",
            "2024-02-29T12:00:00.5Z",
            "2024-02-29 17:30:00.5+05:30",
            "2024-02-29 09:00:00.5-03",
        ] {
            assert_eq!(timestamp(text), noon, "{text}");
        }
        for wrong in [
            "2024-02-29 12:00:00 CET",
            "2024-02-29 12",
            "2024-02-29 12:00:00+5",
            "yesterday",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }
}
