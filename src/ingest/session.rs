//! Drives one stream: cuts batches into chunks, writes them through a [`Load`] with bounded read-ahead, and ends the load
//! only when the stream really ended. Dropping a session aborts its load. Knows no protocol and no database.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::batcher::{Batcher, ChunkLimits, IncomingBatch};
use super::counted::{self, Door, OpenStream};
use super::cursor::Cursor;
use super::error::{Error, Kept, StreamError};
use super::guard::Guarded;
use super::ports::{Chunk, Finished, Load, Written};
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
    open: OpenStream,
}

/// What the loader task is told.
#[derive(Debug)]
enum Step {
    Chunk(Chunk),
    /// The stream is complete, and whether the client said how many rows that makes. A channel that closes without this
    /// word means: abort.
    Finish(bool),
}

impl Session {
    /// Opens the load.
    ///
    /// # Errors
    /// Whatever the destination refuses; nothing is written then.
    pub async fn open(door: Door, destination: &Guarded, caller: &Caller, request: LoadRequest) -> Result<Self, Error> {
        let mut open = OpenStream::of(door);
        let options = request.options.clone();
        let load = destination.open(caller, request).await.inspect_err(|_| open.failed())?;
        let (chunks, steps) = mpsc::channel(CHUNKS_AHEAD);
        let (table, stream) = (load.table(), load.stream());
        let report = watch::Sender::new(Progress {
            stream: stream.as_ref().map(StreamProgress::at),
            ..Progress::default()
        });
        let weak = Arc::downgrade(&load);
        let loader = tokio::spawn(drive(load, steps, report.clone()));
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
            open,
        })
    }

    /// Takes a batch; waits while the loader is behind.
    ///
    /// # Errors
    /// The failure of an earlier chunk; the session is then over.
    pub async fn push(&mut self, mut batch: IncomingBatch) -> Result<(), Error> {
        counted::received(batch.batch.num_rows(), batch.wire_bytes);
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
                self.open.failed();
                Err(ended_early(ended))
            }
        }
    }

    /// Ends the stream: checks the announced row counts, writes the rest and commits.
    ///
    /// # Errors
    /// A count that does not match (nothing more is committed), or the destination's failure.
    pub async fn finish(mut self, end: StreamEnd) -> Result<Summary, Error> {
        let ended = self.end(end).await;
        match ended {
            Ok(_) => self.open.finished(),
            Err(_) => self.open.failed(),
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
        self.open.failed();
        Err(ended_early((&mut self.loader).await))
    }

    async fn outcome(&mut self) -> Result<Finished, Error> {
        joined((&mut self.loader).await)
    }
}

fn joined(outcome: Result<Result<Finished, Error>, JoinError>) -> Result<Finished, Error> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Err(Error::Internal("the load was cancelled".to_owned())),
        Err(error) => Err(Error::Internal(format!("the load's task ended unexpectedly: {error}"))),
    }
}

/// The reason why a loader ended while its stream goes on.
fn ended_early(outcome: Result<Result<Finished, Error>, JoinError>) -> Error {
    let ended = || Error::Internal("the load ended before its stream".to_owned());
    joined(outcome).err().unwrap_or_else(ended)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.loader.abort();
    }
}

/// The loader task: writes chunks, up to `lanes` at once, then finishes the load when told so.
async fn drive(
    load: Arc<dyn Load>,
    mut steps: mpsc::Receiver<Step>,
    report: watch::Sender<Progress>,
) -> Result<Finished, Error> {
    let lanes = load.lanes().max(1);
    let mut running: JoinSet<Result<Written, Error>> = JoinSet::new();
    let mut end = None;
    loop {
        tokio::select! {
            step = steps.recv(), if running.len() < lanes && end.is_none() => match step {
                Some(Step::Chunk(chunk)) => {
                    let load = Arc::clone(&load);
                    running.spawn(async move { load.write(chunk).await });
                }
                Some(Step::Finish(complete)) => end = Some(complete),
                None => return Err(Error::Internal("the stream was given up".to_owned())),
            },
            Some(written) = running.join_next() => {
                let written = written.map_err(|error| Error::Internal(format!("a write ended unexpectedly: {error}")))??;
                report.send_modify(|progress| progress.add(written));
            },
            () = load.idle(), if running.is_empty() && end.is_none() => {}
            else => break,
        }
    }
    let finished = load.finish(end.unwrap_or_default()).await?;
    if let Some(stream) = load.stream() {
        report.send_modify(|progress| progress.stream = Some(StreamProgress::after(progress.stream.take(), &stream)));
    }
    Ok(finished)
}
