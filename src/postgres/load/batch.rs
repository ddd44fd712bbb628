//! `commit: batch`: each chunk is a transaction of its own, run again until it is committed or cannot be.
//!
//! Between two chunks nothing is held: no connection, no transaction, no lock.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::halve::halves;
use super::left_out::LeftOut;
use super::outcome::Outcome;
use super::plan::Plan;
use super::refusals::meets_key;
use super::reject::RejectCount;
use super::retry::Next;
use super::shared::Shared;
use super::stale::{Sources, Stale};
use super::stream::Writer;
use super::together::{self, Joined};
use super::transaction::Transaction;
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::{Chunk, Finished, Load, StreamState, Written};
use crate::postgres::error::Error;
use crate::telemetry::names;

/// A load whose chunks commit one by one.
#[derive(Debug)]
pub(super) struct BatchLoad {
    shared: Shared,
    stream: Option<Writer>,
    lanes: usize,
    migration: Mutex<Vec<String>>,
    /// Whether chunks of an overwrite go straight into the table, for as long as they meet no key.
    direct: AtomicBool,
    /// Whether there was a chunk with rows, and whether one was committed.
    tried: AtomicBool,
    committed: AtomicBool,
    affected: AtomicU64,
    rejected: AtomicU64,
    suppressed: AtomicU64,
    rejects: RejectCount,
    sources: Mutex<Sources>,
}

/// What a try did before its COMMIT was sent, for when it turns out that it was carried out.
#[derive(Clone, Copy, Debug)]
struct Tried {
    affected: u64,
    left_out: LeftOut,
}

