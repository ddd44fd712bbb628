//! Embeddings through the Flight door, a stub service and a real Postgres: chunks follow the rows, whatever goes wrong.

mod blame;
mod cloudquery;
mod concurrency;
mod cost;
mod deletes;
mod faults;
mod follow;
mod keys;
mod killed;
mod kills;
mod logs;
mod metrics;
mod migrate;
mod operate;
mod page;
mod process;
mod provider;
mod race;
mod statements;
mod status;
mod traced;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use pgflight::embed::hash_test;
use pgflight::embed::split::split;
use pgflight::model::embed::{ChunkSize, Splitter};
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::embeddings::{Stub, settings};
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::server::Server;

const DIMENSIONS: usize = 8;
const SPLITTER: Splitter = Splitter::Recursive(ChunkSize {
    chunk_size: 40,
    chunk_overlap: 10,
});

/// A database, a stub and a server that embeds `docs.body`.
struct Bench {
    database: Database,
    stub: Stub,
    server: Server,
    flight: Flight,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        let database = Database::create().await;
        let stub = Stub::start(DIMENSIONS).await;
        let mut settings = settings(&stub, DIMENSIONS as u32);
        change(&mut settings);
        let server = Server::start_with(database.uri(), settings).await;
        let flight = Flight::connect(&server).await;
        Self {
            database,
            stub,
            server,
            flight,
        }
    }

    /// Upserts rows (id, kind, body).
    async fn put(&mut self, rows: &[(i64, &str, Option<&str>)]) {
        self.flight.put(upsert(), &[docs(rows)]).await.expect("rows can be put");
    }

    /// Chunks by row, in order.
    async fn chunks(&self) -> BTreeMap<i64, Vec<String>> {
        chunks(&self.database).await
    }
}

fn upsert() -> arrow_flight::FlightDescriptor {
    command(json!({"table": "docs", "write_mode": "overwrite", "primary_key": ["id"]}))
}

fn docs(rows: &[(i64, &str, Option<&str>)]) -> RecordBatch {
    let kinds: Vec<Option<&str>> = rows.iter().map(|row| Some(row.1)).collect();
    let bodies: Vec<Option<&str>> = rows.iter().map(|row| row.2).collect();
    batch(vec![
        ("id", longs(rows.iter().map(|row| row.0))),
        ("kind", texts(&kinds)),
        ("body", texts(&bodies)),
    ])
}

async fn chunks(database: &Database) -> BTreeMap<i64, Vec<String>> {
    let rows = database
        .query("select id, chunk from docs_vectors order by id, _chunk_seq", &[])
        .await;
    let mut chunks: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for row in rows {
        chunks.entry(row.get(0)).or_default().push(row.get(1));
    }
    chunks
}

/// What the chunks should be: the splitter's, of every row's present text.
async fn wanted(database: &Database) -> BTreeMap<i64, Vec<String>> {
    let rows = database.query("select id, body from docs", &[]).await;
    let rows = rows.iter().map(|row| {
        let text: Option<String> = row.get(1);
        (row.get(0), split(&text.unwrap_or_default(), SPLITTER))
    });
    rows.filter(|(_, chunks): &(i64, Vec<String>)| !chunks.is_empty())
        .collect()
}

/// A good answer to a request's body, with vectors in base64 where that is asked for.
fn good_answer(body: &Value, dimensions: usize) -> String {
    use base64::Engine;
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).expect("a list of texts");
    let vectors = texts.iter().map(|text| hash_test::vector(text, dimensions));
    let data = vectors.map(|vector| match body["encoding_format"].as_str() {
        Some("base64") => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!({"embedding": base64::engine::general_purpose::STANDARD.encode(bytes)})
        }
        _ => json!({"embedding": vector}),
    });
    json!({"data": data.collect::<Vec<_>>()}).to_string()
}
