//! What the core asks of a destination, and what a destination promises.
//!
//! Guarantees, not mechanics: the Postgres side implements these traits, tests of the core implement them with fakes.

pub mod catalog;
pub mod embed;
pub mod part;
pub mod query;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use part::Part;

use super::error::{Error, RequestError};
use super::request::LoadRequest;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::{Ident, TableName};
use crate::model::migration::MigrationReport;

pub use super::budget::{ByteBudget, BytePermit};
pub use super::connection::{ConnectionFailure, ConnectionFault, Destinations};
pub use super::guard::permit::Permit;

/// A place that takes loads.
#[async_trait]
pub trait Destination: Debug + Send + Sync {
    /// Prepares a load: the table is made fit (or the load refused) and the encoder planned. No row is written yet,
    /// and everything that can be refused without seeing a row is refused here; for a load like one before it, with its first rows.
    async fn open(&self, permit: &Permit, request: LoadRequest) -> Result<Arc<dyn Load>, Error>;

    /// Opens a resumable stream: from now on only a load with the new epoch may write to it.
    async fn open_stream(&self, permit: &Permit, stream_id: &str, table: &TableName) -> Result<StreamState, Error>;

    /// Where a resumable stream stands; `None` where there is none of that name.
    async fn stream_status(&self, permit: &Permit, stream_id: &str) -> Result<Option<StreamState>, Error>;

    /// Whether loads would work now; the text says why not. Answers although all connections are lent.
    async fn ready(&self) -> Result<(), Error>;

    /// Whether there is a destination behind this at all.
    fn is_configured(&self) -> bool {
        true
    }

    /// Connects and looks: login, database and schema; the failure is told apart for the person who configured it.
    async fn test_connection(&self) -> Result<(), ConnectionFailure>;

    /// Makes a table fit a schema, or says what that would take. Nothing is changed when it is refused.
    async fn migrate(&self, permit: &Permit, command: MigrateCommand) -> Result<MigrationReport, Error>;

    /// Deletes stale rows and returns their number. Done in slices: a failure may leave some deleted.
    async fn delete_stale(&self, permit: &Permit, command: DeleteStale) -> Result<u64, Error>;

    /// Deletes records and what hangs below them, all or nothing, and returns the number of rows in all tables.
    async fn delete_records(&self, permit: &Permit, command: DeleteRecords) -> Result<u64, Error>;

    /// How many connections it may hold at once; a door opens no more loads than that.
    fn connections(&self) -> usize;

    /// Reads a table back, in one consistent snapshot. Dropping the reader ends the read.
    async fn read(&self, permit: &Permit, request: ReadRequest) -> Result<TableReader, Error> {
        let _ = (permit, request);
        Err(cannot_read())
    }

    /// What a read of the same request would bring, without reading.
    async fn describe(&self, permit: &Permit, request: ReadRequest) -> Result<TableDescription, Error> {
        let _ = (permit, request);
        Err(cannot_read())
    }

    /// The same read in up to so many parts that may be read at once, under one snapshot that lasts until all were read, or until
    /// none was for a while.
    async fn parts(&self, permit: &Permit, request: ReadRequest, wanted: u32) -> Result<Parts, Error> {
        let _ = (permit, wanted);
        Ok(Parts::whole(request, "this destination reads a table as a whole"))
    }

    /// The tables that can be read, a page at a time, ordered by schema and name.
    async fn list(&self, permit: &Permit, request: ListRequest) -> Result<Vec<TableName>, Error> {
        let _ = (permit, request);
        Err(cannot_read())
    }

    /// What it tells clients of SQL protocols about itself, where it is such a database.
    fn catalog(&self) -> Option<&dyn catalog::Catalog> {
        None
    }

    /// Who runs clients' own statements, where they may be run.
    fn queries(&self) -> Option<&dyn query::Queries> {
        None
    }
}

fn cannot_read() -> Error {
    RequestError::Unsupported("this destination takes rows and gives none back".to_owned()).into()
}

/// What is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadRequest {
    /// The table.
    pub table: TableName,
    /// Its columns, in the order wanted; `None` for all.
    pub columns: Option<Vec<String>>,
    /// Most rows; which ones is up to the table.
    pub limit: Option<u64>,
    /// Exactly this schema: columns by name, each as exactly this type, or the read is refused.
    pub schema: Option<SchemaRef>,
    /// Bytes of a batch; a single row above it is a batch of its own.
    pub max_batch_bytes: usize,
    /// Only a part of its rows.
    pub part: Option<Part>,
}

impl ReadRequest {
    /// Size of batches that travel in one message under the 4 MiB that gRPC clients take by default.
    pub const BATCH_BYTES: usize = 2 << 20;

    /// All of a table.
    pub fn all(table: TableName) -> Self {
        Self {
            table,
            columns: None,
            limit: None,
            schema: None,
            max_batch_bytes: Self::BATCH_BYTES,
            part: None,
        }
    }
}

/// How a table is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// A read for each part; one alone where the table is read as a whole.
    pub reads: Vec<ReadRequest>,
    /// Why it is read as a whole although several parts were asked for.
    pub whole: Option<&'static str>,
}

impl Parts {
    /// The table as a whole.
    pub fn whole(request: ReadRequest, why: &'static str) -> Self {
        Self {
            reads: vec![request],
            whole: Some(why),
        }
    }
}

/// A table being read.
pub struct TableReader {
    /// Schema of all batches.
    pub schema: SchemaRef,
    /// The rows. The stream is complete only when it ends without an error.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
    /// Where it is told how many the client has.
    pub taken: Option<Arc<dyn Taken>>,
}

