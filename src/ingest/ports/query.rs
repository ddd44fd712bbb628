//! Statements of SQL that a client sends itself, where the destination runs some. Decides nothing about them.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::TableReader;
use crate::ingest::error::Error;
use crate::ingest::guard::permit::Permit;

/// A database that runs clients' statements.
#[async_trait]
pub trait Queries: Debug + Send + Sync {
    /// What a statement takes and gives. It is parsed and not run.
    async fn prepare(&self, permit: &Permit, sql: &str) -> Result<Prepared, Error>;

    /// Runs a statement and gives its rows, once for each row of parameters. Dropping the reader ends the work. A statement
    /// that gives no columns is run as well, where statements may change something.
    async fn query(&self, permit: &Permit, statement: Statement) -> Result<TableReader, Error>;

    /// Runs a statement, once for each row of parameters, all or nothing, and counts the rows that it changed.
    async fn execute(&self, permit: &Permit, statement: Statement) -> Result<u64, Error>;
}

/// What a statement takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Its parameters, in order.
    pub parameters: SchemaRef,
    /// The columns of its result; none for one that gives no rows.
    pub columns: SchemaRef,
}

/// A statement to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its text.
    pub sql: String,
    /// Values of its parameters, a row for each time that it is run; `None` where there are none.
    pub parameters: Option<RecordBatch>,
}
