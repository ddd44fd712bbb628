//! A row that cannot be stored, as data and in words.

use std::fmt;

use crate::ingest::error::Facts;

/// A row that cannot be stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its place in the stream, from 0.
    pub place: u64,
    /// The column at fault, where it is one.
    pub column: Option<String>,
    /// What Postgres calls the fault.
    pub sqlstate: String,
    /// The constraint that it breaks.
    pub constraint: Option<String>,
    /// Why, without values.
    pub reason: String,
}

impl BadRow {
    pub(super) fn facts(&self, table: &str) -> Facts {
        Facts {
            sqlstate: Some(self.sqlstate.clone()),
            table: Some(table.to_owned()),
            column: self.column.clone(),
            constraint: self.constraint.clone(),
            row: Some(self.place),
            reason: None,
        }
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of the stream (counted from 0)", self.place)?;
        for (what, name) in [("column", &self.column), ("constraint", &self.constraint)] {
            if let Some(name) = name {
                write!(f, ", {what} {name:?}")?;
            }
        }
        write!(f, ": {} (SQLSTATE {})", self.reason, self.sqlstate)
    }
}

/// Words for bad rows behind the one that is named.
pub(super) fn more_words(more: u64) -> String {
    match more {
        0 => String::new(),
        1 => "; 1 more row that came with it cannot be stored either".to_owned(),
        more => format!("; {more} more rows that came with it cannot be stored either"),
    }
}
