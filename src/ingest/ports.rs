//! What the core asks of a destination, and what a destination promises.
//!
//! Guarantees, not mechanics: the Postgres side implements these traits, tests of the core implement them with fakes.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use serde::Serialize;

use super::budget::BytePermit;
use super::error::Error;
use super::request::LoadRequest;
use crate::model::caller::Caller;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::migration::MigrationReport;

pub use super::connection::{ConnectionFailure, ConnectionFault, Destinations};

/// A place that takes loads.
#[async_trait]
pub trait Destination: Debug + Send + Sync {
    /// Prepares a load: the table is made fit (or the load refused) and the encoder planned. No row is written yet,
    /// and everything that can be refused without seeing a row is refused here.
    async fn open(&self, caller: &Caller, request: LoadRequest) -> Result<Arc<dyn Load>, Error>;

    /// Whether loads would work now; the text says why not.
    async fn ready(&self) -> Result<(), Error>;

    /// Connects and looks: login, database and schema; the failure is told apart for the person who configured it.
    async fn test_connection(&self) -> Result<(), ConnectionFailure>;

    /// Makes a table fit a schema, or says what that would take. Nothing is changed when it is refused.
    async fn migrate(&self, caller: &Caller, command: MigrateCommand) -> Result<MigrationReport, Error>;

    /// Deletes stale rows and returns their number. Done in slices: a failure may leave some deleted.
    async fn delete_stale(&self, caller: &Caller, command: DeleteStale) -> Result<u64, Error>;

    /// Deletes records and what hangs below them, all or nothing, and returns the number of rows in all tables.
    async fn delete_records(&self, caller: &Caller, command: DeleteRecords) -> Result<u64, Error>;

    /// How many connections it may hold at once; a door opens no more loads than that.
    fn connections(&self) -> usize;
}

/// One load into one table. Dropping it before [`Load::finish`] returned rolls back what is not committed.
#[async_trait]
pub trait Load: Debug + Send + Sync {
    /// Writes one chunk, all of it or nothing. With `commit: batch` its rows are durable when this returns, with
    /// `commit: atomic` only after [`Load::finish`]. Calls run one after another unless [`Load::lanes`] is above 1.
    async fn write(&self, chunk: Chunk) -> Result<Written, Error>;

    /// Ends the load: commits what `atomic` held back. Called once, after every `write` returned.
    async fn finish(&self) -> Result<Finished, Error>;

    /// How many chunks may be written at once.
    fn lanes(&self) -> usize;
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
}

/// What one chunk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows of the chunk that are in the table (or staged for it).
    pub rows: u64,
    /// Rows that went to the reject table.
    pub rejected: u64,
    /// Whether the rows are committed.
    pub durable: bool,
}

/// What a load did, for the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// The table, with its schema.
    pub table: String,
    /// DDL that was needed, in order; empty when the table fitted.
    pub migration: Vec<String>,
    /// Rows inserted or changed by an overwrite; equals the rows sent for an append.
    pub affected: u64,
}
