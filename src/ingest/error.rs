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
    /// All places for streams are taken.
    #[error("the server loads as many streams as it may (limits.max_streams); try again later")]
    Busy,
    /// One caller has all the places that it may have.
    #[error(
        "this caller loads as many streams as one may ({each} of limits.max_streams); end some, or try again later"
    )]
    Crowded {
        /// How many that is.
        each: usize,
    },
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
    /// What the request names is not there.
    #[error("{0}")]
    NotFound(String),
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
    /// More came at once than is taken.
    #[error("{what}; {kept}; send smaller batches or rows")]
    TooLarge {
        /// What is too large, and how large it may be.
        what: String,
        /// What stays in the table.
        kept: Kept,
    },
    /// Rows of text, or of a file, could not be read.
    #[error("{reason}; {kept}")]
    Unreadable {
        /// Where, and why.
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
    /// Others hold the memory that the stream needs.
    #[error("there is no memory for {what} (limits.max_inflight_bytes); {kept}; send the stream again later")]
    NoMemory {
        /// What it is needed for.
        what: &'static str,
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
    /// Another writer opened the stream after this one.
    #[error(
        "stream {stream_id:?} was opened again by another writer (epoch {theirs}, this one has {ours}), so this one must stop"
    )]
    Fenced {
        /// The stream.
        stream_id: String,
        /// Epoch of this writer.
        ours: u64,
        /// Epoch of the stream.
        theirs: u64,
    },
    /// A sequence number was left out.
    #[error("stream {stream_id:?}: batch {found} came and {expected} is expected; send the batches from {expected} on")]
    Gap {
        /// The stream.
        stream_id: String,
        /// What comes next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A batch was sent again with other contents.
    #[error(
        "stream {stream_id:?}: batch {seq} was committed with other contents than it has now; a sequence number must stand for the same rows each time"
    )]
    ReplayMismatch {
        /// The stream.
        stream_id: String,
        /// The number.
        seq: u64,
        /// What comes next.
        expected: u64,
    },
    /// The database is behind what was acknowledged.
    #[error(
        "stream {stream_id:?}: batch {acked} was acknowledged, and the database has committed only up to {next_seq} (exclusive): it lost transactions, as after a failover to a standby that was behind; send the batches from {next_seq} on"
    )]
    Regressed {
        /// The stream.
        stream_id: String,
        /// What was acknowledged.
        acked: u64,
        /// What the database knows.
        next_seq: u64,
    },
    /// A batch of a resumable stream has no sequence number.
    #[error(
        "message {message} of stream {stream_id:?} carries no sequence number; send app_metadata {{\"seq\": n}} with every batch, or use commit: atomic, which needs none"
    )]
    Unlabelled {
        /// The stream.
        stream_id: String,
        /// Ordinal of the Flight message, from 1.
        message: u64,
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
    /// One word for a program, e.g. `COMMIT_UNKNOWN`.
    pub reason: Option<&'static str>,
}

impl Error {
    /// The kind of failure; exhaustive, so that a new variant has to decide.
    pub fn class(&self) -> Class {
        match self {
            Error::Request(RequestError::Unsupported(_)) => Class::Unsupported,
            Error::Request(RequestError::NotFound(_)) => Class::NotFound,
            Error::Request(
                RequestError::Option { .. }
                | RequestError::Name { .. }
                | RequestError::Conflict(_)
                | RequestError::Malformed(_),
            ) => Class::BadRequest,
            Error::Stream(
                StreamError::Decode { .. } | StreamError::Protocol { .. } | StreamError::Unreadable { .. },
            ) => Class::BadRequest,
            Error::Stream(StreamError::TooLarge { .. }) => Class::TooLarge,
            Error::Stream(
                StreamError::RowCount { .. } | StreamError::NoCommit { .. } | StreamError::ReplayMismatch { .. },
            ) => Class::Refused,
            Error::Stream(StreamError::Fenced { .. }) => Class::Conflict,
            Error::Stream(StreamError::Gap { .. }) => Class::OutOfRange,
            Error::Stream(StreamError::Regressed { .. }) => Class::DataLoss,
            Error::Stream(StreamError::Unlabelled { .. }) => Class::BadRequest,
            Error::Stream(StreamError::Idle { .. }) => Class::Timeout,
            Error::Stream(StreamError::NoMemory { .. }) => Class::Exhausted,
            Error::Stream(StreamError::Broken { .. }) => Class::Cancelled,
            Error::Destination(error) => error.class,
            Error::Draining => Class::Unavailable,
            Error::Busy | Error::Crowded { .. } => Class::Exhausted,
            Error::Internal(_) => Class::Internal,
        }
    }

    /// One word for a program, where the class does not say enough.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Error::Stream(StreamError::Fenced { .. }) => Some("FENCED"),
            Error::Stream(StreamError::Gap { .. }) => Some("GAP"),
            Error::Stream(StreamError::ReplayMismatch { .. }) => Some("REPLAY_MISMATCH"),
            Error::Stream(StreamError::Regressed { .. }) => Some("OFFSET_REGRESSED"),
            Error::Destination(error) => error.facts.reason,
            _ => None,
        }
    }

    /// The sequence number that the stream expects next, where the failure is about it.
    pub fn next_seq(&self) -> Option<u64> {
        match self {
            Error::Stream(StreamError::Gap { expected, .. } | StreamError::ReplayMismatch { expected, .. }) => {
                Some(*expected)
            }
            Error::Stream(StreamError::Regressed { next_seq, .. }) => Some(*next_seq),
            _ => None,
        }
    }

    /// Names the table, with its schema, that a destination's failure is about; one that names a table keeps it.
    #[must_use]
    pub fn about(mut self, table: String) -> Self {
        if let Error::Destination(error) = &mut self {
            error.facts.table.get_or_insert(table);
        }
        self
    }

    /// Machine-readable details, where there are any.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Error::Destination(error) => Some(&error.facts),
            _ => None,
        }
    }
}
