//! A9: the memory of the real process stays under what the configuration allows, with many slow clients that hold as much as
//! they get and a fast one that must pass between them.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, StringArray};
use arrow_flight::FlightData;
use futures::StreamExt;
use serde_json::json;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, messages};
use crate::support::process::Process;

const SLOW: usize = 64;
/// `limits.max_inflight_bytes`.
const INFLIGHT: u64 = 128 << 20;
/// Size of a message.
const MESSAGE: u64 = 256 << 10;
/// HTTP/2 window of a stream: what a client may have on its way while its turn has not come.
const WINDOW: u64 = 64 << 10;
/// Messages of a slow client and of the fast one.
const MESSAGES: (usize, usize) = (24, 512);

fn rows() -> RecordBatch {
    let texts: StringArray = (0..MESSAGE / 1024).map(|row| Some(format!("{row:01024}"))).collect();
    batch(vec![("v", Arc::new(texts))])
}

/// A put into a table of its own that sends `count` messages, `pace` apart, then does what it is told to.
fn sending(table: &str, count: usize, pace: Duration) -> impl futures::Stream<Item = FlightData> + Send + 'static {
    let to = command(json!({"table": table, "commit": "batch", "batch_size": 1 << 30}));
    let pair = messages(to, &[rows()]);
    let (schema, batch) = (pair[0].clone(), pair[1].clone());
    let batches = futures::stream::unfold(0, move |sent| {
        let batch = batch.clone();
        async move {
            if sent == count {
                return None;
            }
            tokio::time::sleep(pace).await;
            Some((batch, sent + 1))
        }
    });
    futures::stream::iter([schema]).chain(batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_slow_clients_and_a_fast_one_stay_under_the_configured_memory() {
    let database = Database::create().await;
    for n in 0..SLOW {
        database
            .execute(&format!("create unlogged table slow{n} (v text)"))
            .await;
    }
    database.execute("create unlogged table fast (v text)").await;
    let (inflight, window, connection) = (INFLIGHT.to_string(), WINDOW.to_string(), (4 * WINDOW).to_string());
    let settings = [
        ("limits.max_inflight_bytes", inflight.as_str()),
        ("limits.max_message_bytes", "1048576"),
        ("limits.http2_stream_window_bytes", window.as_str()),
        ("limits.http2_connection_window_bytes", connection.as_str()),
        ("limits.stream_idle_timeout", "120s"),
    ];
    let process = Process::start(database.uri(), &settings).await;
    // What the process needs anyway, with a connection and an encoder in use.
    let mut flight = Flight::reach(&process.http()).await;
    flight.stream(sending("fast", 2, Duration::ZERO)).await.unwrap();
    let before = process.peak_memory();
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut flight = Flight::reach(&process.http()).await;
        let sent = sending(&format!("slow{n}"), MESSAGES.0, Duration::from_millis(60));
        slow.push(tokio::spawn(async move { flight.stream(sent).await }));
    }
    let fast = tokio::time::timeout(
        Duration::from_secs(120),
        flight.stream(sending("fast", MESSAGES.1, Duration::ZERO)),
    );
    fast.await.expect("the fast client is not held up").unwrap();
    for client in slow {
        client.await.unwrap().expect("slow clients end well");
    }
    let sent = (MESSAGES.0 * SLOW + MESSAGES.1) as u64 * MESSAGE;
    let grown = process.peak_memory().saturating_sub(before);
    // What comes on top for each stream, its window above all, has room in what the rows do not use.
    let allowed = INFLIGHT;
    println!(
        "{} MiB sent; {} MiB before, {} MiB more at the peak, {} MiB allowed",
        sent >> 20,
        before >> 20,
        grown >> 20,
        allowed >> 20
    );
    assert!(
        grown < allowed,
        "A9 {grown} bytes more at the peak, {allowed} are allowed"
    );
    let all: usize = MESSAGES.0 * SLOW * usize::try_from(MESSAGE / 1024).unwrap();
    let mut there = 0;
    for n in 0..SLOW {
        let count = database.value(&format!("select count(*) from slow{n}")).await;
        there += count.parse::<usize>().expect("a count");
    }
    assert_eq!(there, all);
    let fast = (MESSAGES.1 + 2) as u64 * MESSAGE / 1024;
    assert_eq!(database.value("select count(*) from fast").await, fast.to_string());
}
