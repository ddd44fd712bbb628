//! What the embedding workers ask of the place that holds rows, ledger and vectors.
//!
//! The ledger is a desired state: one entry per source row says which text it has and which one its chunks were made of.
//! Loads write, in the rows' own transaction, which keys they touched (the journal); [`EmbedStore::expand`] brings the
//! ledger up to date from it. No call holds a transaction open when it returns.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pgvector::Vector;
use serde::{Deserialize, Serialize};

use crate::model::class::Class;

/// A row of the ledger: SHA-256 of the source row's key.
pub type RowKey = [u8; 32];

/// The store failed; the work is still there and can be taken up again.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// Kind of failure.
    pub class: Class,
    /// One sentence.
    pub message: String,
}

/// A row as a worker took it. Whatever becomes of it is for this text only: the store looks at the present one before it
/// lets go of the row.
#[derive(Debug, Clone)]
pub struct Held {
    /// Which row.
    pub key: RowKey,
    /// Changes when the row is to be embedded in another way, or once more; a result for another generation is dropped.
    pub generation: i64,
    /// SHA-256 of the text, as the store computes it; empty when the row is gone.
    pub text_hash: Vec<u8>,
}

/// A row that a worker holds for some time, with what it needs to embed it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Which row, and which text.
    pub held: Held,
    /// How often this row's own text was refused.
    pub attempts: i16,
    /// The text; `None` when the row is gone.
    pub text: Option<String>,
    /// Whether the stored chunks were made of this very text in the present way.
    pub up_to_date: bool,
    /// Chunks that the row has, by SHA-256 of their text.
    pub stored: Vec<(Vec<u8>, Bytes)>,
}

/// A vector to store.
#[derive(Debug, Clone)]
pub enum ChunkVector {
    /// New from the provider.
    New(Arc<Vector>),
    /// As it was stored, in the store's own form.
    Kept(Bytes),
}

/// One chunk of a row.
#[derive(Debug, Clone)]
pub struct NewChunk {
    /// The chunk's text.
    pub text: String,
    /// SHA-256 of the text.
    pub hash: [u8; 32],
    /// Its vector.
    pub vector: ChunkVector,
}

/// What became of a claimed row.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// Which row, and the text that was embedded.
    pub held: Held,
    /// Its chunks, in order; `None` leaves the stored ones.
    pub chunks: Option<Vec<NewChunk>>,
    /// Estimated tokens of the text.
    pub tokens: i32,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows whose chunks are those of their present text.
    pub done: u64,
    /// Rows whose text or lease changed meanwhile; they stay pending.
    pub fenced: u64,
    /// Rows that are gone, with their chunks.
    pub removed: u64,
}

/// A row that could not be embedded.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which row, and the text that was refused.
    pub held: Held,
    /// Closed set of short names.
    pub code: &'static str,
    /// Short text; never the row's own.
    pub message: String,
}

/// What one step of [`EmbedStore::expand`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Journal entries that were worked on.
    pub entries: u64,
    /// Rows that became pending.
    pub pending: u64,
    /// Rows that are gone, with their chunks.
    pub removed: u64,
}

/// Why the embeddings service gives no vectors, as the worker that asked last saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceTrouble {
    /// Closed set of short names.
    pub code: String,
    /// What failed, in words that hold nothing of the rows.
    pub message: String,
    /// Whether it is not asked for some time; else it is paused.
    pub left_alone: bool,
    /// Age of the first failure since the last good answer.
    pub since_seconds: f64,
    /// Age of the last failure.
    pub seen_seconds: f64,
    /// Time until it is asked again; less than 0 when that is over.
    pub again_seconds: f64,
}