impl BatchLoad {
    pub(super) fn new(shared: Shared, stream: Option<Writer>, lanes: usize, migration: Vec<String>) -> Self {
        let plan = shared.plan();
        Self {
            direct: AtomicBool::new(plan.stage.is_none() || plan.starts_empty),
            sources: Mutex::new(Sources::new(&shared.request)),
            rejects: RejectCount::of(&shared.request),
            shared,
            stream,
            lanes,
            migration: Mutex::new(migration),
            tried: AtomicBool::new(false),
            committed: AtomicBool::new(false),
            affected: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Writes a chunk for good.
    fn write_chunk(&self, chunk: Chunk) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(async move {
            let mut tries = self.shared.tries();
            let mut in_doubt = None;
            let mut tried = None;
            loop {
                let started = Instant::now();
                let error = match self.attempt(&chunk, &mut tried).await {
                    Ok(written) => {
                        self.shared.went_through(&tries);
                        return Ok(written);
                    }
                    Err(error) if self.shared.distrusts(&error) => {
                        let looked = self.look().await;
                        looked.map_err(|error| unless_in_doubt(in_doubt.as_ref(), error))?;
                        continue;
                    }
                    Err(error) => self.shared.explained(error).await,
                };
                if self.falls_back(&error) {
                    continue;
                }
                if let Error::CommitUnknown { mark, table } = &error {
                    match (&self.stream, mark) {
                        // The next try locks the stream's row, and that tells.
                        (Some(_), _) => in_doubt = Some(table.clone()),
                        (None, Some(mark)) => match self.shared.destination.outcome(mark).await {
                            Outcome::Committed => return Ok(self.was_written(&chunk, tried, true)),
                            Outcome::Aborted => {}
                            // An overwrite of the same rows changes nothing the second time.
                            Outcome::Unknown if self.shared.plan().is_repeatable() => {}
                            Outcome::Unknown => return Err(error),
                        },
                        (None, None) => return Err(error),
                    }
                }
                match self.shared.after(&mut tries, &error, started) {
                    Next::Retry(pause) => tokio::time::sleep(pause).await,
                    Next::Replan => self.shared.replan().await?,
                    Next::Halve => return self.write_halves(chunk, error).await,
                    Next::GiveUp => return Err(unless_in_doubt(in_doubt.as_ref(), error)),
                }
            }
        })
    }

    /// Looks at the table, as if it had been done when the load was opened. One that has rows of this load must still be there.
    async fn look(&self) -> Result<(), Error> {
        if self.committed.load(Ordering::Relaxed) {
            return self.shared.replan().await;
        }
        let (shared, connections) = (&self.shared, &self.shared.destination.connections);
        let opened = shared
            .destination
            .open_table(&shared.request, connections.get())
            .await?;
        let plan = opened.plan;
        self.direct
            .store(plan.stage.is_none() || plan.starts_empty, Ordering::Relaxed);
        self.migration.lock().await.extend(opened.migration);
        shared.set_plan(plan);
        Ok(())
    }

    async fn write_halves(&self, chunk: Chunk, error: Error) -> Result<Written, Error> {
        let Some((first, second)) = halves(&chunk) else {
            return Err(error);
        };
        drop(chunk);
        let first = self.write_chunk(first).await?;
        let second = self.write_chunk(second).await?;
        Ok(Written {
            rows: first.rows + second.rows,
            rejected: first.rejected + second.rejected,
            suppressed: first.suppressed + second.suppressed,
            ..second
        })
    }

    /// Whether the chunk must be merged after all, because its keys are there already.
    fn falls_back(&self, error: &Error) -> bool {
        self.shared.plan().stage.is_some() && meets_key(error) && self.direct.swap(false, Ordering::Relaxed)
    }

    /// One try: its rows and the stream's progress in one transaction.
    async fn attempt(&self, chunk: &Chunk, tried: &mut Option<Tried>) -> Result<Written, Error> {
        let plan = self.shared.plan();
        let connection = self.shared.destination.connections.get().await?;
        self.shared.check_trust(&connection)?;
        let on_trust = self.shared.is_on_trust();
        let tries_direct = plan.stage.is_some() && self.direct.load(Ordering::Relaxed);
        if self.stream.is_none() && !tries_direct && chunk.rows > 0 && plan.rejects.is_none() {
            let (tx, stored) = Transaction::open_copying(connection, Arc::clone(&plan), chunk).await?;
            let mut tx = tx.on_trust(on_trust);
            let affected = match &plan.stage {
                None => stored,
                Some(_) => tx.unstage(places(chunk), Some(chunk)).await?,
            };
            return self.commit(tx, chunk, affected, tried).await;
        }
        let tx = Transaction::open(connection, plan.clone()).await?;
        let mut tx = tx.counting_in(&self.rejects).on_trust(on_trust);
        let mut durable = true;
        if let Some(stream) = &self.stream {
            let locked = tx.answered(stream.lock(tx.client(), Some(chunk))).await?;
            durable = locked.durable;
            if locked.done {
                // What is visible to us has reached the disk and the standbys once a later transaction has.
                tx.commit().await?;
                return Ok(self.was_written(chunk, *tried, durable));
            }
        }
        let affected = self.copy(&mut tx, &plan, chunk).await?;
        let next = match &self.stream {
            Some(stream) => Some(tx.answered(stream.advance(tx.client(), chunk)).await?),
            None => None,
        };
        let left_out = tx.left_out();
        *tried = Some(Tried { affected, left_out });
        tx.commit().await?;
        if let (Some(stream), Some(next)) = (&self.stream, next) {
            stream.committed(next);
        }
        Ok(self.written(chunk, affected, left_out, durable))
    }

    /// Commits rows of a load without a stream.
    async fn commit(
        &self,
        tx: Transaction,
        chunk: &Chunk,
        affected: u64,
        tried: &mut Option<Tried>,
    ) -> Result<Written, Error> {
        let left_out = tx.left_out();
        *tried = Some(Tried { affected, left_out });
        tx.commit().await?;
        Ok(self.written(chunk, affected, left_out, true))
    }

    async fn copy(&self, tx: &mut Transaction, plan: &Plan, chunk: &Chunk) -> Result<u64, Error> {
        if chunk.rows == 0 {
            return Ok(0);
        }
        if plan.stage.is_none() {
            return tx.copy_direct(chunk).await;
        }
        if self.direct.load(Ordering::Relaxed) {
            return tx.copy_direct_unless_waiting(chunk).await;
        }
        tx.copy_staged(chunk).await?;
        tx.unstage(places(chunk), Some(chunk)).await
    }

    /// A chunk that an earlier try wrote, of this load or of one before.
    fn was_written(&self, chunk: &Chunk, tried: Option<Tried>, durable: bool) -> Written {
        let tried = tried.unwrap_or(Tried {
            affected: chunk.rows,
            left_out: LeftOut::default(),
        });
        self.rejects.count_after_all(tried.left_out.rejected);
        self.written(chunk, tried.affected, tried.left_out, durable)
    }

    fn written(&self, chunk: &Chunk, affected: u64, left_out: LeftOut, durable: bool) -> Written {
        self.committed.store(true, Ordering::Relaxed);
        let LeftOut { rejected, suppressed } = left_out;
        let rows = chunk.rows - left_out.rows();
        self.affected.fetch_add(affected, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
        self.suppressed.fetch_add(suppressed, Ordering::Relaxed);
        metrics::counter!(names::ROWS_COMMITTED).increment(rows);
        metrics::counter!(names::ROWS_REJECTED).increment(rejected);
        let last = chunk.labels.last();
        Written {
            rows,
            rejected,
            suppressed,
            committed: true,
            durable,
            next_seq: last.map(|label| label.seq + 1),
            token: last.and_then(|label| label.token.clone()),
        }
    }

    /// Deletes what is stale now that every row is committed; what is gone already is not there the next time.
    async fn delete_stale(&self, plan: &Plan, stale: &[Stale]) -> Result<u64, Error> {
        let mut tries = self.shared.tries();
        loop {
            let started = Instant::now();
            let error = match self.shared.destination.delete_stale_of(&plan.table, stale).await {
                Ok(deleted) => return Ok(deleted),
                Err(error) => error,
            };
            match self.shared.after(&mut tries, &error, started) {
                Next::Retry(pause) => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    /// Rows of the stream that are in the table, and those that were rejected, in all calls; without a stream only the
    /// latter.
    async fn stream_rows(&self, plan: &Plan, rejected: u64) -> Result<(u64, u64), Error> {
        let Some(stream) = &self.stream else {
            return Ok((0, rejected));
        };
        let of_stream = match &plan.rejects {
            None => 0,
            Some(rejects) => {
                let mut connection = self.shared.destination.connections.get().await?;
                rejects.of_stream(&*connection.scope().await?).await?
            }
        };
        Ok((stream.state().rows.saturating_sub(of_stream), of_stream))
    }

    /// Ends the stream's row, where the client said that it is complete.
    async fn finalize(&self, stream: &Writer, finished: &Finished) -> Result<(), Error> {
        let mut tries = self.shared.tries();
        loop {
            let started = Instant::now();
            let Err(error) = self.finalize_once(stream, finished).await else {
                return Ok(());
            };
            match self.shared.after(&mut tries, &error, started) {
                Next::Retry(pause) => tokio::time::sleep(pause).await,
                // Of our own table, whose kept statements are forgotten by now.
                Next::Replan => {}
                _ => return Err(error),
            }
        }
    }

    async fn finalize_once(&self, stream: &Writer, finished: &Finished) -> Result<(), Error> {
        let connection = self.shared.destination.connections.get().await?;
        let tx = Transaction::open(connection, self.shared.plan()).await?;
        if tx.answered(stream.lock(tx.client(), None)).await?.done {
            return Ok(());
        }
        tx.answered(stream.finalize(tx.client(), finished)).await?;
        tx.commit().await
    }
}

/// The failure of a chunk, unless an earlier try may be committed, of which only the stream's row can tell.
fn unless_in_doubt(in_doubt: Option<&String>, error: Error) -> Error {
    match in_doubt.filter(|_| !matches!(error, Error::Stream(_))) {
        Some(table) => Error::CommitUnknown {
            table: table.clone(),
            mark: None,
        },
        None => error,
    }
}

/// The places of a chunk's rows in the stream.
fn places(chunk: &Chunk) -> Range<u64> {
    chunk.first_row..chunk.first_row + chunk.rows
}

#[async_trait]
impl Load for BatchLoad {
    async fn write(&self, chunk: Chunk) -> Result<Written, IngestError> {
        self.sources.lock().await.note(&chunk)?;
        self.tried.fetch_or(chunk.rows > 0, Ordering::Relaxed);
        if chunk.rows == 0 && self.shared.end_trust() {
            self.look().await?;
        }
        let (plan, destination) = (self.shared.plan(), &self.shared.destination);
        let joined = match &self.stream {
            None => together::join(&plan, destination, &chunk).await?,
            Some(_) => Joined::Alone(None),
        };
        match joined {
            Joined::Committed => Ok(self.written(&chunk, chunk.rows, LeftOut::default(), true)),
            Joined::Alone(_turn) => Ok(self.write_chunk(chunk).await?),
        }
    }

    async fn finish(&self, complete: bool) -> Result<Finished, IngestError> {
        // Without any row nobody has looked yet whether there is such a table.
        if !self.tried.load(Ordering::Relaxed) && self.shared.end_trust() {
            self.look().await?;
        }
        let plan = self.shared.plan();
        let rejected = self.rejected.load(Ordering::Relaxed);
        let (rows, of_stream) = self.stream_rows(&plan, rejected).await?;
        let mut finished = Finished {
            table: plan.table.to_string(),
            migration: self.migration.lock().await.clone(),
            affected: self.affected.load(Ordering::Relaxed),
            deleted: 0,
            rows,
            rejected: of_stream,
            suppressed: self.suppressed.load(Ordering::Relaxed),
            load_id: self.shared.load_id(rejected),
        };
        let stale = self.sources.lock().await.stale();
        if complete && self.shared.may_delete_stale(&stale, rejected + finished.suppressed) {
            finished.deleted = self.delete_stale(&plan, &stale).await?;
        }
        if let (true, Some(stream)) = (complete, &self.stream) {
            self.finalize(stream, &finished).await?;
        }
        plan.settled().await?;
        Ok(finished)
    }

    fn lanes(&self) -> usize {
        self.lanes
    }

    fn table(&self) -> String {
        self.shared.plan().table.to_string()
    }

    fn stream(&self) -> Option<StreamState> {
        self.stream.as_ref().map(Writer::state)
    }
}
