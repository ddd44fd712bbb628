//! Drives one stream: cuts batches into chunks, writes them through a [`Load`] with bounded read-ahead, and ends the load
//! only when the stream really ended. Dropping a session aborts its load. Knows no protocol and no database.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::batcher::{Batcher, ChunkLimits, IncomingBatch};
use super::counted::{self, Door};
use super::cursor::Cursor;
use super::error::{Error, Kept, StreamError};
use super::guard::Guarded;
use super::journal::{Entry, Journal};
use super::loader::{Step, drive, ended_early, joined};
use super::ports::{Finished, Load};
pub use super::progress::{Progress, StreamProgress};
use super::request::{LoadOptions, LoadRequest};
use crate::model::caller::Caller;
use crate::model::options::CommitMode;

/// Chunks that wait for the loader: one is being written, one waits, one is being filled.
const CHUNKS_AHEAD: usize = 1;

/// What a finished stream did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Counts.
    pub progress: Progress,
    /// The destination's part.
    pub finished: Finished,
}

/// Longest time that an open transaction hears nothing while rows come slowly.
const QUIET_AT_MOST: std::time::Duration = std::time::Duration::from_secs(10);

/// After which a load is asked again whether it holds something; it may have been busy with letting go.
const HOLDS_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

/// How the client said the stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamEnd {
    /// Rows that a commit message announced.
    pub committed_rows: Option<u64>,
}

/// A running stream.
#[derive(Debug)]
pub struct Session {
    table: String,
    options: LoadOptions,
    batcher: Batcher,
    chunks: Option<mpsc::Sender<Step>>,
    /// The loader has it; with the loader it goes.
    load: Weak<dyn Load>,
    loader: JoinHandle<Result<Finished, Error>>,
    report: watch::Sender<Progress>,
    cursor: Option<Cursor>,
    stored: Option<Finished>,
    entry: Arc<Entry>,
}

impl Session {
    /// Opens the load.
    ///
    /// # Errors
    /// Whatever the destination refuses; nothing is written then.
    pub async fn open(
        journal: &Journal,
        door: Door,
        destination: &Guarded,
        caller: &Caller,
        request: LoadRequest,
    ) -> Result<Self, Error> {
        let entry = journal.open(door, caller, &request);
        let options = request.options.clone();
        let opening = destination.open(caller, request).instrument(entry.span().clone()).await;
        let load = opening.inspect_err(|error| entry.failed(error))?;
        let (chunks, steps) = mpsc::channel(CHUNKS_AHEAD);
        let (table, stream) = (load.table(), load.stream());
        let report = watch::Sender::new(Progress {
            stream: stream.as_ref().map(StreamProgress::at),
            ..Progress::default()
        });
        entry.opened(&table, report.subscribe());
        let weak = Arc::downgrade(&load);
        let loader = tokio::spawn(drive(load, steps, report.clone()).instrument(entry.span().clone()));
        let stored = stream.as_ref().and_then(|stream| stream.finished.clone());
        let labelled = options.commit == CommitMode::Batch || stored.is_some();
        let cursor = stream.filter(|_| labelled).map(Cursor::at);
        // Without commits before the end, writing a small chunk early gains only that Postgres hears from us.
        let age = match options.commit {
            CommitMode::Batch => options.chunk_age,
            CommitMode::Atomic => QUIET_AT_MOST,
        };
        let limits = ChunkLimits {
            rows: options.chunk_rows,
            bytes: options.chunk_bytes,
            age: Some(age),
        };
        Ok(Self {
            table,
            options,
            batcher: Batcher::new(limits),
            chunks: Some(chunks),
            load: weak,
            loader,
            report,
            cursor,
            stored,
            entry,
        })
    }

    /// Takes a batch; waits while the loader is behind.
    ///
    /// # Errors
    /// The failure of an earlier chunk; the session is then over.
    pub async fn push(&mut self, mut batch: IncomingBatch) -> Result<(), Error> {
        counted::received(batch.batch.num_rows(), batch.wire_bytes);
        self.entry
            .received(batch.batch.num_rows() as u64, batch.wire_bytes as u64);
        if self.cursor.is_none() {
            batch.label = None;
        }
        if self.is_replay(&batch)? {
            return Ok(());
        }
        for chunk in self.batcher.push(batch, Instant::now()) {
            self.send(Step::Chunk(chunk)).await?;
        }
        Ok(())
    }

    /// Whether every batch needs a sequence number.
    pub fn wants_labels(&self) -> Option<&str> {
        let cursor = self.cursor.as_ref().filter(|_| self.stored.is_none())?;
        Some(&cursor.stream_id)
    }

    /// Whether rows wait in memory for their chunk to fill.
    pub fn holds_rows(&self) -> bool {
        self.batcher.holds_rows()
    }

    /// Whether the batch was committed before, or waits to be; moves the cursor where it was not.
    fn is_replay(&mut self, batch: &IncomingBatch) -> Result<bool, StreamError> {
        let Some(cursor) = &mut self.cursor else {
            return Ok(false);
        };
        let rows = batch.batch.num_rows() as u64;
        let replayed = match &batch.label {
            _ if self.stored.is_some() => true,
            Some(label) => cursor.admit(label)?,
            None => false,
        };
        if replayed {
            counted::duplicate(rows);
            self.report.send_modify(|progress| progress.add_duplicate(rows));
        }
        Ok(replayed)
    }

