//! The loop: brings ledgers up to date, takes rows table by table in turn, embeds them, stores what came out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch;
use super::gate::{Gate, Rates};
use super::provider::{Provider, ProviderError};
use super::until::{Summary, Until};
use super::watch::Watch;
use crate::config::Config;
use crate::ingest::ports::embed::{Claimed, EmbedStore, RowKey, StoreError};
use crate::model::class::Class;
use crate::model::embed::Splitter;
use crate::telemetry::names;

/// How often gauges are brought up to date.
const GAUGES: Duration = Duration::from_secs(15);
/// How often in a row a table may fail before a run that is to drain it ends.
const FAILURES: u32 = 5;
/// How long a stop waits until leases are given back.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// Keeps vectors at what the ledger says. Any number of them may run, in any number of processes.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    splitters: Vec<Splitter>,
    claim_rows: u32,
    poll: Duration,
    /// How long rows of a client that has gone are left alone when nothing can be done for them.
    left_alone: Duration,
    /// Last complaint of each table, so that it is logged once, and how often in a row it came.
    problems: Vec<Option<(String, u32)>>,
    settled: Vec<bool>,
    next_gauges: Instant,
    /// Reasons that rows were ever given up for, because a gauge that is not set any more keeps its value.
    codes: BTreeMap<String, i64>,
    watch: Watch,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn EmbedStore>,
    provider: Provider,
    gate: Gate,
    lease: Duration,
}

/// Rows that were taken together.
struct Batch {
    table: usize,
    owner: i64,
    rows: Vec<Claimed>,
}

/// What one turn of the loop found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Turn {
    busy: bool,
    stuck: bool,
}

impl Workers {
    /// Workers for the configured tables and provider.
    ///
    /// # Errors
    /// The provider cannot be used as configured.
    pub fn new(config: &Config, store: Arc<dyn EmbedStore>) -> Result<Self, ProviderError> {
        let settings = &config.raw().embeddings;
        let tables = store.tables();
        Ok(Self {
            shared: Arc::new(Shared {
                provider: Provider::new(config)?,
                gate: Gate::new(Rates {
                    concurrency: settings.max_concurrency,
                    requests_per_minute: settings.requests_per_minute,
                    tokens_per_minute: settings.tokens_per_minute,
                    left_alone: settings.retry_after.get(),
                }),
                lease: settings.lease.get(),
                store,
            }),
            splitters: config.embed_tables().iter().map(|table| table.splitter).collect(),
            claim_rows: settings.claim_rows,
            poll: settings.poll_interval.get(),
            left_alone: settings.retry_after.get(),
            problems: vec![None; tables],
            settled: vec![false; tables],
            next_gauges: Instant::now(),
            codes: BTreeMap::new(),
            watch: Watch::new(),
        })
    }

    /// Works until told to stop, or until everything is done. Rows that are held then are given back.
    pub async fn run(mut self, until: Until, stop: CancellationToken) -> Summary {
        let mut summary = Summary::default();
        let mut running: JoinSet<Summary> = JoinSet::new();
        while !stop.is_cancelled() {
            let mut turn = Turn::default();
            for table in 0..self.problems.len() {
                let one = self.turn(table, &mut running, &stop).await;
                turn.busy |= one.busy;
                turn.stuck |= one.stuck;
            }
            self.show().await;
            let shared = Arc::clone(&self.shared);
            self.watch.look(&shared.gate, shared.store.as_ref(), false).await;
            while let Some(done) = running.try_join_next() {
                summary.add(done.unwrap_or_default());
                turn.busy = true;
            }
            if turn.busy {
                continue;
            }
            let (may_end, gives_up) = match &until {
                Until::Stopped => (false, false),
                Until::Drained => (true, true),
                Until::Left(gone) => (gone.is_cancelled(), false),
            };
            if may_end && running.is_empty() {
                let waiting = self.waiting().await;
                summary.drained = waiting == Some(0);
                if summary.drained || (turn.stuck && gives_up) {
                    break;
                }
                if turn.stuck {
                    self.leave_alone(waiting, &stop).await;
                    continue;
                }
            }
            self.idle(&mut running, &mut summary, &stop).await;
        }
        let given_back = async {
            while let Some(done) = running.join_next().await {
                summary.add(done.unwrap_or_default());
            }
        };
        drop(tokio::time::timeout(GIVE_BACK, given_back).await);
        let shared = Arc::clone(&self.shared);
        self.watch.look(&shared.gate, shared.store.as_ref(), true).await;
        summary
    }

