//! One transaction of a load on one connection: COPY into the table or its staging table, merge or swap, COMMIT.
//!
//! Says what happened and never tries again. Dropped before its COMMIT, it closes the connection, and Postgres rolls back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::copy_in::{CopyFailure, OpenCopy, copy_rows, open_copy};
use super::left_out::{LeftOut, Suppressed};
use super::lost::end_lost;
use super::plan::{CopyInto, Move, Plan, Stage};
use super::proof::Mark;
use super::refusals::{is_changed, meets_key, refuses_commit};
use super::reject::{RejectCount, RejectShare};
use super::rows::Rows;
use super::stamp::Stamp;
use crate::ingest::ports::Chunk;
use crate::planner::LockWaits;
use crate::postgres::embed::note::NotePlan;
use crate::postgres::error::{Error, place};
use crate::postgres::pool::{Connection, Session};
use crate::telemetry::{names, spans};

/// A transaction that is open.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: Connection,
    plan: Arc<Plan>,
    mark: Mark,
    staged: bool,
    /// Whether rows went into the table, so that it must be the one that was planned for.
    wrote: AtomicBool,
    rejected: RejectShare,
    suppressed: Suppressed,
    /// Whether the plan was made before, so that more about the table must be what it was then.
    on_trust: bool,
}

impl Transaction {
    /// One that was begun already, e.g. because it created the table.
    pub(super) fn begun(connection: Connection, mark: Mark, plan: Arc<Plan>) -> Self {
        Self {
            connection,
            plan,
            mark,
            staged: false,
            wrote: AtomicBool::new(false),
            rejected: RejectCount::default().share(),
            suppressed: Suppressed::default(),
            on_trust: false,
        }
    }

    /// One whose plan was made for another load; it commits only if nothing about the table was changed since.
    pub(super) fn on_trust(mut self, is: bool) -> Self {
        self.on_trust = is;
        self
    }

    /// What the table must be by all accounts.
    pub(super) fn trusted_stamp(&self) -> Option<&Stamp> {
        self.plan.stamp.as_ref().filter(|_| self.on_trust)
    }

    /// One of several transactions of a load, which count their rejects together.
    pub(super) fn counting_in(mut self, count: &RejectCount) -> Self {
        self.rejected = count.share();
        self
    }

    /// Rows of this transaction that are not stored.
    pub(super) fn left_out(&self) -> LeftOut {
        LeftOut {
            rejected: self.rejected.here(),
            suppressed: self.suppressed.rows(),
        }
    }

    /// Looks whether as many rows are stored as were sent, where a trigger may leave some out.
    pub(super) fn check_stored(&self, sent: u64, stored: u64) -> Result<(), Error> {
        let table = self.plan.table.to_string();
        self.plan.suppression.check(&table, sent, stored, &self.suppressed)
    }