/// Who holds memory for batches until they are with the client.
pub trait Taken: Debug + Send + Sync {
    /// The first so many batches need no memory any more.
    fn taken(&self, batches: u64);
}

impl Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// What a read would bring.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDescription {
    /// The table, with its schema.
    pub table: TableName,
    /// Schema of the batches.
    pub schema: SchemaRef,
    /// The columns' types, as the database calls them.
    pub types: Vec<String>,
    /// Rows of the table, as Postgres last estimated them.
    pub estimated_rows: Option<u64>,
    /// Bytes of the table on disk without indexes, as Postgres last estimated them.
    pub estimated_bytes: Option<u64>,
}

/// A page of the list of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Only tables of this schema.
    pub schema: Option<Ident>,
    /// Continue behind this one.
    pub after: Option<TableName>,
    /// Most tables in the answer.
    pub limit: u32,
}

/// One load into one table. Dropping it before [`Load::finish`] returned rolls back what is not committed.
#[async_trait]
pub trait Load: Debug + Send + Sync {
    /// Writes one chunk, all of it or nothing. With `commit: batch` its rows are durable when this returns, with
    /// `commit: atomic` only after [`Load::finish`]. Calls run one after another unless [`Load::lanes`] is above 1.
    async fn write(&self, chunk: Chunk) -> Result<Written, Error>;

    /// Ends the load: commits what `atomic` held back. Called once, after every `write` returned. `complete` tells that the
    /// client said how many rows there are, and that they came: only then a stream is final and stale rows may go.
    async fn finish(&self, complete: bool) -> Result<Finished, Error>;

    /// The table, with its schema.
    fn table(&self) -> String;

    /// Where a resumable stream stands; `None` for a load without `stream_id`.
    fn stream(&self) -> Option<StreamState> {
        None
    }

    /// How many chunks may be written at once.
    fn lanes(&self) -> usize;

    /// The client has sent everything: from now on the load waits for nobody but its destination.
    fn complete(&self) {}

    /// Whether it holds what others may be waiting for, as an open transaction.
    fn holds(&self) -> bool {
        false
    }

    /// Runs while nothing is to be written: lets go of what the load holds when others wait for it, and is ready then. Dropped
    /// when there is something to write.
    async fn idle(&self) {
        std::future::pending().await
    }
}

/// A bounded piece of a stream, written as a unit.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The rows, in stream order.
    pub batches: Vec<RecordBatch>,
    /// Rows in all.
    pub rows: u64,
    /// Size of the rows as they came over the wire.
    pub bytes: u64,
    /// Position of the first row in the stream, from 0.
    pub first_row: u64,
    /// Memory held by these rows.
    pub permits: Vec<Arc<BytePermit>>,
    /// One per batch where the stream is resumable, else empty. Sequence numbers follow one another.
    pub labels: Vec<Label>,
}

/// What a client calls one batch of a resumable stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Sequence number, from 0 without gaps.
    pub seq: u64,
    /// The client's own word for this position, given back when it resumes.
    pub token: Option<String>,
    /// SHA-256 of the batch as it was sent.
    pub hash: [u8; 32],
}

/// Where a resumable stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// Its name.
    pub stream_id: String,
    /// Counts how often it was opened; only the writer with the newest epoch may write.
    pub epoch: u64,
    /// The sequence number that comes next.
    pub next_seq: u64,
    /// The token of the batch before it.
    pub token: Option<String>,
    /// Rows dealt with in all: committed, or rejected.
    pub rows: u64,
    /// Whether all that survives a crash of the Postgres server. A commit that waits for the disk (`synchronous_commit` is
    /// not off) takes everything before it along, so the last one decides.
    #[serde(default)]
    pub durable: bool,
    /// Hash of the batch before the next one.
    #[serde(skip)]
    pub last_hash: Option<Vec<u8>>,
    /// Result of the finished stream; nothing more is written to it then.
    #[serde(rename = "result")]
    pub finished: Option<Finished>,
}

/// A stream to open or to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamName {
    /// The caller's namespace: its principal's name, empty without authentication.
    pub owner: String,
    /// The name within it.
    pub stream_id: String,
}

/// What one chunk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of the chunk that are in the table (or staged for it).
    pub rows: u64,
    /// Rows that went to the reject table.
    pub rejected: u64,
    /// Rows that a trigger of the table left out.
    pub suppressed: u64,
    /// Whether the rows are committed.
    pub committed: bool,
    /// Whether they survive a crash of the server (`synchronous_commit` is not off).
    pub durable: bool,
    /// Sequence number after the last one written, where the stream is resumable.
    pub next_seq: Option<u64>,
    /// Token of the last batch written.
    pub token: Option<String>,
}

/// What a load did, for the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The table, with its schema.
    pub table: String,
    /// DDL that was needed, in order; empty when the table fitted.
    pub migration: Vec<String>,
    /// Rows inserted or changed by an overwrite; equals the rows sent for an append.
    pub affected: u64,
    /// Stale rows deleted.
    #[serde(default)]
    pub deleted: u64,
    /// Rows of the stream that are in the table.
    #[serde(default)]
    pub rows: u64,
    /// Rows of the stream that went to the reject table.
    #[serde(default)]
    pub rejected: u64,
    /// Rows of the stream that a trigger of the table left out.
    #[serde(default)]
    pub suppressed: u64,
    /// The load's name in the reject table, where some went there.
    #[serde(default)]
    pub load_id: Option<String>,
}
