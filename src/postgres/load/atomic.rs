//! `commit: atomic`: one transaction for the whole stream on one connection; nothing is visible before its COMMIT.
//!
//! When the transaction is lost, e.g. to a deadlock or a server that restarts, it is run again from the chunks that were
//! kept for that; a stream that was longer ends with an error and leaves nothing.

use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::left_out::LeftOut;
use super::opened::Opened;
use super::outcome::Outcome;
use super::retain::Retained;
use super::retry::{Next, Tries};
use super::shared::Shared;
use super::stale::{Sources, delete_in};
use super::stream::Writer;
use super::together::Whole;
use super::transaction::Transaction;
use crate::ingest::error::Error as IngestError;
use crate::ingest::ports::{Chunk, Finished, Load, StreamState, Written};
use crate::postgres::error::Error;
use crate::telemetry::names;

/// A load that commits once.
#[derive(Debug)]
pub(super) struct AtomicLoad {
    pub(super) shared: Shared,
    pub(super) stream: Option<Writer>,
    pub(super) state: Mutex<State>,
    /// Whether the client has sent everything.
    pub(super) complete: watch::Sender<bool>,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct State {
    /// The table as it was opened, before the first transaction.
    pub(super) opened: Option<Opened>,
    pub(super) running: Option<Running>,
    pub(super) retained: Retained,
    /// Whether nothing goes straight in any more, because keys of it were met.
    ordered: bool,
    pub(super) rows: u64,
    sources: Sources,
    /// DDL that was needed.
    pub(super) migration: Vec<String>,
    /// Whether nobody has looked at the table for this load yet.
    pub(super) unseen: bool,
    /// All rows of a small put that waits for its end.
    pub(super) whole: Option<Chunk>,
}

/// The transaction.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tx: Transaction,
    /// Whether rows go straight into the table.
    pub(super) direct: bool,
    /// Whether it created the table, which then nobody else writes to.
    pub(super) alone: bool,
    pub(super) affected: u64,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Done,
    /// It met keys that are there already, and rows went straight in before it.
    Disordered,
}

impl Running {
    /// Rows that are not in the table and never will be.
    pub(super) fn left_out(&self) -> LeftOut {
        self.tx.left_out()
    }
}

impl AtomicLoad {
    pub(super) fn new(shared: Shared, stream: Option<Writer>, migration: Vec<String>, opened: Option<Opened>) -> Self {
        let state = State {
            opened,
            running: None,
            retained: Retained::new(shared.destination.retain.clone()),
            ordered: false,
            rows: 0,
            sources: Sources::new(&shared.request),
            migration,
            unseen: false,
            whole: None,
        };
        Self {
            shared,
            stream,
            state: Mutex::new(state),
            complete: watch::Sender::new(false),
        }
    }