    async fn idle(&self, running: &mut JoinSet<Summary>, summary: &mut Summary, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.shared.store.noted() => {}
            () = tokio::time::sleep(self.poll) => {}
            Some(done) = running.join_next() => summary.add(done.unwrap_or_default()),
        }
    }

    /// Nothing can be done for what waits, and who wants it has gone: somebody has to hear of it.
    async fn leave_alone(&self, waiting: Option<i64>, stop: &CancellationToken) {
        tracing::warn!(
            waiting,
            seconds = self.left_alone.as_secs_f64(),
            "rows of a client that has gone cannot be embedded now; they are tried again after a while"
        );
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.left_alone) => {}
        }
    }

    /// One look at a table: its journal, then as many rows as the provider takes now.
    async fn turn(&mut self, table: usize, running: &mut JoinSet<Summary>, stop: &CancellationToken) -> Turn {
        match self.try_turn(table, running, stop).await {
            Ok(turn) => {
                self.problems[table] = None;
                turn
            }
            Err(error) => {
                let (before, times) = self.problems[table].take().unwrap_or_default();
                if before != error.message {
                    tracing::error!(error = %error, "embeddings are behind");
                }
                self.problems[table] = Some((error.message, times + 1));
                Turn {
                    busy: false,
                    // A connection that broke or a deadlock is gone at the next turn.
                    stuck: times + 1 >= FAILURES || !is_passing(error.class),
                }
            }
        }
    }

    async fn try_turn(
        &mut self,
        table: usize,
        running: &mut JoinSet<Summary>,
        stop: &CancellationToken,
    ) -> Result<Turn, StoreError> {
        let mut turn = Turn::default();
        let store = &self.shared.store;
        if !store.prepare(table).await? {
            return Ok(turn);
        }
        let behind = match store.expand(table).await {
            Ok(expanded) => {
                turn.busy |= expanded.entries > 0;
                None
            }
            // Another configuration counts now: what would be embedded here would not be stored.
            Err(error) if error.class == Class::Refused => return Err(error),
            // What the ledger knows already need not wait for what it cannot learn.
            Err(error) => {
                store.prepare(table).await?;
                Some(error)
            }
        };
        if let Some(closed) = self.shared.gate.closed() {
            turn.stuck = !closed.hopeful;
            return behind.map_or(Ok(turn), Err);
        }
        if running.len() < self.shared.gate.width() {
            let shared = &self.shared;
            let owner = fastrand::i64(1..);
            let rows = store.claim(table, owner, self.claim_rows, shared.lease).await?;
            if !rows.is_empty() {
                turn.busy = true;
                self.settled[table] = false;
                let (shared, splitter, stop) = (Arc::clone(shared), self.splitters[table], stop.clone());
                running.spawn(async move { shared.work(Batch { table, owner, rows }, splitter, stop).await });
            }
        }
        if let Some(error) = behind {
            return Err(error);
        }
        if !turn.busy && running.is_empty() && !self.settled[table] {
            self.settled[table] = store.settle(table).await?;
        }
        Ok(turn)
    }

    /// Rows and keys that wait or are held; `None` where nobody can say.
    async fn waiting(&self) -> Option<i64> {
        let mut waiting = 0;
        for table in 0..self.problems.len() {
            let status = self.shared.store.status(table).await.ok()?;
            if !status.counted {
                return None;
            }
            waiting += status.journal_keys + status.pending + status.leased;
        }
        Some(waiting)
    }

    async fn show(&mut self) {
        if Instant::now() < self.next_gauges {
            return;
        }
        self.next_gauges = Instant::now() + GAUGES;
        let (mut pending, mut leased, mut oldest) = (0, 0, 0.0f64);
        self.codes.values_mut().for_each(|rows| *rows = 0);
        for table in 0..self.problems.len() {
            if let Ok(status) = self.shared.store.status(table).await {
                pending += status.pending + status.journal_keys;
                leased += status.leased;
                oldest = oldest.max(status.oldest_pending_seconds.unwrap_or(0.0));
                for (code, rows) in status.dead {
                    *self.codes.entry(code).or_default() += rows;
                }
            }
        }
        for (code, rows) in &self.codes {
            gauge!(names::EMBED_DEAD, "code" => code.clone()).set(*rows as f64);
        }
        gauge!(names::EMBED_PENDING).set(pending as f64);
        gauge!(names::EMBED_LEASED).set(leased as f64);
        gauge!(names::EMBED_COOLDOWN_SECONDS).set(self.shared.gate.cooldown().as_secs_f64());
        gauge!(names::EMBED_OLDEST_PENDING_SECONDS).set(oldest);
        gauge!(names::EMBED_CONCURRENCY).set(self.shared.gate.width() as f64);
        gauge!(names::EMBED_CIRCUIT_OPEN).set(f64::from(u8::from(self.shared.gate.closed().is_some())));
    }
}

