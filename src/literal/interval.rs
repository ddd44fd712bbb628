//! Intervals in the two forms that name their units: ISO 8601 (`P1Y2M3DT4H5M6.7S`, every part with its own sign) and
//! Postgres' own output (`1 year 2 mons -3 days 04:05:06.7`).

use super::{fraction, leading_digits, token, trimmed};

const SECOND: i128 = 1_000_000_000;

/// The three parts of an interval, the last in nanoseconds so that what is too fine can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) nanoseconds: i128,
}

/// Reads an interval.
pub(crate) fn interval(text: &str) -> Option<Interval> {
    let text = trimmed(text);
    match text.strip_prefix('P') {
        Some(rest) => iso(rest),
        None => words(text),
    }
}

impl Interval {
    fn add(&mut self, unit: &str, count: i64) -> Option<()> {
        let narrow = |per: i64| i32::try_from(count.checked_mul(per)?).ok();
        match unit {
            "year" => self.months = self.months.checked_add(narrow(12)?)?,
            "month" => self.months = self.months.checked_add(narrow(1)?)?,
            "week" => self.days = self.days.checked_add(narrow(7)?)?,
            "day" => self.days = self.days.checked_add(narrow(1)?)?,
            "hour" => return self.add_time(count, 3_600 * SECOND),
            "minute" => return self.add_time(count, 60 * SECOND),
            "second" => return self.add_time(count, SECOND),
            _ => return None,
        }
        Some(())
    }

    /// Counts have 18 digits at most, so that no sum of a few leaves 128 bits.
    fn add_time(&mut self, count: i64, per: i128) -> Option<()> {
        self.nanoseconds = self.nanoseconds.checked_add(i128::from(count).checked_mul(per)?)?;
        Some(())
    }
}

fn sign(text: &mut &str) -> i64 {
    if token(text, "-").is_some() {
        return -1;
    }
    *text = text.strip_prefix('+').unwrap_or(text);
    1
}

fn iso(mut text: &str) -> Option<Interval> {
    let mut read = Interval::default();
    let mut in_time = false;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        if !in_time && token(&mut text, "T").is_some() {
            in_time = true;
            if text.is_empty() {
                return None;
            }
        }
        let sign = sign(&mut text);
        let count = sign * i64::try_from(leading_digits(&mut text, 18)?.0).ok()?;
        if in_time && token(&mut text, ".").is_some() {
            let below = fraction(&mut text)?;
            token(&mut text, "S")?;
            read.add_time(sign * below, 1)?;
            read.add("second", count)?;
            continue;
        }
        let mut letters = text.chars();
        let unit = match (letters.next()?, in_time) {
            ('Y', false) => "year",
            ('M', false) => "month",
            ('W', false) => "week",
            ('D', false) => "day",
            ('H', true) => "hour",
            ('M', true) => "minute",
            ('S', true) => "second",
            _ => return None,
        };
        text = letters.as_str();
        read.add(unit, count)?;
    }
    Some(read)
}

fn words(text: &str) -> Option<Interval> {
    let mut read = Interval::default();
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        let mut rest = word;
        let sign = sign(&mut rest);
        if rest.contains(':') {
            clock(&mut read, sign, rest)?;
            continue;
        }
        let count = sign * i64::try_from(leading_digits(&mut rest, 18)?.0).ok()?;
        if rest.is_empty() {
            read.add(unit(words.next()?)?, count)?;
        } else {
            token(&mut rest, ".")?;
            let below = fraction(&mut rest)?;
            if !rest.is_empty() || unit(words.next()?)? != "second" {
                return None;
            }
            read.add_time(sign * below, 1)?;
            read.add("second", count)?;
        }
    }
    Some(read)
}

/// `HH:MM[:SS[.fraction]]`, the hours with any number of digits.
fn clock(read: &mut Interval, sign: i64, mut text: &str) -> Option<()> {
    let hours = i64::try_from(leading_digits(&mut text, 18)?.0).ok()?;
    token(&mut text, ":")?;
    let (minutes, _) = leading_digits(&mut text, 2)?;
    let mut seconds = 0;
    let mut below = 0;
    if token(&mut text, ":").is_some() {
        seconds = leading_digits(&mut text, 2)?.0;
        if token(&mut text, ".").is_some() {
            below = fraction(&mut text)?;
        }
    }
    if !text.is_empty() || minutes > 59 || seconds > 59 {
        return None;
    }
    read.add("hour", sign * hours)?;
    read.add_time(sign * (minutes * 60 + seconds) as i64, SECOND)?;
    read.add_time(sign * below, 1)
}

fn unit(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "year" | "years" => "year",
        "mon" | "mons" | "month" | "months" => "month",
        "week" | "weeks" => "week",
        "day" | "days" => "day",
        "hour" | "hours" => "hour",
        "min" | "mins" | "minute" | "minutes" => "minute",
        "sec" | "secs" | "second" | "seconds" => "second",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Interval, interval};

    #[test]
    fn both_forms_give_the_same_interval() {
        let expected = Some(Interval {
            months: 14,
            days: -3,
            nanoseconds: 3_723_000_004_000,
        });
        for text in [
            "P1Y2M-3DT1H2M3.000004S",
            "1 year 2 mons -3 days 01:02:03.000004",
            "P14M-3DT3723.000004S",
        ] {
            assert_eq!(interval(text), expected, "{text}");
        }
        assert_eq!(interval("-00:00:01.5").unwrap().nanoseconds, -1_500_000_000);
        assert_eq!(interval("PT-1.5S").unwrap().nanoseconds, -1_500_000_000);
    }

    #[test]
    fn forms_without_units_are_refused() {
        for wrong in ["", "5", "P", "PT", "1 fortnight", "P1H", "1.5 days", "01:99", "1 day 5"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }
}
