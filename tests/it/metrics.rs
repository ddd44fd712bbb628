//! The metrics page: whatever is described is recorded where it says, and docs/metrics.md describes it in the same words.
//! What embeddings add is seen by `embed::metrics`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pgflight::telemetry::names::{self, Kind};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::support::chaos::{Deed, Point, Proxy};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata};
use crate::support::process::{Process, free_address};
use crate::support::server::page;

/// Lines of the page without the comments.
async fn lines(admin: SocketAddr) -> Vec<String> {
    let (status, text) = page(admin, "/metrics").await;
    assert!(status.contains("200"), "{status}");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The sum of a metric's samples; of a histogram, how often it was recorded.
fn value(lines: &[String], name: &str, kind: Kind) -> Option<f64> {
    let name = match kind {
        Kind::Histogram => format!("{name}_count"),
        Kind::Counter | Kind::Gauge => name.to_owned(),
    };
    let samples = lines.iter().filter_map(|line| {
        let rest = line.strip_prefix(&name)?;
        let value = rest.rsplit(' ').next()?;
        matches!(rest.chars().next(), Some(' ' | '{')).then(|| value.parse::<f64>().expect("a number"))
    });
    samples.reduce(|sum, sample| sum + sample)
}

/// Waits until a line of the page begins so and is not zero.
async fn shows(admin: SocketAddr, sample: &str) {
    let since = Instant::now();
    loop {
        let lines = lines(admin).await;
        let found = lines
            .iter()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        if found.is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value > 0.0)) {
            return;
        }
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "{sample}\n{}",
            lines.join("\n")
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn rows(from: i64, count: i64) -> arrow::array::RecordBatch {
    batch(vec![
        ("id", longs(from..from + count)),
        ("v", longs(from..from + count)),
    ])
}

/// A put that its client does not end.
fn silent(mut flight: Flight, table: &str) -> (UnboundedSender<arrow_flight::FlightData>, JoinHandle<bool>) {
    let (sender, rest) = unbounded_channel();
    let to = command(json!({"table": table, "batch_size": 2}));
    for message in messages(to, &[rows(0, 5)]) {
        sender.send(message).expect("it is open");
    }
    let put = tokio::spawn(async move { flight.stream(UnboundedReceiverStream::new(rest)).await.is_ok() });
    (sender, put)
}

/// Creates, changes, repeats, rejects, merges and swaps.
async fn load_in_every_way(database: &Database, flight: &mut Flight) {
    database
        .execute("create table kept (id bigint primary key, v bigint)")
        .await;
    for from in [0, 5] {
        let to = command(json!({"table": "kept", "write_mode": "overwrite"}));
        flight.put(to, &[rows(from, 10)]).await.expect("an overwrite");
        let to = command(json!({"table": "swapped", "write_mode": "replace"}));
        flight.put(to, &[rows(from, 10)]).await.expect("a swap");
        let mut named = messages(command(json!({"table": "named", "stream_id": "s"})), &[rows(0, 10)]);
        named[1].app_metadata = json!({"seq": 0}).to_string().into();
        named.push(metadata(r#"{"commit": {"rows": 10}}"#));
        flight.send(named).await.expect("a stream, and the same again");
    }
    database
        .execute("create table positive (id bigint check (id > 0), v bigint)")
        .await;
    let to = command(json!({"table": "positive", "on_bad_row": "reject"}));
    let answer = flight.put(to, &[rows(0, 10)]).await.expect("nine of ten");
    assert_eq!(answer["rejected"], 1, "{answer}");
    database
        .execute(
            "create table once (id bigint, v bigint); create sequence tries; \
             create function fails_once() returns trigger language plpgsql as $$ begin \
             if nextval('tries') = 1 then raise exception 'once' using errcode = '40001'; end if; return new; end $$; \
             create trigger fails_once before insert on once for each row execute function fails_once()",
        )
        .await;
    let to = command(json!({"table": "once"}));
    flight.put(to, &[rows(0, 10)]).await.expect("at the second try");
}

/// Streams that are shut out, and that find the database behind what was acknowledged.
async fn resume_badly(database: &Database, flight: &mut Flight) {
    let named = |seq: i64, options: serde_json::Value| {
        let mut named = messages(command(options), &[rows(seq * 10, 10)]);
        named[1].app_metadata = json!({"seq": seq}).to_string().into();
        named
    };
    let to = json!({"table": "t", "stream_id": "late"});
    let (sender, rest) = unbounded_channel();
    let mut first = named(0, to.clone()).into_iter();
    for message in first.by_ref() {
        sender.send(message).expect("it is open");
    }
    let mut older = flight.clone();
    let old = tokio::spawn(async move { older.stream(UnboundedReceiverStream::new(rest)).await });
    let begun = "select coalesce((select next_seq from pgflight.stream where stream_id = 'late'), 0) = 1";
    database.wait_for(begun).await;
    flight.send(named(1, to.clone())).await.expect("the newer one");
    sender.send(named(1, to).remove(1)).expect("it is open");
    drop(sender);
    old.await.expect("no panic").expect_err("it was shut out");
    database
        .execute("update pgflight.stream set next_seq = 1, rows = 10 where stream_id = 'late'")
        .await;
    let resumed = json!({"table": "t", "stream_id": "late", "acked_seq": 1});
    flight.send(named(2, resumed)).await.expect_err("it is behind");
}

/// Whatever is described has a value; what goes up and down may be at rest.
fn assert_recorded(lines: &[String]) {
    let missing: Vec<&str> = names::ALL
        .iter()
        .filter(|metric| !metric.name.starts_with("pgflight_embed_"))
        .filter(|metric| match (metric.kind, value(lines, metric.name, metric.kind)) {
            // Now it is at rest.
            (Kind::Gauge, value) => value.is_none(),
            (_, value) => value.is_none_or(|value| value <= 0.0),
        })
        .map(|metric| metric.name)
        .collect();
    assert!(missing.is_empty(), "never recorded: {missing:?}\n{}", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_described_is_recorded_by_a_service_that_is_used() {
    let database = Database::create().await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let admin = free_address();
    let process = Process::start(
        &uri,
        &[
            ("admin_listen", &*admin.to_string()),
            ("limits.handshake_timeout", "500ms"),
            ("limits.max_inflight_bytes", "3000000"),
            ("limits.max_message_bytes", "1000000"),
            ("pool.max_size", "2"),
        ],
    )
    .await;
    let mut flight = Flight::reach(&process.http()).await;
    load_in_every_way(&database, &mut flight).await;
    resume_badly(&database, &mut flight).await;
    proxy.arm(Point::Commit, 1, Deed::DeliverThenCut);
    let unknown = flight.put(command(json!({"table": "t"})), &[rows(0, 10)]).await;
    unknown.expect("what became of it is found out");
    // Memory for one of these at a time.
    let large = (0..4).map(|_| {
        let mut flight = flight.clone();
        async move {
            flight
                .put(command(json!({"table": "large"})), &[rows(0, 55_000), rows(0, 55_000)])
                .await
        }
    });
    for put in futures::future::join_all(large).await {
        put.expect("each in its turn");
    }
    let _says_nothing = TcpStream::connect(process.address()).await.expect("the port listens");
    // Two sessions, one of which stays for those who are quick.
    let waiting = [silent(flight.clone(), "first"), silent(flight.clone(), "second")];
    shows(admin, "pgflight_streams_open{door=\"flight\"}").await;
    shows(admin, "pgflight_pool_given_back_total").await;
    for (sender, put) in waiting {
        drop(sender);
        assert!(put.await.expect("no panic"), "given back is not given up");
    }
    shows(
        admin,
        "pgflight_connections_closed_total{port=\"grpc\",reason=\"silent\"}",
    )
    .await;
    let lines = lines(admin).await;
    assert_recorded(&lines);
    let undescribed: Vec<&String> = lines
        .iter()
        .filter(|line| !names::ALL.iter().any(|metric| line.starts_with(metric.name)))
        .collect();
    assert!(undescribed.is_empty(), "{undescribed:?}");
    let received = value(&lines, names::ROWS_RECEIVED, Kind::Counter);
    assert_eq!(value(&lines, names::STREAMS_OPEN, Kind::Gauge), Some(0.0));
    assert!(received > Some(440_000.0), "{received:?}");
}

#[test]
fn the_page_of_metrics_describes_each_in_the_words_of_the_program() {
    let page = include_str!("../../docs/metrics.md");
    let table: Vec<&str> = page.lines().filter(|line| line.starts_with("| `pgflight_")).collect();
    let expected: Vec<String> = names::ALL
        .iter()
        .map(|metric| {
            let (kind, unit) = (format!("{:?}", metric.kind).to_lowercase(), metric.unit.as_str());
            format!("| `{}` | {kind} | {unit} | {} |", metric.name, metric.help)
        })
        .collect();
    assert_eq!(table, expected, "docs/metrics.md:\n{}", expected.join("\n"));
}
