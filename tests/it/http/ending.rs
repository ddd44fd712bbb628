//! Loads that do not come to their end: nothing of them is kept, the log says what ended, and the journal's pages know the door.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::bodies::{JSON, STREAM, rows, stream};
use super::client::post;
use crate::support::database::Database;
use crate::support::process::{Process, free_address};
use crate::support::server::page;

struct Served {
    database: Database,
    process: Process,
    door: SocketAddr,
    admin: SocketAddr,
}

async fn served() -> Served {
    let database = Database::create().await;
    let (door, admin) = (free_address(), free_address());
    let settings = [
        ("http_listen", &*door.to_string()),
        ("admin_listen", &*admin.to_string()),
        ("log.format", "json"),
    ];
    let process = Process::start(database.uri(), &settings).await;
    Served {
        database,
        process,
        door,
        admin,
    }
}

impl Served {
    /// The line about a load that ended.
    async fn line(&self, table: &str) -> Value {
        for _ in 0..500 {
            let log = self.process.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines
                .into_iter()
                .find(|line| line["table"] == table && line["result"].is_string())
            {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no line about {table}:\n{}", self.process.log());
    }

    async fn status(&self) -> Value {
        serde_json::from_str(&page(self.admin, "/status.json").await.1).expect("a document")
    }

    async fn running(&self, table: &str, received: u64) -> Value {
        for _ in 0..500 {
            let status = self.status().await;
            let found = status["streams"]
                .as_array()
                .expect("streams")
                .iter()
                .find(|stream| stream["table"] == table)
                .cloned();
            if let Some(stream) = found.filter(|stream| stream["received"].as_u64() >= Some(received)) {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{table} is not loaded: {}", self.process.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_leaves_nothing_and_the_log_says_who_ended_it() {
    let served = served().await;
    let body = stream(&vec![rows(); 2_000], Default::default());
    for (table, kind, body, length) in [
        ("arrow", STREAM, &body[..body.len() / 2], body.len()),
        ("csv", "text/csv", &b"id,name\n1,x\n"[..], 1_000_000),
    ] {
        served
            .database
            .execute(&format!("create table {table} (id bigint, name text, amount float8)"))
            .await;
        for times in 1..=2 {
            let mut client = TcpStream::connect(served.door).await.expect("the port listens");
            let head = format!(
                "POST /v1/tables/public/{table} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
            );
            client.write_all(head.as_bytes()).await.expect("it is taken");
            client.write_all(body).await.expect("it is taken");
            tokio::time::sleep(Duration::from_millis(200)).await;
            drop(client);
            served.process.logs("client").await;
            assert_eq!(
                served.database.value(&format!("select count(*) from {table}")).await,
                "0",
                "{times}"
            );
        }
    }
    let line = served.line("public.arrow").await;
    assert_eq!(
        (&line["result"], &line["door"], &line["message"]),
        (&json!("aborted"), &json!("http"), &json!("given up by its client")),
        "{line}"
    );
    assert!(
        line["error"]
            .as_str()
            .expect("a sentence")
            .contains("nothing of it was committed"),
        "{line}"
    );
    served
        .database
        .wait_for(
            "select count(*) = 0 from pg_stat_activity where datname = current_database() and state like 'idle in%'",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_curl_leaves_nothing() {
    let served = served().await;
    served.database.execute("create table t (id bigint)").await;
    let mut curl = tokio::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "-X",
            "POST",
            "-H",
            "Content-Type: application/x-ndjson",
            "-T",
            "-",
        ])
        .arg(format!("http://{}/v1/tables/public/t", served.door))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("curl");
    let mut input = curl.stdin.take().expect("a pipe");
    let mut lines = String::new();
    for id in 0..400_000 {
        lines.push_str(&format!("{{\"id\":{id}}}\n"));
    }
    input.write_all(lines.as_bytes()).await.expect("curl reads");
    let running = served.running("public.t", 10_000).await;
    assert_eq!(
        (&running["door"], &running["committed"]),
        (&json!("http"), &json!(0)),
        "{running}"
    );
    curl.kill().await.expect("our child");
    let line = served.line("public.t").await;
    assert_eq!(
        (&line["result"], &line["rows"]),
        (&json!("aborted"), &json!(0)),
        "{line}"
    );
    assert_eq!(served.database.value("select count(*) from t").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_for_its_answer_is_noted() {
    let served = served().await;
    served.database.execute("create table t (id bigint)").await;
    let blocker = served.database.connect().await;
    blocker
        .batch_execute("begin; lock table t in access exclusive mode")
        .await
        .expect("a lock");
    let mut client = TcpStream::connect(served.door).await.expect("the port listens");
    let request = "POST /v1/tables/public/t HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"id\": 1}";
    client.write_all(request.as_bytes()).await.expect("it is taken");
    served.running("public.t", 0).await;
    drop(client);
    blocker.batch_execute("rollback").await.expect("its end");
    let line = served.line("public.t").await;
    assert_eq!(line["door"], "http", "{line}");
    assert_ne!(line["result"], "failed", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_the_metrics_and_the_status_page_know_the_door() {
    let served = served().await;
    for rows in 1..=2 {
        post(served.door, "t", JSON, r#"[{"id": 1}, {"id": 2}]"#).await.loaded();
        let line = served.line("public.t").await;
        assert_eq!(
            (&line["door"], &line["result"], &line["rows"], &line["received"]),
            (&json!("http"), &json!("finished"), &json!(2), &json!(2)),
            "{rows}: {line}"
        );
    }
    post(served.door, "t?migrate_mode=off", JSON, r#"{"nope": 1}"#)
        .await
        .refused(409);
    let status = served.status().await;
    assert_eq!(status["failures"][0]["door"], "http", "{status}");
    let metrics = page(served.admin, "/metrics").await.1;
    for line in [
        "pgflight_streams_total{door=\"http\",outcome=\"finished\"} 2",
        "pgflight_streams_total{door=\"http\",outcome=\"failed\"} 1",
        "pgflight_streams_open{door=\"http\"} 0",
        "pgflight_connections{port=\"http\"}",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
}

/// What comes over a connection until it is closed, within ten seconds.
async fn rest(connection: &mut TcpStream) -> String {
    let mut came = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(connection, &mut came);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    drop(read.expect("it is closed"));
    String::from_utf8_lossy(&came).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_request_after_the_other_and_is_closed_when_none_comes() {
    let limits = json!({"limits": {"stream_idle_timeout": "2s", "handshake_timeout": "1s"}});
    let (_database, server) = super::start_with(limits).await;
    let mut silent = TcpStream::connect(server.http_door()).await.expect("the port listens");
    let mut used = TcpStream::connect(server.http_door()).await.expect("the port listens");
    let request = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..2 {
        used.write_all(request).await.expect("it is taken");
    }
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut used).await.matches("HTTP/1.1 404").count(), 2);
}
