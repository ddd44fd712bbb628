//! Which streams are being loaded, and how those that ended did: one line of the log for each, and what the status page shows.
//! Counts and remembers; decides nothing, and holds no value of a row.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;
use tracing::Span;

use super::counted::{Door, OpenStream};
use super::error::Error;
use super::progress::Progress;
use super::request::LoadRequest;
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::telemetry::spans;

/// Failures that are remembered.
const FAILURES: usize = 50;
/// Tables that are counted, those that were loaded last: names come from clients, and memory must not grow with them.
const TABLES: usize = 1_000;

/// The streams of one server. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    opened: u64,
    open: BTreeMap<u64, Weak<Entry>>,
    failures: VecDeque<Failure>,
    tables: BTreeMap<String, Totals>,
}

/// One stream, from before its table is opened until everybody let go of it.
#[derive(Debug)]
pub struct Entry {
    journal: Journal,
    number: u64,
    door: Door,
    caller: Caller,
    /// As it was asked for, until it is known with its schema.
    asked: String,
    table: OnceLock<String>,
    since: Instant,
    bytes: AtomicU64,
    received: AtomicU64,
    report: OnceLock<watch::Receiver<Progress>>,
    retries: Arc<AtomicU64>,
    end: Mutex<End>,
    span: Span,
    counted: OpenStream,
}

/// How it ended; `None` in both where nobody ended it.
#[derive(Debug, Default)]
struct End {
    finished: Option<Done>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    stored: u64,
    rejected: u64,
    deleted: u64,
    migration: usize,
}

/// A stream that is being loaded, at one moment.
#[derive(Clone, Debug)]
pub struct Running {
    /// Counts up from 1 since the server started.
    pub number: u64,
    /// Where it came in.
    pub door: Door,
    /// Target.
    pub table: String,
    /// Who sends it.
    pub caller: Caller,
    /// How long it has been open.
    pub age: std::time::Duration,
    /// Rows that came.
    pub received: u64,
    /// Rows that are committed.
    pub committed: u64,
    /// Bytes of record batches that came.
    pub bytes: u64,
    /// Transactions that were run again.
    pub retries: u64,
}

/// A stream that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: SystemTime,
    /// Where it came in.
    pub door: Door,
    /// Target.
    pub table: String,
    /// Who sent it.
    pub principal: String,
    /// Kind of failure.
    pub class: Class,
    /// SQLSTATE, where Postgres gave one.
    pub sqlstate: Option<String>,
    /// What the client was told.
    pub sentence: String,
}

/// What went into a table since the server started.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Streams that ended well.
    pub finished: u64,
    /// Streams that did not.
    pub failed: u64,
    /// Rows committed.
    pub rows: u64,
    /// Bytes of record batches that came.
    pub bytes: u64,
    last: u64,
}

impl Journal {
    /// A stream begins.
    pub(super) fn open(&self, door: Door, caller: &Caller, request: &LoadRequest) -> Arc<Entry> {
        let mut book = self.book();
        book.opened += 1;
        let number = book.opened;
        let entry = Arc::new(Entry {
            journal: self.clone(),
            number,
            door,
            caller: caller.clone(),
            asked: request.table.to_string(),
            table: OnceLock::new(),
            since: Instant::now(),
            bytes: AtomicU64::new(0),
            received: AtomicU64::new(0),
            report: OnceLock::new(),
            retries: Arc::clone(&request.retries),
            end: Mutex::default(),
            span: spans::load(caller, door.label()),
            counted: OpenStream::of(door),
        });
        book.open.insert(number, Arc::downgrade(&entry));
        entry
    }

    /// Streams that are being loaded, the oldest first.
    pub fn running(&self) -> Vec<Running> {
        let entries: Vec<_> = self.book().open.values().filter_map(Weak::upgrade).collect();
        entries.iter().map(|entry| entry.now()).collect()
    }

    /// The last failures, the newest first.
    pub fn failures(&self) -> Vec<Failure> {
        self.book().failures.iter().rev().cloned().collect()
    }

    /// Tables with what went into them by streams that ended.
    pub fn tables(&self) -> Vec<(String, Totals)> {
        let book = self.book();
        book.tables
            .iter()
            .map(|(table, totals)| (table.clone(), totals.clone()))
            .collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn close(&mut self, entry: &Entry, rows: u64, end: &End) {
        self.open.remove(&entry.number);
        let table = entry.table().to_owned();
        if self.tables.len() >= TABLES && !self.tables.contains_key(&table) {
            let oldest = self.tables.iter().min_by_key(|(_, totals)| totals.last);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.tables.remove(&oldest);
            }
        }
        let totals = self.tables.entry(table).or_default();
        match end.finished {
            Some(_) => totals.finished += 1,
            None => totals.failed += 1,
        }
        totals.rows += rows;
        totals.bytes += entry.bytes.load(Ordering::Relaxed);
        totals.last = entry.number;
        if let Some(failure) = &end.failure {
            self.failures.push_back(failure.clone());
            while self.failures.len() > FAILURES {
                self.failures.pop_front();
            }
        }
    }
}

