//! What can go wrong with a stream, as one enum that every door maps to its protocol.
//!
//! Texts are for the client: they name table, column, row and SQLSTATE, never a value.

use std::time::Duration;

use crate::model::class::Class;
use crate::model::ident::IdentError;
use crate::model::options::OptionError;

/// A stream or request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be understood or contradicts itself.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The stream broke its own rules.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The destination refused or failed.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The server is shutting down.
    #[error("the server is shutting down; nothing of this stream was committed after the last answer, send it again")]
    Draining,
    /// A task of ours ended without an answer.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The request cannot be understood or contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// An option is unknown or has a value that does not fit.
    #[error("{place}: {source}")]
    Option {
        /// Where the option stood, e.g. `descriptor` or `header`.
        place: &'static str,
        /// What is wrong with it.
        source: OptionError,
    },
    /// A table or schema name is not one.
    #[error("the {what} name is not usable: {source}")]
    Name {
        /// `table`, `schema` or `column`.
        what: &'static str,
        /// Why.
        source: IdentError,
    },
    /// Two options exclude each other, or one needs another.
    #[error("{0}")]
    Conflict(String),
    /// The descriptor, command or message has the wrong form.
    #[error("{0}")]
    Malformed(String),
    /// Known but not offered.
    #[error("{0}")]
    Unsupported(String),
}

/// The stream broke its own rules.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A message could not be decoded.
    #[error("message {message} of the stream cannot be read as Arrow data: {reason}; {kept}")]
    Decode {
        /// Ordinal of the Flight message, from 1.
        message: u64,
        /// The decoder's words.
        reason: String,
        /// What stays in the table.
        kept: Kept,
    },
    /// Something came where it may not stand.
    #[error("message {message} of the stream: {reason}; {kept}")]
    Protocol {
        /// Ordinal of the Flight message, from 1.
        message: u64,
        /// What came and what was expected.
        reason: String,
        /// What stays in the table.
        kept: Kept,
    },
    /// Nothing came for too long.
    #[error(
        "no message came for {} s (limits.stream_idle_timeout), so the stream was ended; {kept}; send it again without such a pause",
        .idle.as_secs_f64()
    )]
    Idle {
        /// How long nothing came.
        idle: Duration,
        /// What stays in the table.
        kept: Kept,
    },
    /// The number of rows is not the announced one.
    #[error("{place} announced {announced} rows and {received} came; {kept}; send the stream again")]
    RowCount {
        /// Who announced: `expected_rows` or `the commit message`.
        place: &'static str,
        /// Rows announced.
        announced: u64,
        /// Rows received.
        received: u64,
        /// What stays in the table.
        kept: Kept,
    },
    /// A strict stream ended without its commit message.
    #[error("the stream is strict and ended after {received} rows without a commit message or expected_rows; {kept}")]
    NoCommit {
        /// Rows received.
        received: u64,
        /// What stays in the table.
        kept: Kept,
    },
    /// The client went away or cancelled.
    #[error("the client ended the call after {received} rows: {reason}; {kept}")]
    Broken {
        /// Rows received.
        received: u64,
        /// The transport's words.
        reason: String,
        /// What stays in the table.
        kept: Kept,
    },
}

/// What stays in the table after a stream failed, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Rows of this stream that are committed.
    pub rows: u64,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows {
            0 => f.write_str("nothing of it was committed"),
            1 => f.write_str("1 row of it is committed already"),
            rows => write!(f, "{rows} rows of it are committed already"),
        }
    }
}

/// A failure of the destination, already in words for the client.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DestinationError {
    /// Kind of failure.
    pub class: Class,
    /// One sentence: what, where, why, what to change.
    pub message: String,
    /// Details that a program can read.
    pub facts: Facts,
    /// The cause, for the log.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Machine-readable details of a failure; the Flight door sends them as `x-pg-*` trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// SQLSTATE as Postgres gave it.
    pub sqlstate: Option<String>,
    /// Table, with schema where known.
    pub table: Option<String>,
    /// Column.
    pub column: Option<String>,
    /// Constraint.
    pub constraint: Option<String>,
    /// Row in the stream, from 0.
    pub row: Option<u64>,
}

impl Error {
    /// The kind of failure; exhaustive, so that a new variant has to decide.
    pub fn class(&self) -> Class {
        match self {
            Error::Request(RequestError::Unsupported(_)) => Class::Unsupported,
            Error::Request(
                RequestError::Option { .. }
                | RequestError::Name { .. }
                | RequestError::Conflict(_)
                | RequestError::Malformed(_),
            ) => Class::BadRequest,
            Error::Stream(StreamError::Decode { .. } | StreamError::Protocol { .. }) => Class::BadRequest,
            Error::Stream(StreamError::RowCount { .. } | StreamError::NoCommit { .. }) => Class::Refused,
            Error::Stream(StreamError::Idle { .. }) => Class::Timeout,
            Error::Stream(StreamError::Broken { .. }) => Class::Cancelled,
            Error::Destination(error) => error.class,
            Error::Draining => Class::Unavailable,
            Error::Internal(_) => Class::Internal,
        }
    }

    /// Machine-readable details, where there are any.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Error::Destination(error) => Some(&error.facts),
            _ => None,
        }
    }
}