    /// The running transaction, begun where there is none, with everything in it that was written before.
    async fn running<'a>(&self, state: &'a mut State) -> Result<&'a mut Running, Error> {
        if state.running.is_none() {
            let opened = self.opened(state).await?;
            let mut running = self.begin(opened, state.ordered).await?;
            let all = state
                .retained
                .all()
                .ok_or_else(|| Error::Internal("rows were not kept".to_owned()))?;
            for chunk in all {
                if self.put(&mut running, chunk).await? == Put::Disordered {
                    self.put_ordered(&mut running, chunk).await?;
                }
            }
            state.running = Some(running);
        }
        state
            .running
            .as_mut()
            .ok_or_else(|| Error::Internal("no transaction runs".to_owned()))
    }

    async fn put(&self, running: &mut Running, chunk: &Chunk) -> Result<Put, Error> {
        if self.shared.plan().stage.is_none() {
            running.affected += running.tx.copy_direct(chunk).await?;
            return Ok(Put::Done);
        }
        if running.direct {
            match running.tx.try_direct(chunk).await? {
                Some(rows) => {
                    running.affected += rows;
                    return Ok(Put::Done);
                }
                None if running.affected > 0 && !running.alone => return Ok(Put::Disordered),
                None => {}
            }
        }
        self.put_ordered(running, chunk).await?;
        Ok(Put::Done)
    }

    /// Through the staging table, which sorts rows by key.
    async fn put_ordered(&self, running: &mut Running, chunk: &Chunk) -> Result<(), Error> {
        running.direct = false;
        running.tx.copy_staged(chunk).await?;
        Ok(())
    }

    async fn write_chunk(&self, chunk: Chunk) -> Result<Written, Error> {
        let mut state = self.state.lock().await;
        if let Some(first) = state.whole.take() {
            self.write_next(&mut state, first).await?;
        } else if self.is_whole(&state, &chunk) {
            let rows = chunk.rows;
            state.whole = Some(chunk);
            return Ok(Written {
                rows,
                ..Written::default()
            });
        }
        self.write_next(&mut state, chunk).await
    }

    pub(super) async fn write_next(&self, state: &mut State, chunk: Chunk) -> Result<Written, Error> {
        let mut tries = self.shared.tries();
        let left_out = loop {
            let started = Instant::now();
            match self.put_next(state, &chunk).await {
                Ok(Some(left_out)) => break left_out,
                Ok(None) => {}
                Err(error) => self.recover(state, &mut tries, error, started).await?,
            }
        };
        self.shared.went_through(&tries);
        let rows = chunk.rows;
        state.rows += rows;
        state.retained.keep(chunk);
        Ok(Written {
            rows: rows - left_out.rows(),
            rejected: left_out.rejected,
            suppressed: left_out.suppressed,
            ..Written::default()
        })
    }

    /// Writes a chunk that comes after all before. Rows that went straight in hold their keys in the stream's order, and
    /// other writers in that of the keys: where they meet, the transaction begins anew and sorts, before they deadlock.
    ///
    /// Returns what of the chunk was left out; `None` when all begins anew.
    async fn put_next(&self, state: &mut State, chunk: &Chunk) -> Result<Option<LeftOut>, Error> {
        if let Some(left_out) = self.put_first(state, chunk).await? {
            return Ok(Some(left_out));
        }
        let running = self.running(state).await?;
        let before = running.left_out();
        if self.put(running, chunk).await? == Put::Done {
            return Ok(Some(running.left_out().since(before)));
        }
        if state.retained.all().is_some() {
            state.ordered = true;
            state.running = None;
            return Ok(None);
        }
        // Too much was sent to send it again; a deadlock, if it comes to one, is one.
        let running = self.running(state).await?;
        self.put_ordered(running, chunk).await?;
        Ok(Some(running.left_out().since(before)))
    }

    /// After a failure: waits and lets the transaction run again, or gives up.
    async fn recover(&self, state: &mut State, tries: &mut Tries, error: Error, started: Instant) -> Result<(), Error> {
        state.running = None;
        if state.retained.all().is_some() && self.shared.distrusts(&error) {
            state.unseen = true;
            return Ok(());
        }
        let error = self.shared.explained(error).await;
        let next = self.shared.after(tries, &error, started);
        if next == Next::GiveUp || next == Next::Halve {
            return Err(error);
        }
        if state.retained.all().is_none() {
            let source = Box::new(error);
            return Err(Error::NotReplayable { source });
        }
        if let Next::Retry(pause) = next {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    async fn finish_load(&self, complete: bool) -> Result<Finished, Error> {
        let mut state = self.state.lock().await;
        let _turn = match self.put_whole(&mut state).await? {
            Whole::Committed(finished) => return Ok(self.ended(finished)),
            Whole::Open(turn) => turn,
        };
        let mut tries = self.shared.tries();
        let mut in_doubt: Option<(Finished, String)> = None;
        loop {
            let started = Instant::now();
            let (error, finished) = match self.finish_once(&mut state, complete).await {
                Ok(finished) => {
                    self.shared.went_through(&tries);
                    return Ok(self.ended(finished));
                }
                Err(failed) => *failed,
            };
            if let (Error::CommitUnknown { mark, table }, Some(finished)) = (&error, finished) {
                match (&self.stream, mark) {
                    (Some(_), _) => in_doubt = Some((finished, table.clone())),
                    (None, Some(mark)) => match self.shared.destination.outcome(mark).await {
                        Outcome::Committed => return Ok(self.ended(finished)),
                        Outcome::Aborted => {}
                        Outcome::Unknown => return Err(error),
                    },
                    (None, None) => return Err(error),
                }
            }
            if let (Some(stream), Some((finished, table))) = (&self.stream, &in_doubt) {
                match self.was_committed(stream).await {
                    Ok(true) => return Ok(self.ended(finished.clone())),
                    Ok(false) => in_doubt = None,
                    Err(error @ Error::Stream(_)) => return Err(error),
                    Err(_) => {
                        let table = table.clone();
                        return Err(Error::CommitUnknown { table, mark: None });
                    }
                }
            }
            self.recover(&mut state, &mut tries, error, started).await?;
        }
    }

    /// Moves what is staged, deletes what is stale, notes the stream's end, commits. A failure comes with what would have
    /// been answered, for when COMMIT was carried out after all.
    async fn finish_once(&self, state: &mut State, complete: bool) -> Result<Finished, Box<(Error, Option<Finished>)>> {
        let prepared = self.prepare_end(state, complete).await;
        let (finished, next) = prepared.map_err(|error| Box::new((error, None)))?;
        let Some(running) = state.running.take() else {
            return Err(Box::new((Error::Internal("no transaction runs".to_owned()), None)));
        };
        match running.tx.commit().await {
            Ok(()) => {
                if let (Some(stream), Some(next)) = (&self.stream, next) {
                    stream.committed(next);
                }
                Ok(finished)
            }
            Err(error) => Err(Box::new((error, Some(finished)))),
        }
    }

    async fn prepare_end(&self, state: &mut State, complete: bool) -> Result<(Finished, Option<StreamState>), Error> {
        let (rows, stale) = (state.rows, state.sources.stale());
        if state.running.is_none() && rows == 0 {
            // Nothing will be written that would show whether the table is what it was.
            self.look(state);
        }
        self.running(state).await?;
        // Only now it is known what was needed.
        let migration = state.migration.clone();
        let running = self.running(state).await?;
        let plan = self.shared.plan();
        if plan.stage.is_some() {
            running.affected += running.tx.unstage(0..rows, None).await?;
        }
        let left_out = running.left_out();
        let mut finished = Finished {
            table: plan.table.to_string(),
            migration,
            affected: running.affected,
            deleted: 0,
            rows: rows - left_out.rows(),
            rejected: left_out.rejected,
            suppressed: left_out.suppressed,
            load_id: self.shared.load_id(left_out.rejected),
        };
        if complete && self.shared.may_delete_stale(&stale, left_out.rows()) {
            let deleting = delete_in(&running.tx, &plan.table, &stale);
            finished.deleted = running.tx.answered(deleting).await?;
        }
        let Some(stream) = &self.stream else {
            return Ok((finished, None));
        };
        let next = running
            .tx
            .answered(Self::end_stream(&running.tx, stream, &finished))
            .await?;
        Ok((finished, Some(next)))
    }

    fn ended(&self, finished: Finished) -> Finished {
        metrics::counter!(names::ROWS_COMMITTED).increment(finished.rows);
        metrics::counter!(names::ROWS_REJECTED).increment(finished.rejected);
        finished
    }
}

#[async_trait]
impl Load for AtomicLoad {
    async fn write(&self, chunk: Chunk) -> Result<Written, IngestError> {
        self.state.lock().await.sources.note(&chunk)?;
        Ok(self.write_chunk(chunk).await?)
    }

    async fn finish(&self, complete: bool) -> Result<Finished, IngestError> {
        let finished = self.finish_load(complete).await?;
        self.shared.plan().settled().await?;
        Ok(finished)
    }

    fn lanes(&self) -> usize {
        1
    }

    fn table(&self) -> String {
        self.shared.plan().table.to_string()
    }

    fn complete(&self) {
        self.complete.send_replace(true);
    }

    fn holds(&self) -> bool {
        self.holds_connection()
    }

    async fn idle(&self) {
        self.spare().await;
    }

    fn stream(&self) -> Option<StreamState> {
        self.stream.as_ref().map(Writer::state)
    }
}
