//! Why a table could not be made ready, with the kind of failure that the doors translate.

use std::fmt;
use std::time::Duration;

use crate::model::class::Class;
use crate::model::ident::{Ident, TableName};
use crate::model::rights::NO_RIGHT;
use crate::planner::Refusal;
use crate::planner::plan::BarredChange;
use crate::postgres::catalog::CatalogError;
use crate::postgres::error::driver;

/// Why a table could not be made ready. Its text names table and columns and never a row's values.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The change is not allowed or not possible; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller lacks the right to the change; nothing was changed.
    #[error("table {} would have to be changed ({}), and {}", .0.table, .0.reason, .0.why)]
    Barred(Box<BarredChange>),
    /// Others held locks for longer than the migration may wait; nothing was changed.
    #[error("table {table} could not be locked for its migration within {waited:?}; {}", Blockers(.blockers))]
    LockTimeout {
        /// The table.
        table: TableName,
        /// All waits together.
        waited: Duration,
        /// Who held locks on it.
        blockers: Vec<Blocker>,
    },
    /// Another load is creating or migrating the table in a transaction that has not ended.
    #[error("another load is creating or migrating table {table} and has not finished within {waited:?}; {}; try again", Blockers(.blockers))]
    Busy {
        /// The table.
        table: TableName,
        /// How long was waited.
        waited: Duration,
        /// Who holds the migration lock.
        blockers: Vec<Blocker>,
    },
    /// Some value would not survive the change of its column's type; nothing was changed.
    #[error("table {table}, column {column:?}: not every value survives becoming {to}")]
    Unconvertible {
        /// The table.
        table: TableName,
        /// The column.
        column: Ident,
        /// The type.
        to: String,
    },
    /// A migration did not bring about what it was planned for.
    #[error("the migration of table {table} did not bring the planned shape: {detail}")]
    NotEffective {
        /// The table.
        table: TableName,
        /// What is still missing.
        detail: String,
    },
    /// The catalog could not be read.
    #[error("{}", CatalogWords(.0))]
    Catalog(CatalogError),
    /// Postgres refused a step.
    #[error("table {table}: {doing} failed: {}", driver::words(.source, None))]
    Step {
        /// The table.
        table: TableName,
        /// The step, in words.
        doing: String,
        /// What Postgres said.
        #[source]
        source: tokio_postgres::Error,
    },
}

/// A session that held a lock.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocker {
    /// Backend process.
    pub pid: i32,
    /// Its role, where we may see it.
    pub role: Option<String>,
    /// Its `application_name`.
    pub application: Option<String>,
    /// Its state, e.g. `idle in transaction`.
    pub state: Option<String>,
    /// The lock modes it held.
    pub mode: String,
    /// Age of its transaction in seconds.
    pub seconds: f64,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)?;
        if let Some(application) = self.application.as_deref().filter(|name| !name.is_empty()) {
            write!(f, " {application:?}")?;
        }
        if let Some(role) = &self.role {
            write!(f, " of role {role}")?;
        }
        if let Some(state) = &self.state {
            write!(f, ", {state}")?;
        }
        write!(f, ", transaction open for {:.1} s, holds {}", self.seconds, self.mode)
    }
}

struct Blockers<'a>(&'a [Blocker]);

impl fmt::Display for Blockers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("whoever held it has let go since");
        }
        f.write_str("blocked by ")?;
        for (n, blocker) in self.0.iter().enumerate() {
            write!(f, "{}{blocker}", if n > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

struct CatalogWords<'a>(&'a CatalogError);

impl fmt::Display for CatalogWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl From<BarredChange> for MigrateError {
    fn from(change: BarredChange) -> Self {
        Self::Barred(Box::new(change))
    }
}

impl From<CatalogError> for MigrateError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl MigrateError {
    pub(super) fn step(table: &TableName, doing: &str, source: tokio_postgres::Error) -> Self {
        Self::Step {
            table: table.clone(),
            doing: doing.to_owned(),
            source,
        }
    }

    pub(super) fn not_effective(table: &TableName, detail: &str) -> Self {
        Self::NotEffective {
            table: table.clone(),
            detail: detail.to_owned(),
        }
    }

    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(refusal) => refusal.class(),
            Self::Barred(_) => Class::Denied,
            Self::LockTimeout { .. } | Self::Busy { .. } => Class::Conflict,
            Self::Unconvertible { .. } => Class::Refused,
            Self::NotEffective { .. } => Class::Internal,
            Self::Catalog(error) => error.class(),
            Self::Step { source, .. } => driver::class_of_change(source),
        }
    }

    /// What Postgres said, where it said something.
    pub fn postgres(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Catalog(error) => error.postgres(),
            Self::Step { source, .. } => Some(source),
            _ => None,
        }
    }

    /// One word for a program, where the class does not say enough.
    pub fn reason(&self) -> Option<&'static str> {
        matches!(self, Self::Barred(_)).then_some(NO_RIGHT)
    }

    /// The table, where its schema is known, and the column.
    pub fn place(&self) -> (Option<&TableName>, Option<&Ident>) {
        match self {
            Self::Refused(refusal) => (Some(&refusal.table), refusal.column()),
            Self::Barred(change) => (Some(&change.table), None),
            Self::Unconvertible { table, column, .. } => (Some(table), Some(column)),
            Self::LockTimeout { table, .. }
            | Self::Busy { table, .. }
            | Self::NotEffective { table, .. }
            | Self::Step { table, .. } => (Some(table), None),
            Self::Catalog(error) => (error.table(), None),
        }
    }
}

/// Blockers in words, for a log line.
pub(super) fn describe(blockers: &[Blocker]) -> String {
    Blockers(blockers).to_string()
}
