//! Limits that hold for all clients together: streams, memory, and what an idle client may occupy.

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages};
use crate::support::server::Server;

const OPEN: &str = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                    and xact_start is not null and backend_type = 'client backend'";

/// A put that sends these messages and then nothing, until it is dropped.
fn stalled(
    mut flight: Flight,
    messages: Vec<arrow_flight::FlightData>,
) -> tokio::task::JoinHandle<Result<Vec<serde_json::Value>, tonic::Status>> {
    let stream = futures::stream::iter(messages).chain(futures::stream::pending());
    tokio::spawn(async move { flight.stream(stream).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused_and_places_come_back() {
    let database = Database::create().await;
    let server = Server::start_with(
        database.uri(),
        json!({"limits": {"max_streams": 2, "stream_idle_timeout": "3s"}}),
    )
    .await;
    let rows = || [batch(vec![("id", longs(0..5))])];
    let batched = |table: &str| command(json!({"table": table, "commit": "batch"}));
    let first = stalled(Flight::connect(&server).await, messages(batched("a"), &rows()));
    let second = stalled(Flight::connect(&server).await, messages(batched("b"), &rows()));
    database
        .wait_for("select to_regclass('a') is not null and to_regclass('b') is not null")
        .await;
    let error = Flight::connect(&server)
        .await
        .put(batched("c"), &rows())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.message().contains("limits.max_streams"), "{error}");
    // Both end by the idle timeout.
    first.await.unwrap().unwrap_err();
    let mut flight = Flight::connect(&server).await;
    let mut tries = 0;
    while let Err(error) = flight.put(batched("c"), &rows()).await {
        tries += 1;
        assert!(tries < 100, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    second.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_batch_client_holds_neither_a_transaction_nor_a_connection() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 2}})).await;
    let mut idle = Vec::new();
    for n in 0..8 {
        let to = command(json!({"table": format!("t{n}"), "commit": "batch"}));
        idle.push(stalled(
            Flight::connect(&server).await,
            messages(to, &[batch(vec![("id", longs(0..5))])]),
        ));
    }
    for n in 0..8 {
        database
            .wait_for(&format!("select to_regclass('t{n}') is not null"))
            .await;
        database.wait_for(&format!("select count(*) = 5 from t{n}")).await;
    }
    assert_eq!(database.value(OPEN).await, "0");
    // With two connections for eight streams, a ninth still gets one.
    let answer = Flight::connect(&server)
        .await
        .put(command(json!({"table": "nine"})), &[batch(vec![("id", longs(0..5))])])
        .await;
    assert_eq!(answer.unwrap()["rows"], 5);
    for client in idle {
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_atomic_client_is_ended_with_its_transaction() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"limits": {"stream_idle_timeout": "500ms"}})).await;
    database.execute("create table t (id bigint)").await;
    let to = command(json!({"table": "t", "batch_size": 2}));
    let idle = stalled(
        Flight::connect(&server).await,
        messages(to, &[batch(vec![("id", longs(0..5))])]),
    );
    let error = idle.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    database.wait_for(&format!("select ({OPEN}) = 0")).await;
    assert_eq!(database.value("select count(*) from t").await, "0");
}

/// Without pressure, sixteen half-full chunks would hold all bytes there are and wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_that_hold_all_the_memory_let_a_fast_one_pass() {
    let database = Database::create().await;
    let settings =
        json!({"limits": {"max_inflight_bytes": 4 << 20, "max_message_bytes": 1 << 20}, "pool": {"max_size": 20}});
    let server = Server::start_with(database.uri(), settings).await;
    let rows = |n: i64| batch(vec![("id", longs(0..n))]);
    let mut slow = Vec::new();
    for n in 0..16 {
        let to = command(json!({"table": format!("slow{n}"), "commit": "batch", "batch_size": 1 << 30}));
        slow.push(stalled(Flight::connect(&server).await, messages(to, &[rows(50_000)])));
    }
    let batches: Vec<_> = (0..20).map(|_| rows(50_000)).collect();
    let mut fast = Flight::connect(&server).await;
    let put = tokio::time::timeout(
        Duration::from_secs(60),
        fast.put(command(json!({"table": "fast"})), &batches),
    )
    .await;
    assert_eq!(put.expect("the fast client is not held up").unwrap()["rows"], 1_000_000);
    for client in slow {
        client.abort();
    }
}

/// Streams without a connection hold memory, streams with one need some: neither may wait for the other for good.
#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_connections_and_more_bytes_than_memory_all_finish() {
    let database = Database::create().await;
    let settings =
        json!({"limits": {"max_inflight_bytes": 2 << 20, "max_message_bytes": 1 << 20}, "pool": {"max_size": 3}});
    let server = Server::start_with(database.uri(), settings).await;
    database.execute("create table t (id bigint)").await;
    let rows = batch(vec![("id", longs(0..50_000))]);
    let puts = (0..12).map(|put| {
        let (server, rows) = (server.http(), vec![rows.clone(); 8]);
        // Chunks larger than the memory there is: only pressure makes streams write.
        let options =
            json!({"table": "t", "batch_size": 1 << 30, "commit": if put % 4 == 3 { "batch" } else { "atomic" }});
        async move { Flight::reach(&server).await.put(command(options), &rows).await }
    });
    let all = tokio::time::timeout(Duration::from_secs(120), futures::future::join_all(puts));
    for answer in all.await.expect("nobody waits for good") {
        assert_eq!(answer.unwrap()["committed"], 400_000);
    }
    assert_eq!(
        database.value("select count(*) from t").await,
        (12 * 400_000).to_string()
    );
}

/// The trigger stands in for a full disk: the same SQLSTATE, until there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_waits_for_room_on_a_full_disk_and_then_goes_on() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    database
        .execute(
            "create table t (id bigint); create table room (free boolean); insert into room values (false); \
             create function full_disk() returns trigger language plpgsql as $$ begin \
             if not (select free from room) then raise exception 'no space' using errcode = '53100'; end if; \
             return new; end $$; create trigger full_disk before insert on t for each row execute function full_disk()",
        )
        .await;
    for commit in ["batch", "atomic"] {
        database.execute("update room set free = false").await;
        let mut flight = Flight::connect(&server).await;
        let to = command(json!({"table": "t", "commit": commit}));
        let put = tokio::spawn(async move { flight.put(to, &[batch(vec![("id", longs(0..5))])]).await });
        let body = loop {
            assert!(!put.is_finished(), "{commit}: the load waits");
            let (status, body) = server.page("/readyz").await;
            if status == "HTTP/1.0 503 Service Unavailable" {
                break body;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(body.contains("53100") && body.contains("full"), "{body}");
        database.execute("update room set free = true").await;
        assert_eq!(put.await.unwrap().unwrap()["rows"], 5, "{commit}");
        assert_eq!(server.page("/readyz").await.0, "HTTP/1.0 200 OK", "{commit}");
    }
    assert_eq!(database.value("select count(*) from t").await, "10");
}
