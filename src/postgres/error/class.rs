//! What kind of failure an error is and what may heal it: decided from its type and, where Postgres or the driver failed, by
//! [`super::driver`].

use super::{Error, driver, extension};
use crate::ingest::error::StreamError;
use crate::model::class::Class;
use crate::sql::state::{Remedy, poisons_pool};

impl Error {
    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self {
            Error::Connect(error) => error.class(),
            Error::NoRoom | Error::LargeRow { .. } => Class::Exhausted,
            Error::Standby => Class::Unavailable,
            Error::Internal(_) => Class::Internal,
            Error::PoolExhausted { .. } | Error::Silent { .. } => Class::Unavailable,
            Error::Query { source } => class_of_query(source),
            Error::Result { .. } | Error::Parameters { .. } => Class::BadRequest,
            Error::Undecodable { source } => source.class(),
            Error::ReadsOnly | Error::SessionIsLent => Class::Unsupported,
            Error::Renew { source, .. } => driver::class_of_change(source),
            Error::Statement { source, .. } | Error::State { source, .. } => driver::class(source),
            Error::Catalog(error) => error.class(),
            Error::Cell { cell, .. } => cell.class(),
            Error::Plan { .. } | Error::Schema(_) | Error::Reserved { .. } => Class::BadRequest,
            Error::TooManyRejects { .. } => Class::BadData,
            Error::NoTable { .. } | Error::NoColumn { .. } | Error::Absent { .. } => Class::NotFound,
            Error::Present { .. } => Class::AlreadyExists,
            Error::Delete(_) => Class::BadRequest,
            Error::Migrate(error) => error.class(),
            Error::Read(error) => error.class(),
            Error::RowsLost { .. } => Class::Internal,
            Error::Denied { .. } | Error::Unbound { .. } => Class::Denied,
            Error::Embed(_) | Error::Unfit { .. } | Error::ReadOnly { .. } | Error::Suppressed { .. } => Class::Refused,
            Error::NewerState { .. } => Class::Refused,
            Error::NoPgvector { source, .. } => extension::class(source),
            Error::EmbedLate(_) => Class::Timeout,
            Error::CommitUnknown { .. } | Error::NoteRefused { .. } => Class::Unavailable,
            Error::Stream(error) => class_of_stream(error),
            Error::NotReplayable { source } => source.class(),
            Error::Dropped { .. } => Class::NotFound,
            Error::Changed { .. } => Class::Conflict,
        }
    }

    /// What may heal it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Connect(error) if error.is_transient() => match error.class() {
                Class::Exhausted => Remedy::Wait,
                _ => Remedy::Reconnect,
            },
            Error::Standby | Error::PoolExhausted { .. } | Error::Silent { .. } => Remedy::Reconnect,
            Error::CommitUnknown { .. } => Remedy::Unknown,
            Error::NoteRefused { .. } => Remedy::Again,
            Error::Changed { .. } => Remedy::Replan,
            _ => self.postgres().map_or(Remedy::None, driver::remedy),
        }
    }

    /// The driver's error, where there is one.
    pub(in crate::postgres) fn postgres(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Error::Statement { source, .. }
            | Error::Renew { source, .. }
            | Error::Query { source }
            | Error::State { source, .. }
            | Error::NoPgvector { source, .. }
            | Error::NoteRefused { source } => Some(source),
            Error::Catalog(error) => error.postgres(),
            Error::Migrate(error) => error.postgres(),
            _ => None,
        }
    }

    /// SQLSTATE as Postgres gave it.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Error::TooManyRejects { bad, .. } => Some(&bad.sqlstate),
            _ => driver::code(self.postgres()?),
        }
    }

    /// Whether embeddings are refused for a reason that lasts, so that rows may be stored without them.
    pub(in crate::postgres) fn refuses_embedding(&self) -> bool {
        matches!(self, Error::Embed(_)) || matches!(self, Error::NoPgvector { .. } if self.class() == Class::Refused)
    }

    /// Whether a connection was lost that worked before, so that another one may do.
    pub fn lost_connection(&self) -> bool {
        let worked = !matches!(self, Error::Connect(_) | Error::PoolExhausted { .. } | Error::Standby);
        worked && self.remedy() == Remedy::Reconnect
    }

    /// Whether every connection of the pool leads to a server that takes no writes.
    pub fn poisons_pool(&self) -> bool {
        self.sqlstate().is_some_and(poisons_pool)
    }

    /// Whether Postgres cannot be had only for now: it does not answer, starts, has no free connection, or is not what
    /// `target_session_attrs` asks for. A pooler lets us in all the same, and says it then.
    pub(in crate::postgres) fn may_pass(&self) -> bool {
        match self {
            Error::Connect(error) => error.is_transient(),
            said => said.sqlstate() == Some("08P01") && said.lost_connection(),
        }
    }
}

/// A client's own text is the client's to mend, and a transaction that only reads is our configuration.
fn class_of_query(error: &tokio_postgres::Error) -> Class {
    let code = driver::code(error).unwrap_or_default();
    match driver::class(error) {
        Class::Unavailable if code == "25006" => Class::Refused,
        Class::Refused | Class::Internal if code.starts_with("42") || code.starts_with("25") => Class::BadRequest,
        class => class,
    }
}

fn class_of_stream(error: &StreamError) -> Class {
    match error {
        StreamError::Fenced { .. } => Class::Conflict,
        StreamError::Gap { .. } => Class::OutOfRange,
        StreamError::Regressed { .. } => Class::DataLoss,
        _ => Class::Refused,
    }
}