    /// Writes what is pending without waiting for a full chunk.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        match self.batcher.take() {
            Some(chunk) => self.send(Step::Chunk(chunk)).await,
            None => Ok(()),
        }
    }

    /// Ready when this load holds a connection and nothing in memory: it can then only go on with its next message, and
    /// others wait for that connection with memory in their hands. An error when the load failed meanwhile.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub async fn starved(&mut self) -> Result<(), Error> {
        let (received, load) = (self.batcher.rows(), &self.load);
        let mut report = self.report.subscribe();
        let written = async {
            // The sender lives as long as this session.
            let all = report.wait_for(|progress| progress.rows + progress.rejected + progress.suppressed >= received);
            drop(all.await);
            // With nothing to write it may let go of what it holds, and takes nothing up: who holds nothing waits like others.
            while !load.upgrade().is_some_and(|load| load.holds()) {
                tokio::time::sleep(HOLDS_AGAIN).await;
            }
        };
        tokio::select! {
            () = written => Ok(()),
            ended = &mut self.loader => {
                let error = ended_early(ended);
                self.entry.failed(&error);
                Err(error)
            }
        }
    }

    /// Ends the stream: checks the announced row counts, writes the rest and commits.
    ///
    /// # Errors
    /// A count that does not match (nothing more is committed), or the destination's failure.
    pub async fn finish(mut self, end: StreamEnd) -> Result<Summary, Error> {
        let ended = self.end(end).await;
        match &ended {
            Ok(Summary { progress, finished }) => {
                self.entry
                    .finished(progress, finished.deleted, finished.migration.len());
            }
            Err(error) => self.entry.failed(error),
        }
        ended
    }

    async fn end(&mut self, end: StreamEnd) -> Result<Summary, Error> {
        if let Some(stored) = self.stored.take() {
            return Ok(self.stored_summary(stored));
        }
        self.check_end(end)?;
        if let Some(load) = self.load.upgrade() {
            load.complete();
        }
        self.flush().await?;
        let complete = end.committed_rows.is_some() || self.options.expected_rows.is_some();
        self.send(Step::Finish(complete)).await?;
        self.chunks = None;
        let finished = self.outcome().await?;
        let progress = self.report.borrow().clone();
        // After the load finished, everything written is committed, or was found bad when it was merged.
        let (rejected, suppressed) = match self.options.commit {
            CommitMode::Atomic => (finished.rejected, finished.suppressed),
            CommitMode::Batch => (progress.rejected, progress.suppressed),
        };
        let rows = progress.rows + progress.rejected + progress.suppressed - rejected - suppressed;
        Ok(Summary {
            progress: Progress {
                rows,
                committed: rows,
                rejected,
                suppressed,
                ..progress
            },
            finished,
        })
    }

    /// The answer to a stream that was finished before: what was answered then.
    fn stored_summary(&self, finished: Finished) -> Summary {
        let progress = self.report.borrow().clone();
        Summary {
            progress: Progress {
                rows: finished.rows,
                committed: finished.rows,
                rejected: finished.rejected,
                suppressed: finished.suppressed,
                ..progress
            },
            finished,
        }
    }

    /// Its line in the journal, for what ends it outside of here.
    pub fn entry(&self) -> Arc<Entry> {
        Arc::clone(&self.entry)
    }

    /// The table, with its schema.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Rows received so far.
    pub fn received(&self) -> u64 {
        self.batcher.rows()
    }

    /// Rows that stay in the table whatever happens next.
    pub fn kept(&self) -> Kept {
        Kept {
            rows: self.report.borrow().committed,
        }
    }

    /// Counts as they change, for progress acks.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        let mut watch = self.report.subscribe();
        // A resumed client asks where the stream stands: its first answer says so.
        if watch.borrow().stream.is_some() {
            watch.mark_changed();
        }
        watch
    }

    /// When pending rows should be flushed although no more came; never in atomic mode.
    pub fn flush_at(&self) -> Option<Instant> {
        self.batcher.deadline()
    }

    fn check_end(&self, end: StreamEnd) -> Result<(), StreamError> {
        let before = self.cursor.as_ref().map_or(0, |cursor| cursor.rows_before);
        let received = before + self.received();
        let announced = [
            ("expected_rows", self.options.expected_rows),
            ("the commit message", end.committed_rows),
        ];
        for (place, announced) in announced {
            if let Some(announced) = announced.filter(|announced| *announced != received) {
                return Err(StreamError::RowCount {
                    place,
                    announced,
                    received,
                    kept: self.kept(),
                });
            }
        }
        if self.options.strict && self.options.expected_rows.is_none() && end.committed_rows.is_none() {
            return Err(StreamError::NoCommit {
                received,
                kept: self.kept(),
            });
        }
        Ok(())
    }

    async fn send(&mut self, step: Step) -> Result<(), Error> {
        let sent = match &self.chunks {
            Some(chunks) => chunks.send(step).await.is_ok(),
            None => false,
        };
        if sent {
            return Ok(());
        }
        // The loader only stops receiving when it failed, so its outcome is the reason.
        self.chunks = None;
        let error = ended_early((&mut self.loader).await);
        self.entry.failed(&error);
        Err(error)
    }

    async fn outcome(&mut self) -> Result<Finished, Error> {
        joined((&mut self.loader).await)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.loader.abort();
    }
}
