//! The fault matrix: each file is a kind of fault, each test breaks something real and lets the oracle judge what is left.
//!
//! Rows are sent so that one batch is one chunk, so the oracle can tell a chunk that is there in part.

mod answers;
mod clients;
mod contention;
mod disk;
mod failover;
mod malformed;
mod network;
mod people;
mod postmaster;
mod proxy;
mod restarts;
mod sessions;
mod streams;
mod values;

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::FlightDescriptor;
use serde_json::{Value, json};
use tonic::Status;

use crate::support::chaos::Proxy;
use crate::support::database::Database;
use crate::support::feed::Plan;
use crate::support::flight::{Flight, command};
use crate::support::oracle::{self, Oracle, assert_documented};
use crate::support::server::Server;

/// Rows of a chunk, unless a test says otherwise.
const ROWS: u64 = 200;

/// A write mode and a commit mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    write: &'static str,
    commit: &'static str,
}

const MODES: [Mode; 4] = [
    Mode {
        write: "append",
        commit: "batch",
    },
    Mode {
        write: "append",
        commit: "atomic",
    },
    Mode {
        write: "overwrite",
        commit: "batch",
    },
    Mode {
        write: "overwrite",
        commit: "atomic",
    },
];

impl Mode {
    fn atomic(self) -> bool {
        self.commit == "atomic"
    }

    fn keyed(self) -> bool {
        self.write != "append"
    }

    fn table(self) -> String {
        format!("{}_{}", self.write, self.commit)
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
            database
                .execute(&oracle::create_table(&mode.table(), mode.keyed()))
                .await;
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
    let batches: Vec<RecordBatch> = (0..chunks).map(|seq| oracle::rows(stream, seq, ROWS)).collect();
    for seq in 0..chunks {
        oracle.sent(stream, seq, ROWS);
    }
    let result = flight.put(mode.to(ROWS), &batches).await;
    match &result {
        Ok(answer) => {
            assert_eq!(answer["committed"], chunks * ROWS, "{answer}");
            oracle.acked_through(stream, chunks - 1);
        }
        Err(status) => assert_documented(status),
    }
    result
}

/// A put of a mode that goes on until its tap is closed.
fn endless(mode: Mode, stream: &str) -> Plan {
    Plan {
        to: mode.to(ROWS),
        stream: stream.to_owned(),
        rows: ROWS,
        pace: Duration::from_millis(3),
        labels: false,
        from: 0,
        chunks: None,
    }
}

/// An oracle for the table of a mode.
fn oracle_for(mode: Mode) -> Oracle {
    let oracle = Oracle::of(&mode.table());
    if mode.atomic() { oracle.whole_streams() } else { oracle }
}