    /// The count of rejects.
    pub(super) fn rejects(&mut self) -> &mut RejectShare {
        &mut self.rejected
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn client(&self) -> &Session {
        self.connection.client()
    }

    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Whether rows went into the table or its staging table.
    pub(super) fn has_written(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Rolls back and gives the connection back. One that does not answer is closed, and then Postgres rolls back.
    pub(super) async fn give_up(mut self) {
        if self.execute("rollback", "giving up rows of").await.is_ok() {
            self.connection.mark_clean();
        }
    }

    /// How the table is embedded.
    pub(super) fn notes(&self) -> Option<&NotePlan> {
        self.plan.notes.as_ref()
    }

    /// Copies a chunk straight into the table.
    pub(super) async fn copy_direct(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let plan = Arc::clone(&self.plan);
        self.copy(chunk, std::slice::from_ref(&plan.direct)).await
    }

    /// Copies a chunk of an overwrite straight into the table, which must be the transaction's last wait for a lock.
    pub(super) async fn copy_direct_unless_waiting(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let shorten = self.plan.lock_waits.shorten();
        self.execute(&shorten, "limiting the wait for a lock of").await?;
        self.copy_direct(chunk).await
    }

    /// Copies a chunk straight into the table and undoes it when a row of one of its keys is there; `None` then.
    pub(super) async fn try_direct(&mut self, chunk: &Chunk) -> Result<Option<u64>, Error> {
        let waits = self.plan.lock_waits;
        let guard = format!("savepoint pgflight_direct; {}", waits.shorten());
        self.execute(&guard, "opening a savepoint for").await?;
        match self.copy_direct(chunk).await {
            Ok(rows) => {
                let go_on = format!("release savepoint pgflight_direct; {}", waits.restore());
                self.execute(&go_on, "releasing a savepoint of").await?;
                Ok(Some(rows))
            }
            Err(error) if meets_key(&error) => {
                let undo = "rollback to savepoint pgflight_direct; release savepoint pgflight_direct";
                self.execute(undo, "undoing a COPY into").await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Copies a chunk into the staging table, creating that first where this session has none.
    pub(super) async fn copy_staged(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let plan = Arc::clone(&self.plan);
        let stage = stage_of(&plan)?;
        if !self.staged {
            let lent = self.connection.tenure().is_lent();
            if lent || !self.connection.has_stage(&stage.name) {
                let create = stage.merge.create_stage(lent);
                self.execute(&create, "creating the staging table").await?;
            }
            self.staged = true;
        }
        self.copy(chunk, &stage.copies).await
    }

    /// Moves what is staged into the table; the number of rows inserted or changed. `places` are those of the staged rows
    /// in the stream, `chunk` is what they came in where that is one chunk.
    pub(super) async fn unstage(&mut self, places: Range<u64>, chunk: Option<&Chunk>) -> Result<u64, Error> {
        let plan = Arc::clone(&self.plan);
        let stage = stage_of(&plan)?;
        if stage.move_by == Move::Swap {
            self.empty().await?;
        }
        self.move_staged(stage, places, chunk).await
    }

    /// Empties the table.
    ///
    /// Until it has the lock, whoever comes later waits behind it, so it waits in short holds and gives its place up between.
    async fn empty(&mut self) -> Result<(), Error> {
        let table = self.plan.table.quoted();
        let mut rungs = LockWaits::default().ladder().into_iter().peekable();
        while let Some(hold) = rungs.next() {
            let lock = format!(
                "savepoint pgflight_lock; set local lock_timeout = {}; lock table {table} in access exclusive mode",
                hold.as_millis()
            );
            let begun = Instant::now();
            let locked = self.execute(&lock, "locking for its swap").await;
            metrics::histogram!(names::LOCK_WAIT_SECONDS).record(begun.elapsed().as_secs_f64());
            match locked {
                Ok(()) => break,
                Err(error) if error.sqlstate() == Some("55P03") && rungs.peek().is_some() => {
                    self.execute("rollback to savepoint pgflight_lock", "giving up a lock")
                        .await?;
                    tokio::time::sleep(LockWaits::pause(hold).max(Duration::from_millis(50))).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.execute(&format!("truncate {table}"), "emptying").await?;
        match &self.plan.notes {
            Some(notes) => self.answered(notes.note_emptied(self.client())).await,
            None => Ok(()),
        }
    }

    /// Takes rows out of the staging table; in parts, where bad ones are rejected.
    async fn move_staged(&mut self, stage: &Stage, places: Range<u64>, chunk: Option<&Chunk>) -> Result<u64, Error> {
        if !self.staged {
            return Ok(0);
        }
        let plan = Arc::clone(&self.plan);
        match &plan.rejects {
            Some(rejects) => self.move_sifted(stage, places, chunk, rejects).await,
            None => self.move_rows(stage, stage.move_by.doing(), None).await,
        }
    }

    /// Commits, if the rows went into the table that was planned for, and gives the connection back.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        let ending = self.ending();
        let committing = async { Ok(self.client().batch_execute(&ending).await) };
        let begun = Instant::now();
        // Not `answered`: from here on the session may be committing, and is left alone.
        let answer = self.plan.patience.wait(committing.instrument(spans::commit())).await;
        metrics::histogram!(names::COMMIT_SECONDS).record(begun.elapsed().as_secs_f64());
        let lost = match answer {
            Ok(Ok(())) => {
                self.committed();
                return Ok(());
            }
            Ok(Err(error)) if is_changed(&error) => {
                return Err(Error::Changed {
                    table: self.plan.table.to_string(),
                });
            }
            Ok(Err(error)) if self.refuses_note(&error) => return Err(Error::NoteRefused { source: error }),
            Ok(Err(error)) if refuses_commit(&error) => {
                return Err(Error::statement(self.doing("committing rows of"), error));
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error = lost, table = %self.plan.table, "the answer to COMMIT was lost");
        Err(Error::CommitUnknown {
            table: self.plan.table.to_string(),
            mark: Some(self.mark.clone()),
        })
    }

    /// Whether only the note of this commit failed; the next transaction then looks for its table again.
    fn refuses_note(&self, error: &tokio_postgres::Error) -> bool {
        let commits = self.plan.commits.as_ref().filter(|commits| commits.refused(error));
        commits.inspect(|commits| commits.forget()).is_some()
    }

    fn committed(&mut self) {
        if let (true, Some(stage)) = (self.staged, &self.plan.stage)
            && !self.connection.tenure().is_lent()
        {
            self.connection.note_stage(&stage.name);
        }
        self.rejected.keep();
        self.connection.mark_clean();
        if let Some(notes) = &self.plan.notes {
            notes.committed();
        }
    }

    async fn copy(&mut self, chunk: &Chunk, into: &[CopyInto]) -> Result<u64, Error> {
        let plan = Arc::clone(&self.plan);
        if let Some(rejects) = &plan.rejects {
            return self.copy_sifted(chunk, into, rejects).await;
        }
        let stored = self.copy_rows(&Rows::of(chunk), into).await?;
        self.note_rows(chunk).await?;
        Ok(stored)
    }

    /// The rows of a COPY that was begun already.
    pub(super) async fn copy_opened(
        &mut self,
        chunk: &Chunk,
        into: &CopyInto,
        open: Result<OpenCopy, tokio_postgres::Error>,
    ) -> Result<u64, Error> {
        self.wrote.store(true, Ordering::Relaxed);
        self.staged = self.plan.stage.is_some();
        let rows = Rows::of(chunk);
        let stored = self
            .answered(self.copy_bare(&rows, into, std::future::ready(open)))
            .await?;
        self.note_rows(chunk).await?;
        Ok(stored)
    }

    async fn note_rows(&self, chunk: &Chunk) -> Result<(), Error> {
        match &self.plan.notes {
            Some(notes) => self.answered(notes.note(self.client(), chunk)).await,
            None => Ok(()),
        }
    }

    /// One COPY for each part of the columns.
    pub(super) async fn copy_rows(&self, rows: &Rows, into: &[CopyInto]) -> Result<u64, Error> {
        self.wrote.store(true, Ordering::Relaxed);
        let mut stored = 0;
        for part in into {
            let open = open_copy(self.client(), &part.sql);
            stored = self.answered(self.copy_bare(rows, part, open)).await?;
        }
        Ok(stored)
    }

    async fn copy_bare(
        &self,
        rows: &Rows,
        into: &CopyInto,
        open: impl Future<Output = Result<OpenCopy, tokio_postgres::Error>>,
    ) -> Result<u64, Error> {
        let table = || self.plan.table.to_string();
        let copied = async {
            match open.await {
                Ok(open) => copy_rows(open, &into.plan, rows).await,
                Err(error) => Err(CopyFailure::Server(error)),
            }
        };
        match copied.instrument(spans::copy()).await {
            Ok(stored) => self.check_stored(rows.count(), stored).map(|()| stored),
            Err(CopyFailure::Cell { row, cell }) => Err(Error::Cell {
                table: table(),
                row,
                more: rows.bad_behind(row, &into.plan).await,
                cell: Box::new(cell),
            }),
            Err(CopyFailure::Server(source)) => {
                let place = source.as_db_error().and_then(|db| place(db, &into.relation));
                let row = place.as_ref().map(|place| rows.place(place.line.saturating_sub(1)));
                let at = row.map_or_else(String::new, |row| format!(" (row {row} of the stream, counted from 0)"));
                Err(Error::Statement {
                    doing: self.doing("loading rows into") + &at,
                    table: Some(table()),
                    row,
                    place,
                    blocked: String::new(),
                    source,
                })
            }
        }
    }

    /// Waits for work on this transaction's connection, as long as Postgres may take for a statement of it. Where the connection
    /// is lost instead, the server's side of the transaction is ended.
    pub(super) async fn answered<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let done = self.plan.patience.wait(work).await;
        if done.as_ref().is_err_and(Error::lost_connection) {
            end_lost(self.connection.siblings(), self.mark.clone());
        }
        done
    }

    pub(super) async fn execute(&self, sql: &str, what: &str) -> Result<(), Error> {
        let running = async {
            let done = self.client().batch_execute(sql).await;
            done.map_err(|error| Error::statement(self.doing(what), error).of(&self.plan.table))
        };
        self.answered(running).await
    }

    pub(super) fn doing(&self, what: &str) -> String {
        format!("{what} {}", self.plan.table)
    }
}

fn stage_of(plan: &Plan) -> Result<&Stage, Error> {
    plan.stage
        .as_ref()
        .ok_or_else(|| Error::Internal("this load has no staging table".to_owned()))
}
