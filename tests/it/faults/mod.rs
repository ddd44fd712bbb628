//! The fault matrix: each file is a kind of fault, each test breaks something real and lets the oracle judge what is left.
//!
//! Rows are sent so that one batch is one chunk, so the oracle can tell a chunk that is there in part.

mod answers;
pub(crate) mod bombs;
mod clients;
mod commits;
mod contention;
mod disk;
mod failover;
mod kills;
mod lost;
mod malformed;
mod memory;
mod network;
mod noted;
mod people;
mod postmaster;
mod proxy;
mod restarts;
mod sessions;
mod staged;
mod stale;
mod streams;
mod values;

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor};
use serde_json::{Value, json};
use tonic::Status;

use crate::support::chaos::Proxy;
use crate::support::database::Database;
use crate::support::feed::Plan;
use crate::support::flight::{Flight, command, messages, metadata};
use crate::support::oracle::{self, Oracle, assert_documented};
use crate::support::server::Server;

/// Rows of a chunk, unless a test says otherwise.
const ROWS: u64 = 200;

/// When all syncs of the matrix happened, in microseconds since 1970.
const SYNC_TIME: i64 = 1_000_000_000_000_000;

/// A write mode and a commit mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    write: &'static str,
    commit: &'static str,
}

/// Every pair there is; `replace` with `batch` is refused.
const MODES: [Mode; 7] = [
    mode("append", "batch"),
    mode("append", "atomic"),
    mode("overwrite", "batch"),
    mode("overwrite", "atomic"),
    mode("overwrite-delete-stale", "batch"),
    mode("overwrite-delete-stale", "atomic"),
    mode("replace", "atomic"),
];

const fn mode(write: &'static str, commit: &'static str) -> Mode {
    Mode { write, commit }
}

impl Mode {
    fn atomic(self) -> bool {
        self.commit == "atomic"
    }

    fn keyed(self) -> bool {
        self.write.starts_with("overwrite")
    }

    /// Rows name their source and sync, and the stream ends with the word that it is complete.
    fn sync(self) -> bool {
        self.write == "overwrite-delete-stale"
    }

    fn replaces(self) -> bool {
        self.write == "replace"
    }

    fn table(self) -> String {
        format!("{}_{}", self.write.replace('-', "_"), self.commit)
    }

    /// DDL of its table.
    fn create_table(self) -> String {
        let create = oracle::create_table(&self.table(), self.keyed());
        match self.sync() {
            true => format!("{create}; {}", oracle::add_sync_columns(&self.table())),
            false => create,
        }
    }

    fn to(self, rows: u64) -> FlightDescriptor {
        let mut options = json!({
            "table": self.table(), "write_mode": self.write, "commit": self.commit, "batch_size": rows, "acks": "progress",
        });
        if self.keyed() {
            options["primary_key"] = json!(["stream_id", "seq", "row_no"]);
        }
        command(options)
    }

    /// The rows of one chunk.
    fn rows(self, stream: &str, seq: u64, rows: u64) -> RecordBatch {
        match self.sync() {
            true => oracle::synced_rows(stream, seq, rows, SYNC_TIME),
            false => oracle::rows(stream, seq, rows),
        }
    }

    /// All messages of a put of these batches.
    fn messages(self, chunk_rows: u64, batches: &[RecordBatch]) -> Vec<FlightData> {
        self.messages_to(self.to(chunk_rows), batches)
    }

    fn messages_to(self, to: FlightDescriptor, batches: &[RecordBatch]) -> Vec<FlightData> {
        let mut messages = messages(to, batches);
        if self.sync() {
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            messages.push(metadata(&json!({"commit": {"rows": rows}}).to_string()));
        }
        messages
    }
}

/// A database with one table per mode, a proxy in front of its server, and pgflight behind the proxy.
struct Scene {
    database: Database,
    proxy: Proxy,
    /// Kept for its life; calls go through clients of their own.
    server: Server,
}

impl Scene {
    async fn set() -> Self {
        Self::set_with(json!({})).await
    }

    async fn set_with(settings: Value) -> Self {
        Self::over(Database::create().await, settings).await
    }

    async fn over(database: Database, settings: Value) -> Self {
        for mode in MODES {
            database.execute(&mode.create_table()).await;
        }
        let (proxy, uri) = Proxy::before(database.uri()).await;
        let server = Server::start_with(&uri, settings).await;
        Self {
            database,
            proxy,
            server,
        }
    }

    async fn client(&self) -> Flight {
        Flight::connect(&self.server).await
    }
}

/// Sends `chunks` chunks as one put, tells the oracle what was sent and what was promised, and returns what came back.
async fn put(flight: &mut Flight, mode: Mode, oracle: &mut Oracle, stream: &str, chunks: u64) -> Result<Value, Status> {
    let batches: Vec<RecordBatch> = (0..chunks).map(|seq| mode.rows(stream, seq, ROWS)).collect();
    for seq in 0..chunks {
        oracle.sent(stream, seq, ROWS);
    }
    let answers = flight.send(mode.messages(ROWS, &batches)).await;
    let result = answers.map(|answers| answers.into_iter().last().expect("a final answer"));
    match &result {
        Ok(answer) => {
            assert_eq!(answer["committed"], chunks * ROWS, "{answer}");
            oracle.acked_through(stream, chunks - 1);
        }
        Err(status) => assert_documented(status),
    }
    result
}

/// Postgres notices in the end that a client is gone, and lets go of its locks.
async fn bury(proxy: &Proxy) {
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.bury_zombies();
    }
}

/// A put of a mode that goes on until its tap is closed.
fn endless(mode: Mode, stream: &str) -> Plan {
    Plan {
        to: mode.to(ROWS),
        stream: stream.to_owned(),
        rows: ROWS,
        pace: Duration::from_millis(3),
        labels: false,
        sync: mode.sync().then_some(SYNC_TIME),
        from: 0,
        chunks: None,
    }
}

/// An oracle for the table of a mode.
fn oracle_for(mode: Mode) -> Oracle {
    let oracle = Oracle::of(&mode.table());
    match mode.replaces() {
        true => oracle.replaces(),
        false if mode.atomic() => oracle.whole_streams(),
        false => oracle,
    }
}
