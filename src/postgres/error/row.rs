//! The row that a failure is about, read out of what the server said.
//!
//! Postgres' DETAIL is left out, because it can hold values of this and of other rows.

use super::Error;
use super::bad_row::BadRow;
use super::words::message;
use crate::model::class::Class;
use crate::sql::state::verdict;

/// Classes of SQLSTATE that are about data: values, constraints, what triggers and functions of the table raise, limits.
const OF_DATA: [&str; 10] = ["22", "23", "27", "38", "39", "44", "54", "09", "2F", "P0"];

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
