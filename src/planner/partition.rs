//! Range partitions over a time column: which there should be on a given day. Pure; the day comes from the server.

use super::names;
use super::policy::{PartitionBy, PartitionWidth, Storage};
use crate::model::ident::Ident;

/// How many partitions are kept ready, the current one included.
const AHEAD: usize = 4;

/// A partition to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub name: Ident,
    /// Bounds, the upper one excluded, as midnights in UTC (exact for dates and both kinds of timestamp); `None` is the default partition, which takes what no other takes.
    pub range: Option<(String, String)>,
    /// Its storage parameters, which it does not inherit.
    pub storage: Storage,
}

/// A calendar day (proleptic Gregorian, as Postgres').
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    year: i32,
    month: u32,
    day: u32,
}

/// The partitions that should exist on `today` (`2026-01-02`): the current one, the next three, and the default one, so that
/// no row is without a place.
pub fn wanted(table: &Ident, by: &PartitionBy, today: &str, storage: Storage) -> Vec<Partition> {
    let Some(today) = Day::parse(today) else {
        return Vec::new();
    };
    let mut start = today.floor(by.every);
    let mut partitions = Vec::with_capacity(AHEAD + 1);
    for _ in 0..AHEAD {
        let end = start.next(by.every);
        let name = names::with_suffix(table, &start.suffix(by.every));
        partitions.extend(name.map(|name| Partition {
            name,
            range: Some((start.text(), end.text())),
            storage,
        }));
        start = end;
    }
    let name = names::with_suffix(table, "default");
    partitions.extend(name.map(|name| Partition {
        name,
        range: None,
        storage,
    }));
    partitions
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let year = parts.next()?.parse().ok()?;
        let month = parts.next()?.parse().ok()?;
        let day = parts.next()?.parse().ok()?;
        Some(Self { year, month, day })
    }

    fn floor(self, width: PartitionWidth) -> Self {
        match width {
            PartitionWidth::Day => self,
            PartitionWidth::Month => Self { day: 1, ..self },
            PartitionWidth::Year => Self {
                month: 1,
                day: 1,
                ..self
            },
        }
    }

    fn next(self, width: PartitionWidth) -> Self {
        match width {
            PartitionWidth::Day if self.day < days_in(self.year, self.month) => Self {
                day: self.day + 1,
                ..self
            },
            PartitionWidth::Day | PartitionWidth::Month if self.month < 12 => Self {
                month: self.month + 1,
                day: 1,
                ..self
            },
            _ => Self {
                year: self.year + 1,
                month: 1,
                day: 1,
            },
        }
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02} 00:00:00+00", self.year, self.month, self.day)
    }

    fn suffix(self, width: PartitionWidth) -> String {
        let Self { year, month, day } = self;
        match width {
            PartitionWidth::Day => format!("p{year:04}{month:02}{day:02}"),
            PartitionWidth::Month => format!("p{year:04}{month:02}"),
            PartitionWidth::Year => format!("p{year:04}"),
        }
    }
}

fn days_in(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(every: PartitionWidth, today: &str) -> Vec<String> {
        let by = PartitionBy {
            column: "at".to_owned(),
            every,
        };
        let partitions = wanted(&Ident::new("t").unwrap(), &by, today, Storage::default());
        let text = |partition: Partition| match partition.range {
            Some((from, to)) => format!("{} {from} {to}", partition.name).replace(" 00:00:00+00", ""),
            None => partition.name.to_string(),
        };
        partitions.into_iter().map(text).collect()
    }

    #[test]
    fn days_months_and_years_roll_over() {
        assert_eq!(
            ranges(PartitionWidth::Day, "2028-02-28"),
            [
                "t_p20280228 2028-02-28 2028-02-29",
                "t_p20280229 2028-02-29 2028-03-01",
                "t_p20280301 2028-03-01 2028-03-02",
                "t_p20280302 2028-03-02 2028-03-03",
                "t_default"
            ]
        );
        assert_eq!(
            ranges(PartitionWidth::Month, "2026-11-21")[1],
            "t_p202612 2026-12-01 2027-01-01"
        );
        assert_eq!(
            ranges(PartitionWidth::Year, "2026-11-21")[0],
            "t_p2026 2026-01-01 2027-01-01"
        );
        assert_eq!(
            ranges(PartitionWidth::Day, "2026-12-31")[0],
            "t_p20261231 2026-12-31 2027-01-01"
        );
    }
}
