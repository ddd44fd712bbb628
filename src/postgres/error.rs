//! Failures of the Postgres side as one enum, and their words for the client.
//!
//! A Postgres `DETAIL` can hold row values ("Key (email)=(..) already exists"), so it is never shown; table, column,
//! constraint, SQLSTATE and the row's place in the stream are.

mod bad_row;
mod class;
pub(in crate::postgres) mod driver;
mod extension;
mod facts;
mod from;
mod made;
mod place;
mod row;
mod words;

pub use place::{CopyPlace, place};

use super::catalog::CatalogError;
use super::connect::ConnectError;
use super::load::Mark;
use super::migrate::MigrateError;
use super::read::error::ReadError;
use crate::codec::decode::DecodeError;
use crate::codec::decode::plan::PlanError as ReadPlanError;
use crate::codec::encode::{CellError, PlanError};
use crate::ingest::error::StreamError;
use crate::model::wanted::SchemaProblems;
use crate::planner::READ_WRITE;
use crate::planner::delete::DeletePlanError;

pub use bad_row::BadRow;
use bad_row::more_words;
use driver::{words, words_or_grant};

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
    /// The server is no standby, and yet sessions take no writes.
    #[error(
        "the Postgres server is a primary, and sessions of role {role} in database {database} are read-only (default_transaction_read_only); {READ_WRITE}"
    )]
    ReadOnly {
        /// The role.
        role: String,
        /// The database.
        database: String,
    },
    /// A fault of ours.
    #[error("internal error: {0}")]
    Internal(String),
    /// A row that is not read.
    #[error(
        "a row of {bytes} bytes was not read, and the statement was ended: {most} is the most (limits.max_row_bytes); read its large values in parts, as substr() gives them, or raise the limit"
    )]
    LargeRow {
        /// Its size, as Postgres sends it.
        bytes: usize,
        /// The limit.
        most: usize,
    },
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
    #[error("{doing} failed: {}{blocked}", words(.source, .place.as_ref()))]
    Statement {
        /// What was being done, e.g. `loading rows into public.t`.
        doing: String,
        /// The table that it is about.
        table: Option<String>,
        /// Place of the bad row in the stream, where Postgres told it.
        row: Option<u64>,
        /// Where in its COPY that was.
        place: Option<CopyPlace>,
        /// Who holds what it waited for in vain, in words.
        blocked: String,
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
    /// A client's own statement failed.
    #[error("the statement failed: {}", words(.source, None))]
    Query {
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A statement's result cannot be read as Arrow.
    #[error("the result of the statement cannot be read: {source}")]
    Result {
        /// Why.
        source: ReadPlanError,
    },
    /// A value of a statement's result cannot be given in Arrow.
    #[error("reading the result of the statement failed: {source}")]
    Undecodable {
        /// Where and why.
        source: DecodeError,
    },
    /// Values do not go into a statement's parameters.
    #[error("the parameters do not fit: {why}")]
    Parameters {
        /// Why.
        why: String,
    },
    /// A statement that gives no columns, where statements may only read.
    #[error("the statement gives no columns, and statements may only read here (flight_sql.queries: read-only)")]
    ReadsOnly,
    /// Statements of SQL through a pooler that lends sessions for a transaction.
    #[error(
        "statements need a session of their own, and this server reaches Postgres through a pooler that lends sessions for a \
         transaction at a time; give it a connection to Postgres itself, or one in session mode with pool.pooler: session"
    )]
    SessionIsLent,
    /// A statement that may only run as a role cannot be held to it.
    #[error("the statement is to run as role {role:?} (auth.rules), and {why}")]
    Unbound {
        /// The role.
        role: String,
        /// What is in the way, and what to do.
        why: &'static str,
    },
    /// The catalog could not be read.
    #[error("{}", CatalogWords(.0))]
    Catalog(Box<CatalogError>),
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
    /// The table that a command names is not there.
    #[error("table {table} does not exist (SQLSTATE 42P01)")]
    NoTable {
        /// The table.
        table: String,
    },
    /// The load was to find its table.
    #[error(
        "table {table} does not exist (SQLSTATE 42P01), and the load may not create it; use mode create or create_append for that"
    )]
    Absent {
        /// The table.
        table: String,
    },
    /// The load was to create its table.
    #[error(
        "table {table} exists already (SQLSTATE 42P07), and the load may only create it; use mode append or create_append to add rows, or replace"
    )]
    Present {
        /// The table.
        table: String,
    },
    /// The table could not make way for a new one.
    #[error("{doing} {table}, in whose place a new table is to stand, failed: {}", words(.source, None))]
    Renew {
        /// The table.
        table: String,
        /// `locking` or `dropping`.
        doing: &'static str,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A column that a command names is not there.
    #[error("table {table} has no column {column:?} to delete records by (SQLSTATE 42703)")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
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
    /// A trigger of the table left rows out.
    #[error(
        "trigger {} left out {} of {sent} rows for {table}, so none of them is stored; let it store every row or raise an error, or set on_suppressed_row: accept, which counts such rows apart",
        .triggers.join(" or "), .sent.saturating_sub(*.stored)
    )]
    Suppressed {
        /// The table.
        table: String,
        /// Those that can have been it.
        triggers: Vec<String>,
        /// Rows sent.
        sent: u64,
        /// Rows that are stored, or would have been left as they are.
        stored: u64,
    },
    /// Embeddings cannot be kept up to date: a refusal of ours. What Postgres or the connection says is not made a text of here.
    #[error("embeddings: {0}")]
    Embed(String),
    /// The extension is not there and cannot be created.
    #[error("embeddings: {}", extension::words(.database, .source))]
    NoPgvector {
        /// The database.
        database: String,
        /// Why it could not be created.
        source: tokio_postgres::Error,
    },
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
    /// The row that would tell about a COMMIT cannot be written any more.
    #[error("noting a commit failed: {}", words(.source, None))]
    NoteRefused {
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// A resumable stream broke its rules.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Our own tables cannot be used.
    #[error("pgflight keeps its own tables in schema {schema} (state_schema), and looking at them failed: {}", words_or_grant(.source, "let the role create the schema, or create it for the role"))]
    State {
        /// The schema.
        schema: String,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// Our own tables are a newer program's.
    #[error(
        "the tables in schema {schema} (state_schema) have version {found}, made by a newer pgflight, and this one knows version {known}: \
         run the newer pgflight, or give this one a state_schema of its own"
    )]
    NewerState {
        /// The schema.
        schema: String,
        /// Their version.
        found: usize,
        /// The newest that this program knows.
        known: usize,
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
    /// What is asked for cannot be done with this table.
    #[error("{why}")]
    Unfit {
        /// The table.
        table: String,
        /// The column that it is about.
        column: Option<String>,
        /// What does not fit and what to do.
        why: String,
    },
    /// Our role may not do with this table what is asked for.
    #[error("{why}")]
    Denied {
        /// The table.
        table: String,
        /// What is missing and how it is granted.
        why: String,
    },
}

struct CatalogWords<'a>(&'a CatalogError);

impl std::fmt::Display for CatalogWords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.write(f)
    }
}
