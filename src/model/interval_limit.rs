//! The modifiers of `interval`: which fields a column keeps, and how many fraction digits of a second.
//!
//! Names of fields as `format_type` prints them; what each keeps is the manual's 8.5.4 and what Postgres does with a value
//! on its way in: fields below the last one named are zeroed, those above stay.

use std::fmt;

/// `interval(2)`, `interval day to hour`, `interval day to second(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntervalLimit {
    /// What stands behind `interval`; empty where only the digits are limited.
    fields: &'static str,
    /// The last of the fields.
    finest: Finest,
    /// Fraction digits of a second, 0 to 6.
    digits: Option<u8>,
}

/// The smallest field that a column keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finest {
    /// Whole years.
    Year,
    /// Whole months.
    Month,
    /// Months and days.
    Day,
    /// Whole hours.
    Hour,
    /// Whole minutes.
    Minute,
    /// Everything.
    Second,
}

const FIELDS: [(&str, Finest); 13] = [
    ("year", Finest::Year),
    ("month", Finest::Month),
    ("day", Finest::Day),
    ("hour", Finest::Hour),
    ("minute", Finest::Minute),
    ("second", Finest::Second),
    ("year to month", Finest::Month),
    ("day to hour", Finest::Hour),
    ("day to minute", Finest::Minute),
    ("day to second", Finest::Second),
    ("hour to minute", Finest::Minute),
    ("hour to second", Finest::Second),
    ("minute to second", Finest::Second),
];

impl IntervalLimit {
    /// Reads the name of a limited interval type; nothing where it is another type, or `interval` alone.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.trim().strip_prefix("interval")?;
        let (fields, digits) = match rest.split_once('(') {
            Some((fields, digits)) => {
                let digits = digits.strip_suffix(')')?.trim().parse::<u8>().ok();
                (fields.trim(), Some(digits.filter(|digits| *digits <= 6)?))
            }
            None => (rest.trim(), None),
        };
        if fields.is_empty() {
            digits?;
            let finest = Finest::Second;
            return Some(Self {
                fields: "",
                finest,
                digits,
            });
        }
        let (fields, finest) = FIELDS.into_iter().find(|(known, _)| *known == fields)?;
        let takes_digits = finest == Finest::Second || digits.is_none();
        takes_digits.then_some(Self { fields, finest, digits })
    }

    /// The smallest field that is kept.
    pub fn finest(&self) -> Finest {
        self.finest
    }

    /// Fraction digits of a second, where they are limited.
    pub fn digits(&self) -> Option<u8> {
        self.digits
    }
}

impl fmt::Display for IntervalLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interval")?;
        if !self.fields.is_empty() {
            write!(f, " {}", self.fields)?;
        }
        match self.digits {
            Some(digits) => write!(f, "({digits})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, Finest, IntervalLimit};

    #[test]
    fn every_limit_is_read_as_it_is_written() {
        let fields = FIELDS.map(|(fields, _)| format!("interval {fields}"));
        for name in fields
            .iter()
            .map(String::as_str)
            .chain(["interval(0)", "interval day to second(3)"])
        {
            assert_eq!(IntervalLimit::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(IntervalLimit::parse("interval(2)").unwrap().finest(), Finest::Second);
        for other in [
            "interval",
            "interval(7)",
            "interval day(2)",
            "interval week",
            "interval(",
            "intervals(2)",
            "time(2)",
        ] {
            assert_eq!(IntervalLimit::parse(other), None, "{other}");
        }
    }
}