impl Entry {
    /// Its span in a trace, in which all that is done for it is.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The table is known, and the counts as they change.
    pub(super) fn opened(&self, table: &str, report: watch::Receiver<Progress>) {
        // Set once: a session opens one load.
        drop(self.table.set(table.to_owned()));
        drop(self.report.set(report));
    }

    /// A batch came.
    pub(super) fn received(&self, rows: u64, bytes: u64) {
        self.received.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It is complete.
    pub(super) fn finished(&self, progress: &Progress, deleted: u64, migration: usize) {
        self.end().finished = Some(Done {
            stored: progress.committed,
            rejected: progress.rejected,
            deleted,
            migration,
        });
    }

    /// It was refused or could not be written, and this is what its client is told. The first failure counts.
    pub fn failed(&self, error: &Error) {
        let facts = error.facts();
        // Where the table was not opened, its failure may know its schema.
        if let Some(table) = facts.and_then(|facts| facts.table.clone())
            && table.ends_with(&self.asked)
        {
            self.table.get_or_init(|| table);
        }
        self.end().failure.get_or_insert_with(|| Failure {
            at: SystemTime::now(),
            door: self.door,
            table: facts
                .and_then(|facts| facts.table.clone())
                .unwrap_or_else(|| self.table().to_owned()),
            principal: self.caller.principal.namespace().to_owned(),
            class: error.class(),
            sqlstate: facts.and_then(|facts| facts.sqlstate.clone()),
            sentence: error.to_string(),
        });
    }

    fn table(&self) -> &str {
        self.table.get().map_or(self.asked.as_str(), String::as_str)
    }

    fn now(&self) -> Running {
        Running {
            number: self.number,
            door: self.door,
            table: self.table().to_owned(),
            caller: self.caller.clone(),
            age: self.since.elapsed(),
            received: self.received.load(Ordering::Relaxed),
            committed: self.report.get().map_or(0, |report| report.borrow().committed),
            bytes: self.bytes.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of the log: who loaded what, how much, how long, how it ended.
    fn tell(&self, now: &Running, rows: u64, end: &End) {
        let peer = self.caller.peer.map(tracing::field::display);
        let trace_id = self.caller.traceparent.as_deref().and_then(trace_id);
        let seconds = (now.age.as_secs_f64() * 1e3).round() / 1e3;
        macro_rules! line {
            ($level:ident, $result:literal, $message:literal, $($field:tt)*) => {
                tracing::$level!(
                    table = now.table,
                    door = self.door.label(),
                    principal = self.caller.principal.namespace(),
                    peer,
                    rows,
                    received = now.received,
                    bytes = now.bytes,
                    seconds,
                    retries = now.retries,
                    result = $result,
                    trace_id,
                    $($field)*
                    $message
                )
            };
        }
        match (&end.finished, &end.failure) {
            (Some(done), _) => line!(
                info,
                "finished",
                "loaded",
                rejected = done.rejected,
                deleted = done.deleted,
                migration = done.migration,
            ),
            (None, Some(failure)) if failure.class == Class::Cancelled => {
                line!(warn, "aborted", "given up by its client", error = failure.sentence,)
            }
            (None, Some(failure)) => line!(
                warn,
                "failed",
                "not loaded",
                class = ?failure.class,
                sqlstate = failure.sqlstate,
                error = failure.sentence,
            ),
            (None, None) => line!(warn, "aborted", "not ended",),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let end = std::mem::take(&mut *self.end());
        match (&end.finished, &end.failure) {
            (Some(_), _) => self.counted.finished(),
            (None, Some(failure)) if failure.class != Class::Cancelled => self.counted.failed(),
            (None, _) => {}
        }
        let now = self.now();
        let rows = end.finished.map_or(now.committed, |done| done.stored);
        self.tell(&now, rows, &end);
        let failure = match (&end.finished, &end.failure) {
            (Some(_), _) => None,
            (None, Some(failure)) => Some(format!("{:?}", failure.class)),
            (None, None) => Some("not ended".to_owned()),
        };
        spans::ended(
            &self.span,
            &now.table,
            (rows, now.bytes, now.retries),
            failure.as_deref(),
        );
        self.journal.book().close(self, rows, &end);
    }
}

/// The trace id of a W3C `traceparent`: version, 32 hexadecimal digits, parent, flags.
fn trace_id(traceparent: &str) -> Option<&str> {
    let id = traceparent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_id_is_taken_for_one() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        for odd in ["", "00", "00-4bf9-00-01", "00-zz\n92f3577b34da6a3ce929d0e0e4736a-0-1"] {
            assert_eq!(trace_id(odd), None, "{odd}");
        }
    }
}
