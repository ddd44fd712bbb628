//! The metrics page tells what the workers do.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::process::ConfigFile;
use super::{DIMENSIONS, docs, upsert};
use crate::support::database::Database;
use crate::support::embeddings::{Fault, Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::process::free_address;

async fn page(address: std::net::SocketAddr) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    Some(text)
}

/// The value of a line of the page.
fn value(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_rows_chunks_and_what_was_given_up_are_on_the_metrics_page() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let (address, admin) = (free_address(), free_address());
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["listen"] = json!(address.to_string());
    settings["admin_listen"] = json!(admin.to_string());
    stub.poison(Some("poison"));
    stub.fail_next([Fault::RateLimited { retry_after: Some("1") }]);
    let file = ConfigFile::write(&database, settings);
    let mut server = file.command(&["serve"]).spawn().expect("the program starts");
    let started = Instant::now();
    while page(admin).await.is_none() || tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut flight = Flight::reach(&format!("http://{address}")).await;
    let rows = [(1, "k", Some("one")), (2, "k", Some("one")), (3, "k", Some("poison"))];
    flight.put(upsert(), &[docs(&rows)]).await.expect("rows can be put");
    drained(&database).await;
    // Gauges are brought up to date every 15 s.
    let dead = "pgflight_embed_dead{code=\"bad_input\"}";
    let page = loop {
        let page = page(admin).await.expect("the page is there");
        if value(&page, dead) == Some(1.0) && value(&page, "pgflight_embed_pending") == Some(0.0) {
            break page;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for (name, wanted) in [
        ("pgflight_embed_requests_total{outcome=\"rate_limited\"}", 1.0),
        ("pgflight_embed_chunks_total{source=\"new\"}", 1.0),
        ("pgflight_embed_chunks_total{source=\"shared\"}", 1.0),
        ("pgflight_embed_rows_total{outcome=\"done\"}", 2.0),
        ("pgflight_embed_rows_total{outcome=\"dead\"}", 1.0),
        ("pgflight_embed_leased", 0.0),
        ("pgflight_embed_cooldown_seconds", 0.0),
        ("pgflight_embed_circuit_open", 0.0),
    ] {
        assert_eq!(value(&page, name), Some(wanted), "{name}:\n{page}");
    }
    for name in [
        "pgflight_embed_requests_total{outcome=\"bad_input\"}",
        "pgflight_embed_tokens_total",
        "pgflight_embed_concurrency",
        "pgflight_embed_request_inputs_count",
        "pgflight_embed_request_seconds_count",
        "pgflight_embed_commit_seconds_count",
    ] {
        assert!(value(&page, name).is_some_and(|value| value >= 1.0), "{name}:\n{page}");
    }
    server.kill().await.expect("it runs");
}
