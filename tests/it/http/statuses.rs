//! Each status, as a client meets it: one sentence, the kind of failure as gRPC calls it, and Postgres' facts.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::bodies::{CSV, JSON, NDJSON, STREAM};
use super::client::{Answer, get, post, send};
use super::start_with;
use crate::support::database::Database;
use crate::support::process::{Process, Signal, free_address};
use crate::support::server::Server;

fn told(answer: &Answer, code: &str) -> Value {
    let document = answer.json();
    assert_eq!(document["code"], code, "{document}");
    assert_eq!(answer.headers["content-type"], "application/json");
    document
}

const ROW: &str = r#"{"id": 1, "name": "x"}"#;

/// A server with small limits, and a table that has a key and this row.
async fn with_a_row() -> (Database, Server) {
    let limits = json!({"limits": {"max_message_bytes": 65_536, "max_inflight_bytes": 1 << 20}});
    let (database, server) = start_with(limits).await;
    database
        .execute("create table t (id bigint primary key, name text not null)")
        .await;
    post(server.http_door(), "t", JSON, ROW).await.loaded();
    (database, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_asks_for_and_is_not_is_refused_with_a_sentence() {
    let (database, server) = with_a_row().await;
    let (door, row) = (server.http_door(), ROW);
    let unknown = post(door, "t?wirte_mode=append", JSON, row).await;
    assert!(unknown.refused(400).contains("write_mode"), "{}", unknown.text());
    told(&unknown, "INVALID_ARGUMENT");
    let twice = post(door, "t?strict=true&strict=true", JSON, row).await;
    assert!(twice.refused(400).contains("twice"), "{}", twice.text());
    assert!(
        post(door, "t?acks=progress", JSON, row)
            .await
            .refused(400)
            .contains("one answer")
    );
    assert!(
        post(door, "t?stream_id=a&commit=batch", JSON, row)
            .await
            .refused(400)
            .contains("atomic")
    );
    assert!(
        post(door, "t?delimiter=ab", CSV, "id\n1\n")
            .await
            .refused(400)
            .contains("delimiter")
    );
    let long = "x".repeat(64);
    assert!(post(door, &long, JSON, row).await.refused(400).contains("63"));
    assert_eq!(
        database.lines("select * from t").await,
        ["1|x"],
        "what was refused left nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_does_not_allow_has_its_status_and_its_facts() {
    let (database, server) = with_a_row().await;
    let (door, row) = (server.http_door(), ROW);
    let key = post(door, "t", JSON, row).await;
    assert!(key.refused(409).contains("t_pkey"), "{}", key.text());
    let facts = told(&key, "ALREADY_EXISTS");
    assert_eq!(
        (&facts["sqlstate"], &facts["table"], &facts["constraint"]),
        (&json!("23505"), &json!("public.t"), &json!("t_pkey"))
    );
    let null = post(door, "t", JSON, r#"[{"id": 2, "name": "x"}, {"id": 3, "name": null}]"#).await;
    assert_eq!(
        (&null.json()["column"], &null.json()["row"]),
        (&json!("name"), &json!(1)),
        "{}",
        null.text()
    );
    assert_eq!(null.status, 400);
    told(
        &post(door, "t?migrate_mode=off", JSON, r#"{"nope": 1}"#).await,
        "FAILED_PRECONDITION",
    );
    let rows = post(door, "t?expected_rows=2", JSON, r#"{"id": 9, "name": "x"}"#).await;
    assert!(rows.refused(409).contains("announced 2 rows"), "{}", rows.text());
    assert!(
        post(door, "t?strict=true", JSON, row)
            .await
            .refused(409)
            .contains("expected_rows")
    );
    assert_eq!(
        database.lines("select * from t").await,
        ["1|x"],
        "what was refused left nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_of_no_known_kind_or_not_there_has_its_status() {
    let (database, server) = with_a_row().await;
    let (door, row) = (server.http_door(), ROW);
    let large = post(
        door,
        "t",
        NDJSON,
        format!("{{\"id\": 5, \"name\": \"{}\"}}\n", "x".repeat(70_000)),
    )
    .await;
    assert!(
        large.refused(413).contains("limits.max_message_bytes"),
        "{}",
        large.text()
    );
    for (kind, packing) in [("text/plain", "gzip"), (JSON, "br"), ("", "")] {
        let headers = [("content-type", kind), ("content-encoding", packing)];
        let headers = &headers[..if packing.is_empty() { 0 } else { 2 }];
        let refused = send(door, "POST", "/v1/tables/public/t", headers, row).await;
        let sentence = refused.refused(415);
        assert!(
            sentence.contains("application/json") || sentence.contains("zstd"),
            "{sentence}"
        );
    }
    assert!(
        send(door, "GET", "/v1/table/t", &[], "")
            .await
            .refused(404)
            .contains("/v1/tables/")
    );
    let put = send(door, "PUT", "/v1/tables/public/t", &[], "").await;
    assert_eq!((put.status, put.headers["allow"].to_str().unwrap()), (405, "GET, POST"));
    told(&get(door, "nowhere", STREAM).await, "NOT_FOUND");
    assert_eq!(
        database.lines("select * from t").await,
        ["1|x"],
        "what was refused left nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_or_may_not_is_told_apart() {
    let rules = json!([{"principal": "etl", "tables": ["public.mine"], "may": ["append", "migrate", "read"]}]);
    let auth = json!({"auth": {"tokens": [{"principal": "etl", "token": "s3cret"}], "rules": rules}});
    let (_database, server) = start_with(auth).await;
    let call = async |token: Option<&str>, table: &str| {
        let bearer = format!("Bearer {}", token.unwrap_or_default());
        let mut headers = vec![("content-type", JSON)];
        headers.extend(token.map(|_| ("authorization", bearer.as_str())));
        let path = format!("/v1/tables/public/{table}");
        send(server.http_door(), "POST", &path, &headers, r#"{"id": 1}"#).await
    };
    for token in [None, Some("wrong")] {
        let refused = call(token, "mine").await;
        assert!(refused.refused(401).contains("auth.tokens"), "{}", refused.text());
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        told(&refused, "UNAUTHENTICATED");
    }
    for times in 1..=2 {
        assert_eq!(call(Some("s3cret"), "mine").await.loaded()["rows"], 1, "{times}");
    }
    let other = call(Some("s3cret"), "other").await;
    let sentence = other.refused(403);
    assert!(
        sentence.contains("etl") && sentence.contains("public.other"),
        "{sentence}"
    );
    assert_eq!(told(&other, "PERMISSION_DENIED")["reason"], "NO_RIGHT");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_says_when_to_try_again() {
    let (database, server) = start_with(json!({"limits": {"max_streams": 1, "stream_idle_timeout": "2s"}})).await;
    let door = server.http_door();
    let head = "POST /v1/tables/public/slow HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 100\r\n\r\nid\n1\n";
    let mut tries = 0;
    // Where ours is there first, the slow one is refused.
    let (mut open, busy) = loop {
        let mut open = TcpStream::connect(door).await.expect("the port listens");
        open.write_all(head.as_bytes()).await.expect("it is taken");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = post(door, "t", JSON, r#"{"id": 1}"#).await;
        if answer.status == 429 {
            break (open, answer);
        }
        tries += 1;
        assert!(tries < 20, "the slow one has the only place: {}", answer.text());
    };
    assert!(busy.refused(429).contains("limits.max_streams"), "{}", busy.text());
    assert_eq!(busy.headers["retry-after"], "5");
    told(&busy, "RESOURCE_EXHAUSTED");
    let mut answer = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut open, &mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
    drop(read.expect("who sends nothing is ended"));
    assert!(
        answer.starts_with("HTTP/1.1 504") && answer.contains("limits.stream_idle_timeout"),
        "{answer}"
    );
    post(door, "t", JSON, r#"{"id": 1}"#).await.loaded();
    assert_eq!(database.value("select to_regclass('slow') is null").await, "t");

    let nowhere = format!("postgresql://u@{}/d", free_address());
    let settings =
        json!({"http_listen": "127.0.0.1:0", "pool": {"acquire_timeout": "500ms"}, "retry_timeout": "500ms"});
    let server = Server::start_with(&nowhere, settings).await;
    for away in [
        get(server.http_door(), "t", CSV).await,
        post(server.http_door(), "t", JSON, r#"{"id": 1}"#).await,
    ] {
        assert_eq!(away.headers["retry-after"], "5", "{}", away.text());
        assert_eq!(away.status, 503);
        told(&away, "UNAVAILABLE");
    }
    let stranger = database.uri().replace("postgres@", "nobody_of_that_name@");
    let server = Server::start_with(&stranger, json!({"http_listen": "127.0.0.1:0"})).await;
    let ours = get(server.http_door(), "t", CSV).await;
    assert!(ours.status >= 500, "{}", ours.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_lets_running_loads_finish_and_takes_no_new_ones() {
    let database = Database::create().await;
    let door = free_address();
    let settings = [("http_listen", &*door.to_string()), ("log.format", "json")];
    let mut process = Process::start(database.uri(), &settings).await;
    let mut open = TcpStream::connect(door).await.expect("the port listens");
    let head =
        "POST /v1/tables/public/t HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 9\r\n\r\nid\n1\n";
    open.write_all(head.as_bytes()).await.expect("it is taken");
    let mut idle = TcpStream::connect(door).await.expect("the port listens");
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.signal(Signal::Terminate);
    process.logs("shutting down").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A connection that made no request is closed, as is the port.
    let mut nothing = Vec::new();
    drop(
        idle.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
            .await,
    );
    drop(tokio::io::AsyncReadExt::read_to_end(&mut idle, &mut nothing).await);
    assert!(nothing.is_empty(), "{:?}", String::from_utf8_lossy(&nothing));
    assert!(TcpStream::connect(door).await.is_err());
    open.write_all(b"2\n3\n").await.expect("it is heard out");
    let mut answer = String::new();
    drop(tokio::io::AsyncReadExt::read_to_string(&mut open, &mut answer).await);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"committed\":3"),
        "{answer}"
    );
    assert_eq!(
        process.exit_code(Duration::from_secs(20)).await,
        Some(0),
        "{}",
        process.log()
    );
    assert_eq!(database.value("select sum(id) from t").await, "6");
}
