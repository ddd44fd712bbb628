//! Why a migration is refused: all reasons at once, each with what to do about it. Pure.

use std::fmt;

use crate::model::class::Class;
use crate::model::ident::{Ident, TableName};

/// Everything that stands in the way of a stream, as one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The table.
    pub table: TableName,
    /// What is wrong, in the order of the stream's columns; never empty.
    pub reasons: Vec<Reason>,
}

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The column, where it is about one.
    pub column: Option<Ident>,
    /// What is wrong.
    pub problem: String,
    /// What to change.
    pub remedy: String,
    /// What kind of failure it is: the table's state, a missing privilege, or the request itself.
    pub class: Class,
}

impl Reason {
    /// A reason about a column.
    pub fn column(column: &Ident, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            column: Some(column.clone()),
            problem: problem.into(),
            remedy: remedy.into(),
            class: Class::Refused,
        }
    }

    /// A reason about the whole table.
    pub fn table(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            column: None,
            problem: problem.into(),
            remedy: remedy.into(),
            class: Class::Refused,
        }
    }

    /// A request that no state of the table could serve.
    pub fn bad_request(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            class: Class::BadRequest,
            ..Self::table(problem, remedy)
        }
    }

    /// A missing privilege.
    pub fn denied(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            class: Class::Denied,
            ..Self::table(problem, remedy)
        }
    }
}

impl Refusal {
    /// The first column that has a reason of its own.
    pub fn column(&self) -> Option<&Ident> {
        self.reasons.iter().find_map(|reason| reason.column.as_ref())
    }

    /// The kind of failure that all reasons share, else that the table's state does not allow it.
    pub fn class(&self) -> Class {
        let first = self.reasons.first().map_or(Class::Refused, |reason| reason.class);
        let shared = self.reasons.iter().all(|reason| reason.class == first);
        if shared { first } else { Class::Refused }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} cannot take this stream: ", self.table)?;
        for (n, reason) in self.reasons.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            if let Some(column) = &reason.column {
                write!(f, "column {:?}: ", column.as_str())?;
            }
            write!(f, "{} ({})", reason.problem, reason.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
