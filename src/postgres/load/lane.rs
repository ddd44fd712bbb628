//! One connection of a load: its transaction, its staging table, one chunk after another.

use std::sync::Arc;

use super::Plan;
use super::copy_in::{CopyFailure, copy_chunk};
use crate::ingest::ports::Chunk;
use crate::postgres::error::{Error, place};
use crate::postgres::pool::Connection;

/// A connection with what this load did to it.
#[derive(Debug)]
pub(crate) struct Lane {
    connection: Connection,
    plan: Arc<Plan>,
    in_transaction: bool,
    staged: bool,
}

impl Lane {
    pub(crate) fn new(connection: Connection, plan: Arc<Plan>) -> Self {
        Self {
            connection,
            plan,
            in_transaction: false,
            staged: false,
        }
    }

    /// A lane whose connection has a transaction open already, e.g. the one that created the table.
    pub(crate) fn in_transaction(connection: Connection, plan: Arc<Plan>) -> Self {
        Self {
            connection,
            plan,
            in_transaction: true,
            staged: false,
        }
    }

    /// Writes one chunk as a transaction. After an error the lane must be dropped.
    ///
    /// The transaction is always an explicit one. A COPY without it would be two round trips cheaper, but Postgres answers
    /// such a COPY with its row count before it commits (at the Sync after it), and the driver takes that answer for the
    /// end: what fails at commit would be acked, and a connection lost in between would be retried into doubled rows.
    pub(crate) async fn write_and_commit(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let copied = self.write(chunk).await?;
        let merged = self.merge().await?;
        self.commit().await?;
        Ok(merged.unwrap_or(copied))
    }

    /// Writes one chunk into the open transaction, opening it first where needed. For an overwrite the rows are staged,
    /// and 0 is returned: what they change is known after the merge.
    pub(crate) async fn write(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        self.begin().await?;
        let rows = self.copy(chunk).await?;
        Ok(if self.plan.merge.is_some() { 0 } else { rows })
    }

    /// Merges what is staged, commits, and leaves the session as it was.
    pub(crate) async fn finish(&mut self) -> Result<u64, Error> {
        let mut affected = 0;
        if self.in_transaction {
            affected = self.merge().await?.unwrap_or(0);
            self.commit().await?;
        }
        if let (true, Some(merge)) = (self.staged, &self.plan.merge) {
            self.connection.mark_dirty();
            let dropped = self.connection.client().batch_execute(&merge.drop_stage()).await;
            match dropped {
                Ok(()) => self.connection.mark_clean(),
                // The rows are committed; the session goes, and its temporary table with it.
                Err(error) => tracing::warn!(error = %error, "the staging table could not be dropped"),
            }
        }
        Ok(affected)
    }

    async fn begin(&mut self) -> Result<(), Error> {
        if self.in_transaction {
            return Ok(());
        }
        self.connection.mark_dirty();
        let begin = format!("begin; {}", self.plan.settings);
        self.execute(&begin, "opening a transaction").await?;
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        match self.connection.client().batch_execute("commit").await {
            Ok(()) => {
                self.in_transaction = false;
                self.connection.mark_clean();
                Ok(())
            }
            // The server said that it did not commit (a deferred constraint, a serialization failure).
            Err(error) if error.code().is_some() => Err(Error::statement(self.doing("committing"), error)),
            Err(error) => {
                tracing::error!(error = %error, table = %self.plan.table, "the answer to COMMIT was lost");
                Err(Error::CommitUnknown {
                    table: self.plan.table.to_string(),
                })
            }
        }
    }

    async fn copy(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        self.ensure_stage().await?;
        let client = self.connection.client();
        match copy_chunk(client, &self.plan.copy_sql, &self.plan.copy, chunk).await {
            Ok(stored) if stored == chunk.rows => Ok(stored),
            Ok(stored) => Err(Error::RowsLost {
                table: self.plan.table.to_string(),
                sent: chunk.rows,
                stored,
            }),
            Err(CopyFailure::Cell { row, cell }) => Err(Error::Cell {
                table: self.plan.table.to_string(),
                row,
                cell: Box::new(cell),
            }),
            Err(CopyFailure::Server(source)) => {
                let place = source.as_db_error().and_then(place);
                let row = place.map(|place| chunk.first_row + place.line.saturating_sub(1));
                let at = row.map_or_else(String::new, |row| format!(" (row {row} of the stream, counted from 0)"));
                Err(Error::Statement {
                    doing: self.doing("loading rows") + &at,
                    row,
                    source,
                })
            }
        }
    }

    async fn ensure_stage(&mut self) -> Result<(), Error> {
        if let (false, Some(merge)) = (self.staged, &self.plan.merge) {
            let create = merge.create_stage();
            self.execute(&create, "creating the staging table").await?;
            self.staged = true;
        }
        Ok(())
    }

    async fn merge(&mut self) -> Result<Option<u64>, Error> {
        let Some(merge) = &self.plan.merge else { return Ok(None) };
        if !self.staged {
            return Ok(Some(0));
        }
        let merged = self.connection.client().execute(&merge.merge(), &[]).await;
        merged
            .map(Some)
            .map_err(|error| Error::statement(self.doing("merging rows"), error))
    }

    async fn execute(&self, sql: &str, what: &str) -> Result<(), Error> {
        let done = self.connection.client().batch_execute(sql).await;
        done.map_err(|error| Error::statement(self.doing(what), error))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} into {}", self.plan.table)
    }
}
