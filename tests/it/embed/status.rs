//! What people hear when vectors do not come: the last message and its cause, one warning, and an exit code.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::DIMENSIONS;
use super::process::{ConfigFile, run};
use crate::support::database::Database;
use crate::support::embeddings::{Fault, Stub, settings};
use crate::support::process::free_address;

async fn rows(settings: &Value, database: &Database) {
    let table = "create table docs (id bigint primary key, kind text, body text); \
                 insert into docs select n, 'k', 'text ' || n from generate_series(1, 5) n";
    database.execute(table).await;
    let (code, text) = run(database, settings, &["backfill"]).await;
    assert_eq!(code, Some(0), "{text}");
}

/// The status of the service, once a worker has noted one that is wanted.
async fn noted(database: &Database, settings: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let (_, text) = run(database, settings, &["status", "--json"]).await;
        let status: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if wanted(&status[0]["service"]) {
            return status[0]["service"].clone();
        }
        assert!(started.elapsed() < Duration::from_secs(90), "{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one entry per case")]
async fn the_status_tells_pauses_refusals_and_causes_of_the_network_apart() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let plain = settings(&stub, DIMENSIONS as u32);
    rows(&plain, &database).await;
    let at = |url: String| {
        let mut settings = plain.clone();
        settings["pgvector_config"]["openai_embedding"]["base_url"] = json!(url);
        settings
    };
    let limited = Fault::RateLimited {
        retry_after: Some("600"),
    };
    let refused = free_address();
    // A service that does not answer is tried some times before it is left alone.
    for (settings, fault, code, left_alone, words) in [
        (
            plain.clone(),
            Some(limited),
            "rate_limited",
            Some(false),
            "asks for a pause (HTTP 429)",
        ),
        (
            at("http://pgflight.invalid/v1".to_owned()),
            None,
            "dns",
            None,
            "DNS knows no address for pgflight.invalid",
        ),
        (
            at(format!("http://{refused}/v1")),
            None,
            "refused",
            None,
            "refuses the connection",
        ),
        (
            at(format!("https://{}/v1", stub.address())),
            None,
            "tls",
            Some(true),
            "no TLS with 127.0.0.1",
        ),
    ] {
        stub.fail_next(fault);
        let file = ConfigFile::write(&database, settings.clone());
        let mut worker = file
            .command(&["embeddings", "work"])
            .spawn()
            .expect("the program starts");
        let service = noted(&database, &settings, |service| service["code"] == code).await;
        assert!(
            left_alone.is_none_or(|left_alone| service["left_alone"] == left_alone),
            "{service}"
        );
        assert!(
            service["message"]
                .as_str()
                .is_some_and(|message| message.contains(words)),
            "{service}"
        );
        let (_, text) = run(&database, &settings, &["status"]).await;
        assert!(text.contains(words) && text.contains(&format!("({code}, ")), "{text}");
        worker.kill().await.expect("it runs");
        // What the worker held is for the next one.
        database
            .execute(
                "update pgflight.embed_state set state = 0, lease_owner = null, lease_until = null where state = 1",
            )
            .await;
    }
    let file = ConfigFile::write(&database, plain.clone());
    let mut worker = file
        .command(&["embeddings", "work"])
        .spawn()
        .expect("the program starts");
    noted(&database, &plain, Value::is_null).await;
    worker.kill().await.expect("it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_warning_tells_that_nothing_goes_through_for_a_while_and_one_line_that_it_does_again() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let settings = settings(&stub, DIMENSIONS as u32);
    rows(&settings, &database).await;
    stub.set_down(true);
    let log = std::env::temp_dir().join(format!("{}-warned.log", database.name()));
    let file = ConfigFile::write(&database, settings.clone());
    let mut command = file.command(&["embeddings", "work"]);
    let errors = std::fs::File::create(&log).expect("a temporary file");
    command
        .stdout(errors.try_clone().expect("a second handle"))
        .stderr(errors);
    let mut worker = command.spawn().expect("the program starts");
    let started = Instant::now();
    let heard = |words: &str| std::fs::read_to_string(&log).expect("text").matches(words).count();
    let warning = "nothing goes through to the embeddings service";
    while heard(warning) == 0 {
        assert!(started.elapsed() < Duration::from_secs(90), "no warning");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(started.elapsed() >= Duration::from_secs(10), "{:?}", started.elapsed());
    let requests = stub.requests();
    while stub.requests() < requests + 2 {
        assert!(started.elapsed() < Duration::from_secs(180), "it is not asked any more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stub.set_down(false);
    while heard("answers again") == 0 {
        assert!(started.elapsed() < Duration::from_secs(240), "no good news");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.kill().await.expect("it runs");
    assert_eq!((heard(warning), heard("answers again")), (1, 1));
    drop(std::fs::remove_file(&log));
}

/// Nobody can say that nothing waits when the table cannot even be looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_drained_run_ends_with_3_while_rows_wait_whatever_the_reason() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let right = settings(&stub, DIMENSIONS as u32);
    rows(&right, &database).await;
    let change = |change: fn(&mut Value)| {
        let mut settings = right.clone();
        settings["embeddings"]["retry_after"] = json!("10m");
        change(&mut settings);
        settings
    };
    for (what, settings) in [
        (
            "model",
            change(|s| s["pgvector_config"]["openai_embedding"]["model_name"] = json!("other")),
        ),
        (
            "splitter",
            change(|s| {
                s["pgvector_config"]["text_splitter"]["recursive_text"] = json!({"chunk_size": 9, "chunk_overlap": 0})
            }),
        ),
        (
            "column",
            change(|s| s["pgvector_config"]["tables"][0]["embed_columns"] = json!(["nothing"])),
        ),
        (
            "tls",
            change(|s| {
                let url = s["pgvector_config"]["openai_embedding"]["base_url"]
                    .as_str()
                    .expect("a text")
                    .replace("http:", "https:");
                s["pgvector_config"]["openai_embedding"]["base_url"] = json!(url);
            }),
        ),
    ] {
        let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(3), "{what}: {text}");
    }
    stub.fail_next([Fault::Status(402, ""), Fault::Status(402, "")]);
    let (code, text) = run(&database, &change(|_| {}), &["work", "--drain"]).await;
    assert_eq!(code, Some(3), "{text}");
    let (code, text) = run(&database, &right, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
}
