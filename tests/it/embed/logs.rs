//! Neither keys nor texts are in what the program writes, at the highest level of everything that can log.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::process::ConfigFile;
use super::{DIMENSIONS, docs, upsert};
use crate::support::database::Database;
use crate::support::embeddings::{Fault, Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::process::free_address;

/// No text without it.
const MARK: &str = "marmalade";

/// Every kind of answer; those of 4xx and 5xx repeat the texts and the key.
fn misbehave(stub: &Stub) {
    stub.fail_next([200, 400, 401, 402, 404, 413, 422, 429, 500, 503].map(Fault::Echo));
    stub.fail_next([
        Fault::ShortData,
        Fault::WrongWidth,
        Fault::NullNumber,
        Fault::NotJson,
        Fault::Reset,
        Fault::Slow(Duration::from_secs(4)),
    ]);
    stub.poison(Some("poison"));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_keys_nor_texts_are_logged_at_any_level_whatever_the_service_answers() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let address = free_address();
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["listen"] = json!(address.to_string());
    settings["admin_listen"] = json!("off");
    settings["log"] = json!({"level": "trace", "filter": "trace"});
    settings["pgx_log_level"] = json!("trace");
    settings["embeddings"]["request_timeout"] = json!("2s");
    misbehave(&stub);
    let log = std::env::temp_dir().join(format!("{}.log", database.name()));
    let file = ConfigFile::write(&database, settings);
    let errors = std::fs::File::create(&log).expect("a temporary file");
    let mut command = file.command(&["serve"]);
    command
        .stdout(errors.try_clone().expect("a second handle"))
        .stderr(Stdio::from(errors));
    let mut server = command.spawn().expect("the program starts");
    let started = std::time::Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut flight = Flight::reach(&format!("http://{address}")).await;
    let bodies: Vec<String> = (0..20)
        .map(|id| format!("{MARK} {id} {}", if id % 7 == 3 { "poison" } else { "jam" }))
        .collect();
    let rows = bodies.iter().zip(0..).map(|(body, id)| (id, "k", Some(body.as_str())));
    flight
        .put(upsert(), &[docs(&rows.collect::<Vec<_>>())])
        .await
        .expect("rows can be put");
    drained(&database).await;
    server.kill().await.expect("it runs");

    let text = std::fs::read_to_string(&log).expect("the log is text");
    drop(std::fs::remove_file(&log));
    assert!(text.contains("TRACE") || text.contains("\"trace\""), "{text}");
    assert!(text.contains("rows were given up"), "the faults were met:\n{text}");
    for secret in ["sk-secret", MARK, "poison"] {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(secret)).take(3).collect();
        assert_eq!(lines, Vec::<&str>::new(), "{secret}");
    }
    let ledger = database
        .lines("select s::text from pgflight.embed_state s")
        .await
        .join("\n");
    let configs = database
        .lines("select c::text from pgflight.embed_config c")
        .await
        .join("\n");
    assert!(
        !ledger.contains(MARK) && !configs.contains("sk-secret"),
        "{ledger}\n{configs}"
    );
    let given_up = database
        .value("select count(*) from pgflight.embed_state where state = 3")
        .await;
    assert!(given_up.parse::<u32>().expect("a number") >= 3, "{given_up}");
}
