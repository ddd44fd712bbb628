//! Why a migration is refused: all reasons at once, each with what to do about it. Pure.

use std::fmt;

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
    /// Whether a privilege is what is missing.
    pub denied: bool,
}

impl Reason {
    /// A reason about a column.
    pub fn column(column: &Ident, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            column: Some(column.clone()),
            problem: problem.into(),
            remedy: remedy.into(),
            denied: false,
        }
    }

    /// A reason about the whole table.
    pub fn table(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            column: None,
            problem: problem.into(),
            remedy: remedy.into(),
            denied: false,
        }
    }

    /// A missing privilege.
    pub fn denied(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            denied: true,
            ..Self::table(problem, remedy)
        }
    }
}

impl Refusal {
    /// Whether nothing but privileges is missing.
    pub fn is_denied(&self) -> bool {
        self.reasons.iter().all(|reason| reason.denied)
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
