//! The status page: what it shows is what the counters say, in a browser, and names that clients choose cannot do anything to it.

use arrow_flight::FlightData;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use crate::support::browser;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages};
use crate::support::process::{Process, free_address};
use crate::support::server::page;

/// What a browser must show as text.
const ODD: &str = "<img src=x onerror=alert(1)> & co";

fn rows(count: i64) -> arrow::array::RecordBatch {
    batch(vec![("id", longs(0..count))])
}

async fn status(admin: std::net::SocketAddr) -> Value {
    let (status, body) = page(admin, "/status.json").await;
    assert!(status.contains("200"), "{status}");
    serde_json::from_str(&body).expect("a document")
}

/// A stream that is open until its sender is dropped.
async fn open_stream(flight: &Flight, table: &str) -> tokio::sync::mpsc::UnboundedSender<FlightData> {
    let (sender, rest) = unbounded_channel();
    for message in messages(
        command(json!({"table": table, "commit": "batch", "batch_size": 10})),
        &[rows(70)],
    ) {
        sender.send(message).expect("it is open");
    }
    let mut flight = flight.clone();
    tokio::spawn(async move { flight.stream(UnboundedReceiverStream::new(rest)).await });
    sender
}

/// In a browser. `PGFLIGHT_SCREENSHOT=docs/status.png cargo test --test it overview::` draws the picture of the docs, too.
async fn assert_page_shows(admin: std::net::SocketAddr, refusal: &str) {
    let url = format!("http://{admin}/");
    let text = tokio::task::spawn_blocking(move || browser::text(&browser::document(&url, None)));
    let text = text.await.expect("a page");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let after = |words: &str| lines.iter().skip_while(|line| **line != words).nth(1).copied();
    assert_eq!(after("rows committed"), Some("3,772"), "{text}");
    assert_eq!(after("public.running"), Some("flight"), "{text}");
    assert!(lines.contains(&"ready"), "{text}");
    assert!(lines.contains(&refusal), "{text}");
    assert!(lines.iter().any(|line| line.contains(ODD)), "a name is text: {text}");
    assert!(lines.contains(&"2,468"), "rows of orders: {text}");
    if let Ok(path) = std::env::var("PGFLIGHT_SCREENSHOT") {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let url = format!("http://{admin}/");
        let drawn = tokio::task::spawn_blocking(move || browser::document(&url, Some(&path)));
        drawn.await.expect("a picture");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_shows_what_the_counters_say() {
    let database = Database::create().await;
    let admin = free_address();
    let settings = [("admin_listen", &*admin.to_string())];
    let process = Process::start(database.uri(), &settings).await;
    let mut flight = Flight::reach(&process.http()).await;
    for table in ["orders", "orders", ODD] {
        flight
            .put(command(json!({"table": table})), &[rows(1_234)])
            .await
            .expect("a put");
    }
    let refused = json!({"table": "nowhere", "migrate_mode": "off"});
    let refused = flight
        .put(command(refused), &[rows(1)])
        .await
        .expect_err("there is no such table");
    database.execute("create table running (id bigint)").await;
    let stream = open_stream(&flight, "running").await;
    database.wait_for("select count(*) = 70 from running").await;

    let shown = status(admin).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("ready"), &Value::Null));
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    // A third of 256 MiB for messages and a quarter for dictionaries, in units of the budget.
    let memory = shown["memory_bytes"].as_u64().expect("bytes");
    assert!((149..=150).contains(&(memory >> 20)), "{memory}");
    let streams = shown["streams"].as_array().expect("streams");
    assert_eq!(streams.len(), 1, "{shown:#}");
    assert_eq!(
        (&streams[0]["table"], &streams[0]["received"]),
        (&json!("public.running"), &json!(70))
    );
    assert_eq!(
        (&streams[0]["committed"], &streams[0]["door"]),
        (&json!(70), &json!("flight"))
    );
    assert_eq!(
        shown["metrics"]["pgflight_rows_committed_total"],
        json!(3.0 * 1_234.0 + 70.0)
    );
    let tables: Vec<_> = shown["tables"]
        .as_array()
        .expect("tables")
        .iter()
        .map(|table| &table["table"])
        .collect();
    assert!(tables.contains(&&json!("public.orders")), "{tables:?}");
    let failure = &shown["failures"][0];
    assert_eq!(failure["error"], refused.message(), "what the client was told");
    assert_eq!(failure["class"], "Refused");

    assert_page_shows(admin, refused.message()).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_clients_make_up_do_not_fill_memory_or_the_page() {
    let database = Database::create().await;
    let admin = free_address();
    let settings = [("admin_listen", &*admin.to_string())];
    let process = Process::start(database.uri(), &settings).await;
    let flight = Flight::reach(&process.http()).await;
    let puts = (0..8).map(|client| {
        let mut flight = flight.clone();
        async move {
            for table in (client..1_200).step_by(8) {
                let nowhere = json!({"table": format!("nowhere{table}"), "migrate_mode": "off"});
                let refused = flight
                    .put(command(nowhere), &[rows(1)])
                    .await
                    .expect_err("no such table");
                assert_eq!(refused.code(), Code::FailedPrecondition);
            }
        }
    });
    futures::future::join_all(puts).await;
    let shown = status(admin).await;
    assert_eq!(shown["tables"].as_array().expect("tables").len(), 1_000);
    assert_eq!(shown["failures"].as_array().expect("failures").len(), 50);
    let url = format!("http://{admin}/");
    let document = tokio::task::spawn_blocking(move || browser::document(&url, None));
    let text = browser::text(&document.await.expect("a page"));
    assert!(text.contains("100 of 1,000, by rate"), "{text}");
    let named = text
        .lines()
        .filter(|line| line.trim().starts_with("public.nowhere") || line.trim().starts_with("nowhere"));
    assert!(named.count() < 300, "{text}");
}
