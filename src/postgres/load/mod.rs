//! One load into one table: append straight by COPY, overwrite through a staging table. Implements the core's ports.
//!
//! - `commit: atomic`: one transaction on one connection; nothing is visible before `finish`.
//! - `commit: batch`: each chunk is a transaction of its own and durable when its `write` returns.
//!
//! A chunk is one COPY statement, because the driver shows a server error only at the end of a COPY. A connection whose
//! COPY failed is closed: the driver and the server may disagree about what comes next on it.

mod commands;
mod copy_in;
pub mod delete;
mod destination;
mod factory;
mod lane;
pub mod merge;
mod probe;

pub use destination::PgDestination;
pub use factory::PgDestinations;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::copy::CopyPlan;
use super::error::Error;
use super::pool::Connections;
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::{Chunk, Finished, Load, Written};
use crate::model::ident::TableName;
use crate::model::options::CommitMode;
use lane::Lane;
use merge::Merge;

/// Everything about a load that does not change while it runs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Target, with schema.
    pub(crate) table: TableName,
    /// How batches become COPY data.
    pub(crate) copy: CopyPlan,
    /// COPY statement: into the table, or into the staging table.
    pub(crate) copy_sql: String,
    /// The merge, where rows overwrite.
    pub(crate) merge: Option<Merge>,
    /// Settings of each transaction, e.g. `set local lock_timeout = 1000`; empty for the session's own.
    pub(crate) settings: String,
    /// One transaction for all chunks, or one each.
    pub(crate) commit: CommitMode,
    /// How often a chunk is tried again when another transaction was in the way.
    pub(crate) retries: u32,
}

/// A running load.
#[derive(Debug)]
pub(crate) struct PgLoad {
    plan: Arc<Plan>,
    connections: Connections,
    /// Connections of this load that are between two chunks. In atomic mode the one that holds the transaction.
    idle: Mutex<Vec<Lane>>,
    lanes: usize,
    affected: AtomicU64,
    migration: Vec<String>,
}

impl PgLoad {
    async fn lane(&self) -> Result<Lane, Error> {
        match self.idle.lock().await.pop() {
            Some(lane) => Ok(lane),
            None => Ok(Lane::new(self.connections.get().await?, Arc::clone(&self.plan))),
        }
    }

    /// One transaction per chunk, tried again when another one was in the way.
    async fn write_committed(&self, chunk: &Chunk) -> Result<u64, Error> {
        let mut attempt = 0;
        loop {
            let mut lane = self.lane().await?;
            match lane.write_and_commit(chunk).await {
                Ok(affected) => {
                    self.idle.lock().await.push(lane);
                    return Ok(affected);
                }
                // The lane is dropped and with it its connection: a failed COPY leaves no usable session.
                Err(error) if retry::worth_it(&error, attempt, self.plan.retries) => {
                    drop(lane);
                    attempt += 1;
                    let pause = retry::pause(attempt);
                    tracing::warn!(error = %error, attempt, pause_ms = pause.as_millis(), "chunk is tried again");
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next chunk of the one transaction.
    async fn write_open(&self, chunk: &Chunk) -> Result<u64, Error> {
        let mut lane = self.lane().await?;
        let affected = lane.write(chunk).await?;
        self.idle.lock().await.push(lane);
        Ok(affected)
    }
}

mod retry {
    //! When a chunk is tried again and after which pause.

    use std::time::Duration;

    use super::Error;
    use crate::postgres::sqlstate::Remedy;

    /// Tries that deadlocks and serialization failures always get: they are nobody's fault, and one side must go on.
    const LEAST_RETRIES: u32 = 10;
    const FIRST_PAUSE_MS: u64 = 10;
    const LONGEST_PAUSE_MS: u64 = 2_000;

    pub(super) fn worth_it(error: &Error, attempt: u32, configured: u32) -> bool {
        let limit = configured.max(LEAST_RETRIES);
        match error.remedy() {
            Remedy::Again | Remedy::Reconnect => attempt < limit,
            Remedy::None | Remedy::Replan | Remedy::Unknown => false,
        }
    }

    /// Exponential with full jitter, so that two that met do not meet again.
    pub(super) fn pause(attempt: u32) -> Duration {
        let longest = FIRST_PAUSE_MS
            .saturating_mul(1 << attempt.min(16))
            .min(LONGEST_PAUSE_MS);
        Duration::from_millis(fastrand::u64(0..=longest))
    }
}

#[async_trait]
impl Load for PgLoad {
    async fn write(&self, chunk: Chunk) -> Result<Written, IngestError> {
        let durable = self.plan.commit == CommitMode::Batch;
        let affected = match durable {
            true => self.write_committed(&chunk).await?,
            false => self.write_open(&chunk).await?,
        };
        self.affected.fetch_add(affected, Ordering::Relaxed);
        Ok(Written {
            rows: chunk.rows,
            rejected: 0,
            durable,
        })
    }

    async fn finish(&self) -> Result<Finished, IngestError> {
        let lanes: Vec<Lane> = std::mem::take(&mut *self.idle.lock().await);
        for mut lane in lanes {
            let affected = lane.finish().await?;
            self.affected.fetch_add(affected, Ordering::Relaxed);
        }
        Ok(Finished {
            table: self.plan.table.to_string(),
            migration: self.migration.clone(),
            affected: self.affected.load(Ordering::Relaxed),
        })
    }

    fn lanes(&self) -> usize {
        self.lanes
    }
}
