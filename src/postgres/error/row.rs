//! The row that a failure is about: read out of what the server said, and in words.
//!
//! Postgres' DETAIL is left out, because it can hold values of this and of other rows.

use std::fmt;

use super::Error;
use super::words::message;
use crate::ingest::error::Facts;
use crate::model::class::Class;
use crate::sql::state::verdict;

/// Classes of SQLSTATE that are about data: values, constraints, what triggers and functions of the table raise, limits.
const OF_DATA: [&str; 10] = ["22", "23", "27", "38", "39", "44", "54", "09", "2F", "P0"];

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

impl Error {
    /// Whether a row is at fault, so that the statement may succeed without it. The encoder's faults (a wrong binary image)
    /// are never a row's.
    pub(in crate::postgres) fn blames_row(&self) -> bool {
        self.db().map(|db| db.code().code()).is_some_and(|code| {
            OF_DATA.iter().any(|class| code.starts_with(class)) && verdict(code).0 != Class::Internal
        })
    }

    /// The tuple of a COPY that the server named, from 1.
    pub(in crate::postgres) fn copy_line(&self) -> Option<u64> {
        match self {
            Error::Statement { place, .. } => Some(place.as_ref()?.line),
            _ => None,
        }
    }

    /// What the server said about the row at a place.
    pub(in crate::postgres) fn bad_row(&self, place: u64) -> BadRow {
        let facts = self.facts();
        BadRow {
            place,
            column: facts.column,
            sqlstate: facts.sqlstate.unwrap_or_default(),
            constraint: facts.constraint,
            reason: self.db().map(|db| message(db).into_owned()).unwrap_or_default(),
        }
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
