//! A measurement, not a test: the same Write calls to the Go destination and to pgflight, one after the other, into two
//! databases of one server. Run by hand with a release build: `cargo test --release --test it throughput -- --ignored --nocapture`
//! with `PGFLIGHT_CLOUDQUERY_PEERS` set; `PGFLIGHT_BENCH_ROWS` changes the number of rows.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, Field, SchemaRef};
use serde_json::json;
use tonic::transport::Endpoint;

use super::client::{Cq, insert, key, migrate, schema};
use super::generator::{self, rows};
use super::peers::peer;
use super::start;
use crate::support::database::Database;

/// Rows of one record.
const RECORD: i64 = 1_000;

async fn seconds(cq: &mut Cq, schema: &SchemaRef, count: i64) -> f64 {
    cq.put(vec![migrate(schema)]).await;
    // Encoded before the clock starts, and the same for both.
    let messages = (0..count / RECORD)
        .map(|at| insert(&rows(schema, at * RECORD..(at + 1) * RECORD, false)))
        .collect();
    let started = Instant::now();
    cq.put(messages).await;
    started.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: needs a release build, the CloudQuery programs and a quiet machine"]
async fn throughput_against_the_go_destination() {
    let count = std::env::var("PGFLIGHT_BENCH_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(500_000);
    let (_database, _server, mut ours) = start().await;
    let go_database = Database::create().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let mut go = tokio::process::Command::new(peer("cq-destination-postgresql"))
        .args([
            "serve",
            "--network",
            "tcp",
            "--address",
            &port.to_string(),
            "--no-sentry",
            "--log-level",
            "error",
        ])
        .env("CQ_TELEMETRY_LEVEL", "none")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the Go destination starts");
    let endpoint = Endpoint::new(format!("http://{port}")).expect("an address");
    let mut theirs = loop {
        match endpoint.connect().await {
            Ok(channel) => break Cq::over(channel),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    theirs
        .init(&json!({"connection_string": go_database.uri()}))
        .await
        .expect("the Go destination connects");
    for (name, keyed) in [("append", false), ("upsert", true), ("upsert again", true)] {
        let mut fields = generator::fields();
        if keyed {
            fields[0] = key(Field::new("id", DataType::Int64, false));
        }
        let table = schema(if keyed { "keyed" } else { "plain" }, fields);
        let theirs = seconds(&mut theirs, &table, count).await;
        let ours = seconds(&mut ours, &Arc::clone(&table), count).await;
        println!(
            "{name}: {count} rows of {} columns: Go {theirs:.1} s, pgflight {ours:.1} s, ratio {:.1}",
            table.fields().len(),
            theirs / ours
        );
    }
    go.kill().await.expect("the Go destination ends");
}
