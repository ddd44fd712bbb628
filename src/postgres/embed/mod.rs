//! Ledger and vector tables: the Postgres side of `ingest::ports::embed`.
//!
//! A load only notes the keys it touched ([`note`]); everything that costs time happens here, in short transactions of a
//! small pool of its own, so that loads never wait for embeddings. Texts are read, chunks written; what a vector is, is
//! none of this module's business.

mod adopt;
mod copy_rows;
mod expand;
pub(crate) mod followed;
mod held;
mod migrate;
mod missing;
pub(crate) mod note;
mod overview;
mod prepare;
mod shape;
mod sweep;
mod vector_index;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

pub use self::adopt::Adoption;
pub use self::migrate::Migration;
use self::prepare::Ready;
use super::connect::{ConnectPlan, Connector};
use super::error::Error;
use super::pool::{Connection, Connections, PoolSettings};
use super::queries;
use super::session::{SessionLimits, SessionSettings};
use crate::config::{Config, EmbeddingMode, Embeddings, OnTimeout, Source};
use crate::ingest::ports::embed::{
    Claimed, Committed, EmbedStore, Embedded, Expanded, Refused, RowKey, ServiceTrouble, StoreError, Sweep, TableStatus,
};
use crate::model::embed::EmbedTable;
use crate::model::ident::Ident;

/// Connections of the workers. More would not write vectors faster, and loads need theirs.
const CONNECTIONS: usize = 4;
/// Workers try again by themselves, and in between hear that they are to stop.
const AWAY: Duration = Duration::from_secs(2);

/// The embedded tables of one database.
#[derive(Debug)]
pub struct PgEmbedStore {
    connections: Connections,
    state_schema: Ident,
    default_schema: Option<Ident>,
    tables: Vec<EmbedTable>,
    settings: Embeddings,
    ready: Mutex<Vec<Option<Arc<Ready>>>>,
    noted: Notify,
}

impl PgEmbedStore {
    /// A store for the configured tables; `None` where there are none. Nothing is connected yet.
    ///
    /// # Errors
    /// Connection settings that are unusable.
    pub fn new(config: &Config, source: &dyn Source) -> Result<Option<Self>, Error> {
        let tables = config.embed_tables().to_vec();
        if tables.is_empty() {
            return Ok(None);
        }
        let raw = config.raw();
        let text = raw.connection_string.as_ref().map_or("", |text| text.expose());
        let plan = ConnectPlan::new(text, raw.pool.connect_timeout.get(), source)?;
        let settings = PoolSettings {
            max_size: CONNECTIONS,
            wait: raw.pool.acquire_timeout.get(),
            away: AWAY,
            max_lifetime: raw.pool.max_lifetime.get(),
            idle_timeout: raw.pool.idle_timeout.get(),
            pooler: raw.pool.pooler,
        };
        // Rows are looked up by key a few hundred at a time: never read a whole table for that. Who waited for a lock has to see
        // what the other one left, which a database whose transactions are repeatable read would refuse.
        let session = SessionSettings::new(&SessionLimits::of(config))
            .with("random_page_cost = 1.1")
            .with("enable_mergejoin = off")
            .read_committed();
        let ready = vec![None; tables.len()];
        Ok(Some(Self {
            connections: Connections::new(Connector::new(plan), session, settings)?,
            state_schema: config.state_schema().clone(),
            default_schema: config.schema().cloned(),
            tables,
            settings: raw.embeddings.clone(),
            ready: Mutex::new(ready),
            noted: Notify::new(),
        }))
    }

    /// Whether rows are refused that cannot be marked for embedding.
    pub(crate) fn is_required(&self) -> bool {
        self.settings.required
    }

    /// How long a load waits for its vectors, and whether it fails when they do not come.
    pub(crate) fn wait(&self) -> Option<(Duration, bool)> {
        let fails = self.settings.on_timeout == OnTimeout::Fail;
        (self.settings.mode == EmbeddingMode::Wait).then_some((self.settings.wait_timeout.get(), fails))
    }

    /// A load of this process noted something.
    pub(crate) fn wake(&self) {
        self.noted.notify_one();
    }

    fn sql(&self, statement: &str) -> String {
        queries::in_schema(statement, &self.state_schema)
    }

    async fn connection(&self) -> Result<Connection, Error> {
        self.connections.get().await
    }

    fn cached(&self, table: usize) -> Option<Arc<Ready>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get(table).cloned().flatten()
    }

    fn cache(&self, table: usize, found: Option<Arc<Ready>>) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = ready.get_mut(table) {
            *place = found;
        }
    }

    fn ready(&self, table: usize) -> Result<Arc<Ready>, Error> {
        self.cached(table)
            .ok_or_else(|| Error::Internal(format!("embedded table {table} was not prepared")))
    }

    /// Runs a step; what it found out about the table is forgotten when Postgres refuses it, because the table may have
    /// changed. A refusal of ours (another process has changed the configuration) leaves it, so that loads go on noting.
    async fn step<T>(&self, table: usize, step: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        step.await.map_err(|error| {
            if !error.refuses_embedding() {
                self.cache(table, None);
            }
            store_error(&error)
        })
    }
}

fn store_error(error: &Error) -> StoreError {
    StoreError {
        class: error.class(),
        message: error.to_string(),
    }
}

#[async_trait]
impl EmbedStore for PgEmbedStore {
    fn tables(&self) -> usize {
        self.tables.len()
    }

    async fn noted(&self) {
        self.noted.notified().await;
    }

    async fn prepare(&self, table: usize) -> Result<bool, StoreError> {
        if self.cached(table).is_some() {
            return Ok(true);
        }
        self.step(table, self.prepare_table(table)).await
    }

    async fn expand(&self, table: usize) -> Result<Expanded, StoreError> {
        self.step(table, self.expand_journal(table)).await
    }

    async fn claim(&self, table: usize, owner: i64, rows: u32, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        self.step(table, self.claim_rows(table, owner, rows, lease)).await
    }

    async fn commit(&self, table: usize, owner: i64, rows: &[Embedded]) -> Result<Committed, StoreError> {
        self.step(table, self.commit_rows(table, owner, rows)).await
    }

    async fn bury(&self, table: usize, owner: i64, rows: &[Refused]) -> Result<u64, StoreError> {
        self.step(table, self.bury_rows(table, owner, rows)).await
    }

    async fn release(&self, table: usize, owner: i64, rows: &[RowKey], pause: Duration) -> Result<(), StoreError> {
        self.step(table, self.release_rows(table, owner, rows, pause)).await
    }

    async fn renew(&self, table: usize, owner: i64, rows: &[RowKey], lease: Duration) -> Result<(), StoreError> {
        self.step(table, self.renew_rows(table, owner, rows, lease)).await
    }

    async fn settle(&self, table: usize) -> Result<bool, StoreError> {
        self.step(table, self.build_index(table)).await
    }

    async fn note_trouble(&self, table: usize, trouble: Option<&ServiceTrouble>) -> Result<(), StoreError> {
        let noted = self.note_service(table, trouble).await;
        noted.map_err(|error| store_error(&error))
    }

    async fn status(&self, table: usize) -> Result<TableStatus, StoreError> {
        self.table_status(table).await.map_err(|error| store_error(&error))
    }

    async fn sweep(&self, table: usize, sweep: Sweep) -> Result<(), StoreError> {
        self.step(table, self.note_sweep(table, sweep)).await
    }

    async fn retry_dead(&self, table: usize, code: Option<&str>) -> Result<u64, StoreError> {
        self.step(table, self.retry_dead_rows(table, code)).await
    }
}
