//! Failures of the Postgres side as one enum, and their words for the client.
//!
//! A Postgres `DETAIL` can hold row values ("Key (email)=(..) already exists"), so it is never shown; table, column,
//! constraint, SQLSTATE and the row's place in the stream are.

mod place;
mod row;
mod words;

use tokio_postgres::error::DbError;

pub use place::{CopyPlace, place};

use super::connect::ConnectError;
use super::copy::{CellError, PlanError};
use super::load::delete::DeletePlanError;
use super::migrate::MigrateError;
use super::read::error::ReadError;
use super::sqlstate::{Remedy, poisons_pool, verdict};
use crate::ingest::error::{DestinationError, Error as IngestError, Facts, StreamError};
use crate::model::class::Class;
use crate::model::wanted::SchemaProblems;

pub use row::BadRow;
use row::more_words;
use words::words;

/// Something failed on the Postgres side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be had.
    #[error("cannot connect to Postgres: {0}")]
    Connect(Box<ConnectError>),
    /// The server takes no writes.
    #[error(
        "the Postgres server is a standby and takes no writes; point connection_string at the primary, or add target_session_attrs=read-write"
    )]
    Standby,
    /// A fault of ours.
    #[error("internal error: {0}")]
    Internal(String),
    /// All connections are in use.
    #[error(
        "no connection to Postgres became free within {seconds} s (pool.max_size); try again later or raise the limit"
    )]
    PoolExhausted {
        /// How long was waited.
        seconds: f64,
    },
    /// Loads wait for room on a disk of the server.
    #[error(
        "a disk of the Postgres server is full (SQLSTATE 53100), and loads wait for room; make some, and they go on by themselves"
    )]
    NoRoom,
    /// The connection is open and nothing comes.
    #[error(
        "Postgres has not answered for {seconds} s, so the connection was given up; look whether the server is stopped or the network between swallows packets"
    )]
    Silent {
        /// How long was waited.
        seconds: f64,
    },
    /// A statement failed.
    #[error("{doing} failed: {}", words(.source, .place.as_ref()))]
    Statement {
        /// What was being done, e.g. `loading rows into public.t`.
        doing: String,
        /// Place of the bad row in the stream, where Postgres told it.
        row: Option<u64>,
        /// Where in its COPY that was.
        place: Option<CopyPlace>,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A value cannot be stored.
    #[error("row {row} of the stream (counted from 0), table {table}, column {:?}: {} cannot be stored in {}: {}{}", .cell.column.as_str(), .cell.arrow, .cell.pg, .cell.reason, more_words(*.more))]
    Cell {
        /// The table.
        table: String,
        /// Row in the stream, from 0.
        row: u64,
        /// Rows behind it, as far as they were looked at, that cannot be stored either.
        more: u64,
        /// Where and why.
        cell: Box<CellError>,
    },
    /// More rows are bad than the load may reject.
    #[error(
        "more than {max} rows of the stream cannot be stored in table {table} (max_rejects), so the load was ended; the last one seen is {bad}"
    )]
    TooManyRejects {
        /// The table.
        table: String,
        /// Most rows that may be rejected.
        max: u64,
        /// The row that was one too many.
        bad: Box<BadRow>,
    },
    /// Columns of the stream do not go into those of the table.
    #[error("the stream does not fit table {table}: {source}")]
    Plan {
        /// The table.
        table: String,
        /// All the pairs.
        source: PlanError,
    },
    /// The stream's schema does not make a table.
    #[error(transparent)]
    Schema(#[from] SchemaProblems),
    /// The table cannot be brought to the wanted shape.
    #[error("{0}")]
    Migrate(Box<MigrateError>),
    /// A table is not read.
    #[error("{0}")]
    Read(Box<ReadError>),
    /// An overwrite has nothing to match rows by.
    #[error("{0}")]
    NoKey(String),
    /// The schema belongs to pgflight or to Postgres.
    #[error("schema {schema:?} is {owner}, and {refusal}")]
    Reserved {
        /// The schema.
        schema: String,
        /// Whose it is.
        owner: &'static str,
        /// What may not be done, and what to do instead.
        refusal: &'static str,
    },
    /// What a command names is not there.
    #[error("{0}")]
    NotFound(String),
    /// Records cannot be deleted as asked.
    #[error(transparent)]
    Delete(#[from] DeletePlanError),
    /// Postgres counted other rows than were sent.
    #[error("Postgres took {stored} of {sent} rows into {table}; the chunk was rolled back")]
    RowsLost {
        /// The table.
        table: String,
        /// Rows sent.
        sent: u64,
        /// Rows that Postgres counted.
        stored: u64,
    },
    /// Embeddings cannot be kept up to date.
    #[error("embeddings: {0}")]
    Embed(String),
    /// Rows are stored, and their vectors did not come in time.
    #[error("embeddings: {0}")]
    EmbedLate(String),
    /// The answer to COMMIT was lost.
    #[error(
        "the connection broke while Postgres was committing rows of {table}, so it is not known whether they are stored; a stream with a stream_id can be resumed and will tell, otherwise check the table before you send them again"
    )]
    CommitUnknown {
        /// The table.
        table: String,
        /// What tells how the transaction ended.
        mark: Option<Mark>,
    },
    /// A resumable stream broke its rules.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Our own tables cannot be used.
    #[error("pgflight keeps its own tables in schema {schema} (state_schema), which cannot be used: {}; let the role create it, or create it for the role", words(.source, None))]
    State {
        /// The schema.
        schema: String,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A load was interrupted and could not be run again.
    #[error(
        "{source}; nothing of the load is stored, and it could not be run again because more rows had come than are kept for that; send the stream again, or use commit: batch"
    )]
    NotReplayable {
        /// What interrupted it.
        source: Box<Error>,
    },
    /// The table is not there any more.
    #[error(
        "table {table} was dropped while it was being loaded; rows that were committed before went with it, so send the stream again"
    )]
    Dropped {
        /// The table.
        table: String,
    },
    /// The table is not the one that was planned for.
    #[error("table {table} was changed while it was loaded, and its rows were rolled back; send them again")]
    Changed {
        /// The table.
        table: String,
    },
    /// The write mode cannot be used on this table.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// A failed statement.
    pub fn statement(doing: impl Into<String>, source: tokio_postgres::Error) -> Self {
        Self::Statement {
            doing: doing.into(),
            row: None,
            place: None,
            source,
        }
    }

    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self {
            Error::Connect(error) => error.class(),
            Error::NoRoom => Class::Exhausted,
            Error::Standby => Class::Unavailable,
            Error::Internal(_) => Class::Internal,
            Error::PoolExhausted { .. } | Error::Silent { .. } => Class::Unavailable,
            Error::Statement { source, .. } => source.code().map_or(Class::Unavailable, |code| verdict(code.code()).0),
            Error::Cell { cell, .. } => cell.class(),
            Error::Plan { .. } | Error::Schema(_) | Error::NoKey(_) | Error::Reserved { .. } => Class::BadRequest,
            Error::TooManyRejects { .. } => Class::BadData,
            Error::NotFound(_) => Class::NotFound,
            Error::Delete(_) => Class::BadRequest,
            Error::Migrate(error) => error.class(),
            Error::Read(error) => error.class(),
            Error::RowsLost { .. } => Class::Internal,
            Error::Embed(_) | Error::Unfit(_) => Class::Refused,
            Error::EmbedLate(_) => Class::Timeout,
            Error::CommitUnknown { .. } => Class::Unavailable,
            Error::Stream(error) => class_of_stream(error),
            Error::State { source, .. } => source.code().map_or(Class::Unavailable, |code| verdict(code.code()).0),
            Error::NotReplayable { source } => source.class(),
            Error::Dropped { .. } => Class::NotFound,
            Error::Changed { .. } => Class::Conflict,
        }
    }

    /// What may heal it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Statement { source, .. } | Error::State { source, .. } => remedy_of(source),
            Error::Migrate(error) => error.postgres().map_or(Remedy::None, remedy_of),
            Error::Connect(error) if error.is_transient() => match error.class() {
                Class::Exhausted => Remedy::Wait,
                _ => Remedy::Reconnect,
            },
            Error::Standby | Error::PoolExhausted { .. } | Error::Silent { .. } => Remedy::Reconnect,
            Error::CommitUnknown { .. } => Remedy::Unknown,
            Error::Changed { .. } => Remedy::Replan,
            _ => Remedy::None,
        }
    }

    /// SQLSTATE as Postgres gave it.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Error::Statement { source, .. } | Error::State { source, .. } => source.code().map(|code| code.code()),
            Error::Migrate(error) => error.postgres()?.code().map(|code| code.code()),
            Error::TooManyRejects { bad, .. } => Some(&bad.sqlstate),
            _ => None,
        }
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

    /// Whether the server has no free connection or is starting: a little later it may have one.
    pub(super) fn is_crowded(&self) -> bool {
        let Error::Connect(error) = self else { return false };
        matches!(
            error.decisive(),
            ConnectError::TooManyConnections { .. } | ConnectError::NotReady { .. }
        )
    }

    fn db(&self) -> Option<&DbError> {
        match self {
            Error::Statement { source, .. } => source.as_db_error(),
            _ => None,
        }
    }

    fn facts(&self) -> Facts {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match self {
            Error::TooManyRejects { table, bad, .. } => bad.facts(table),
            Error::Cell { table, row, cell, .. } => Facts {
                table: Some(table.clone()),
                column: Some(cell.column.to_string()),
                row: Some(*row),
                ..Facts::default()
            },
            Error::Read(error) => error.facts(),
            Error::Statement { row, place, .. } => self.db().map_or_else(Facts::default, |db| Facts {
                sqlstate: Some(db.code().code().to_owned()),
                table: owned(db.table()),
                column: owned(db.column()).or_else(|| place.as_ref()?.column.clone()),
                constraint: owned(db.constraint()),
                row: *row,
                reason: None,
            }),
            Error::CommitUnknown { table, .. } => Facts {
                table: Some(table.clone()),
                reason: Some("COMMIT_UNKNOWN"),
                ..Facts::default()
            },
            Error::NotReplayable { source } => source.facts(),
            _ => Facts::default(),
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(Box::new(error))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::Read(Box::new(error))
    }
}

/// What tells how a transaction ended when the answer to its COMMIT was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number (`xid8`), as text.
    pub xid: String,
    /// When the server that ran it was started, as text.
    pub server_started: String,
}

fn remedy_of(error: &tokio_postgres::Error) -> Remedy {
    let Some(db) = error.as_db_error() else {
        return Remedy::Reconnect;
    };
    match verdict(db.code().code()).1 {
        // The one case of "feature not supported" that is about us: a plan of before the table changed.
        Remedy::None if db.code().code() == "0A000" && db.routine() == Some("RevalidateCachedQuery") => Remedy::Replan,
        remedy => remedy,
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

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        if let Error::Stream(error) = error {
            return IngestError::Stream(error);
        }
        let (class, message, facts) = (error.class(), error.to_string(), error.facts());
        IngestError::Destination(DestinationError {
            class,
            message,
            facts,
            source: Some(Box::new(error)),
        })
    }
}