impl Shared {
    /// Keeps rows as long as somebody waits for their vectors, and no longer: whatever ends a batch, its rows are free then,
    /// at the latest when their lease ends.
    async fn keep(&self, table: usize, owner: i64, keys: &[RowKey]) -> Infallible {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            if let Err(error) = self.store.renew(table, owner, keys, self.lease).await {
                tracing::warn!(error = %error, "leases could not be renewed");
            }
        }
    }

    async fn work(&self, batch: Batch, splitter: Splitter, stop: CancellationToken) -> Summary {
        let (table, owner) = (batch.table, batch.owner);
        let keys: Vec<RowKey> = batch.rows.iter().map(|row| row.held.key).collect();
        tokio::select! {
            summary = self.embed(batch, &keys, splitter, stop) => summary,
            never = self.keep(table, owner, &keys) => match never {},
        }
    }

    async fn embed(&self, batch: Batch, keys: &[RowKey], splitter: Splitter, stop: CancellationToken) -> Summary {
        let Batch { table, owner, rows } = batch;
        let outcome = tokio::select! {
            outcome = batch::embed(rows, splitter, &self.provider, &self.gate) => outcome,
            () = stop.cancelled() => {
                self.give_back(table, owner, keys).await;
                return Summary::default();
            }
        };
        if outcome.failure.is_some() {
            let closed = self.gate.closed();
            let reason = closed.map_or_else(String::new, |closed| closed.why);
            tracing::warn!(
                reason,
                rows = outcome.released.len(),
                "the embeddings service is left alone for a while"
            );
        }
        match self.store_outcome(table, owner, outcome).await {
            Ok(summary) => summary,
            Err(error) => {
                tracing::warn!(error = %error, "chunks could not be stored; their rows are taken again");
                self.give_back(table, owner, keys).await;
                Summary::default()
            }
        }
    }

    async fn store_outcome(&self, table: usize, owner: i64, outcome: batch::Outcome) -> Result<Summary, StoreError> {
        let count = |outcome, rows| counter!(names::EMBED_ROWS, "outcome" => outcome).increment(rows);
        let mut summary = Summary::default();
        let unchanged = outcome.embedded.iter().filter(|row| row.chunks.is_none()).count() as u64;
        if !outcome.embedded.is_empty() {
            let started = Instant::now();
            let committed = match self.store.commit(table, owner, &outcome.embedded).await {
                Ok(committed) => committed,
                // The vectors are here and were paid for: one more try.
                Err(error) => {
                    tracing::warn!(error = %error, "storing chunks is tried once more");
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(50..500))).await;
                    self.store.prepare(table).await?;
                    self.store.commit(table, owner, &outcome.embedded).await?
                }
            };
            histogram!(names::EMBED_COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
            let unchanged = unchanged.saturating_sub(committed.removed);
            count("unchanged", unchanged);
            count("done", committed.done.saturating_sub(unchanged));
            count("fenced", committed.fenced);
            count("removed", committed.removed);
            summary.done = committed.done;
        }
        if !outcome.refused.is_empty() {
            let rows = self.store.bury(table, owner, &outcome.refused).await?;
            if rows > 0 {
                tracing::warn!(rows, "rows were given up; `pgflight embeddings status` says why");
            }
            count("dead", rows);
            summary.dead = rows;
        }
        if !outcome.released.is_empty() {
            count("released", outcome.released.len() as u64);
            self.give_back(table, owner, &outcome.released).await;
        }
        Ok(summary)
    }

    async fn give_back(&self, table: usize, owner: i64, keys: &[RowKey]) {
        if let Err(error) = self.store.release(table, owner, keys, Duration::ZERO).await {
            // The lease runs out, and then the rows are taken again.
            tracing::debug!(error = %error, "rows could not be given back");
        }
    }
}

/// Whether the next try may do better although nothing is changed.
fn is_passing(class: Class) -> bool {
    matches!(
        class,
        Class::Unavailable | Class::Conflict | Class::Timeout | Class::Exhausted
    )
}