/// How a table stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableStatus {
    /// The table whose rows are embedded.
    pub source: String,
    /// The table that takes the vectors.
    pub target: String,
    /// Keys in the journal that the ledger does not know yet; an upper bound of what they add to `pending`.
    pub journal_keys: i64,
    /// Rows that wait.
    pub pending: i64,
    /// Rows that a worker holds.
    pub leased: i64,
    /// Rows whose chunks are up to date.
    pub done: i64,
    /// Rows without text.
    pub empty: i64,
    /// Rows that were given up, by reason.
    pub dead: std::collections::BTreeMap<String, i64>,
    /// Chunks stored.
    pub chunks: i64,
    /// Age of the oldest waiting row or journal entry.
    pub oldest_pending_seconds: Option<f64>,
    /// Rows that were embedded per second, over the last minute.
    pub rows_per_second: f64,
    /// Why this table is not worked on.
    pub problem: Option<String>,
    /// Why the embeddings service gives no vectors; nothing while it does.
    pub service: Option<ServiceTrouble>,
    /// Whether the numbers are known; without that nobody can say that nothing waits.
    #[serde(skip)]
    pub counted: bool,
}

impl TableStatus {
    /// When everything that waits is embedded, at the speed of the last minute.
    pub fn seconds_left(&self) -> Option<f64> {
        let rows = (self.pending + self.leased + self.journal_keys) as f64;
        (rows > 0.0 && self.rows_per_second > 0.0).then(|| rows / self.rows_per_second)
    }
}

/// What `embeddings backfill` and `reconcile` look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Rows that the ledger does not know, or knows with another text.
    Backfill,
    /// That, and chunks without a row, and rows whose chunks are gone.
    Reconcile,
}

/// The place that holds rows, ledger and vectors.
#[async_trait]
pub trait EmbedStore: Debug + Send + Sync {
    /// The embedded tables, by position in the configuration.
    fn tables(&self) -> usize;

    /// Ready when a load of this process has noted something.
    async fn noted(&self);

    /// Makes ledger and vector table of a table ready; `false` while its source does not exist.
    async fn prepare(&self, table: usize) -> Result<bool, StoreError>;

    /// Brings the ledger up to date with a part of the journal. Rows that a worker holds are left to that worker.
    async fn expand(&self, table: usize) -> Result<Expanded, StoreError>;

    /// Takes up to `rows` pending rows for `lease`, and reads what is needed to embed them. `owner` is a number that no other
    /// call has, so that who took a row later is told from who took it before.
    async fn claim(&self, table: usize, owner: i64, rows: u32, lease: Duration) -> Result<Vec<Claimed>, StoreError>;

    /// Stores results, row by row all or nothing, for rows that are still ours and still have that text.
    async fn commit(&self, table: usize, owner: i64, rows: &[Embedded]) -> Result<Committed, StoreError>;

    /// Gives rows up until their text changes or somebody asks for them again. Those that have another text by now stay
    /// pending. Returns how many were given up.
    async fn bury(&self, table: usize, owner: i64, rows: &[Refused]) -> Result<u64, StoreError>;

    /// Gives rows back unharmed, to be taken again after `pause`.
    async fn release(&self, table: usize, owner: i64, rows: &[RowKey], pause: Duration) -> Result<(), StoreError>;

    /// Keeps rows that `owner` holds for another `lease`.
    async fn renew(&self, table: usize, owner: i64, rows: &[RowKey], lease: Duration) -> Result<(), StoreError>;

    /// Builds what is wanted once a table is drained (the vector index); `false` when it is to be tried again, because the
    /// table is not drained or another process builds.
    async fn settle(&self, table: usize) -> Result<bool, StoreError>;

    /// Notes why the service gives no vectors, or that it does again.
    async fn note_trouble(&self, table: usize, trouble: Option<&ServiceTrouble>) -> Result<(), StoreError>;

    /// How a table stands.
    async fn status(&self, table: usize) -> Result<TableStatus, StoreError>;

    /// Puts a sweep over the whole table into the journal.
    async fn sweep(&self, table: usize, sweep: Sweep) -> Result<(), StoreError>;

    /// Makes rows pending that were given up, all or those with a code; returns how many.
    async fn retry_dead(&self, table: usize, code: Option<&str>) -> Result<u64, StoreError>;
}
