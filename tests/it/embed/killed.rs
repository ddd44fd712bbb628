//! kill -9 of a worker at each step of its loop: nothing is lost, no half is left, and what was stored is not paid again.
//!
//! The process is held at a step by a lock on the table that the step needs, or by a service that does not answer, and dies
//! there. Then another worker finishes, and the requests of both are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::process::{ConfigFile, run};
use super::{Bench, DIMENSIONS, wanted};
use crate::support::embeddings::{drained, settings};

const ROWS: i64 = 6;

/// Rows that no worker has seen yet, and a worker's settings.
async fn prepared() -> (Bench, Value) {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["workers"] = json!(false)).await;
    let bodies: Vec<String> = (0..ROWS)
        .map(|id| {
            let words: String = (0..id * 3).map(|word| format!("word{id}x{word} ")).collect();
            format!("text {id} {words}")
        })
        .collect();
    let rows = bodies.iter().zip(0..).map(|(body, id)| (id, "k", Some(body.as_str())));
    bench.put(&rows.collect::<Vec<_>>()).await;
    let mut settings = settings(&bench.stub, DIMENSIONS as u32);
    settings["embeddings"]["lease"] = json!("4s");
    (bench, settings)
}

/// The rows are pending in the ledger: a worker came this far and found a service that takes no key, not even for a text of ours.
async fn known_to_the_ledger(bench: &Bench, settings: &Value) {
    bench.stub.judge(|_| Some((401, String::new())));
    let mut patient = settings.clone();
    patient["embeddings"]["retry_after"] = json!("10m");
    let (code, text) = run(&bench.database, &patient, &["work", "--drain"]).await;
    assert_eq!(code, Some(3), "{text}");
    let pending = "select count(*) from pgflight.embed_state where state = 0";
    assert_eq!(bench.database.value(pending).await, ROWS.to_string());
    bench.stub.judge(|_| None);
    bench.stub.take();
}

async fn hold(bench: &Bench, lock: &str) -> Client {
    let holder = bench.database.connect().await;
    holder
        .batch_execute(&format!("begin; {lock}"))
        .await
        .expect("nobody has the lock");
    holder
}

/// Somebody waits for a lock on this table.
fn waits_for(table: &str) -> String {
    format!("select exists (select from pg_locks where not granted and relation = '{table}'::regclass)")
}

/// Starts a worker, waits until the question is answered with yes, and kills it.
async fn killed_when(bench: &Bench, settings: &Value, question: &str) {
    let file = ConfigFile::write(&bench.database, settings.clone());
    let mut worker = file
        .command(&["embeddings", "work"])
        .spawn()
        .expect("the program starts");
    bench.database.wait_for(question).await;
    worker.kill().await.expect("it runs");
}

/// Another worker finishes; how often each text got a vector from the service, the most and the sum.
async fn finished(bench: &Bench, mut settings: Value) -> (usize, usize) {
    // Long enough for a machine that is busy with other tests: this worker is not to lose its rows.
    settings["embeddings"]["lease"] = json!("2m");
    let half = "select count(*) from pgflight.embed_state s where state = 2 \
                and chunks <> (select count(*) from docs_vectors v where v._row_key = s.row_key)";
    assert_eq!(bench.database.value(half).await, "0");
    let file = ConfigFile::write(&bench.database, settings);
    let mut worker = file
        .command(&["embeddings", "work"])
        .spawn()
        .expect("the program starts");
    drained(&bench.database).await;
    worker.kill().await.expect("it runs");
    let chunks = bench.chunks().await;
    assert_eq!(chunks, wanted(&bench.database).await);
    let orphans = "select count(*) from docs_vectors v where not exists \
                   (select from pgflight.embed_state s where s.row_key = v._row_key and s.state = 2)";
    assert_eq!(bench.database.value(orphans).await, "0");
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for text in bench.stub.take_answered() {
        *answered.entry(text).or_default() += 1;
    }
    let texts: usize = chunks.values().map(Vec::len).sum();
    assert_eq!(answered.len(), texts, "every chunk is a text of its own");
    (answered.values().copied().max().unwrap_or(0), answered.values().sum())
}

/// Held by a lock on a table, killed, and nothing was paid twice.
async fn dies_before_anything_is_paid(pending: bool, lock: &str, waits: &str) {
    let (bench, settings) = prepared().await;
    if pending {
        known_to_the_ledger(&bench, &settings).await;
    }
    let holder = hold(&bench, lock).await;
    killed_when(&bench, &settings, waits).await;
    assert_eq!(bench.stub.requests(), 0);
    holder.batch_execute("rollback").await.expect("the holder lives");
    assert_eq!(finished(&bench, settings).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_reads_the_journal() {
    let lock = "lock table pgflight.embed_journal in access exclusive mode";
    dies_before_anything_is_paid(false, lock, &waits_for("pgflight.embed_journal")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_brings_the_ledger_up_to_date() {
    let lock = "lock table pgflight.embed_state in share mode";
    dies_before_anything_is_paid(false, lock, &waits_for("pgflight.embed_state")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_takes_rows() {
    let lock = "lock table pgflight.embed_state in share mode";
    dies_before_anything_is_paid(true, lock, &waits_for("pgflight.embed_state")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_reads_the_texts_of_rows_it_took() {
    let taken = "exists (select from pgflight.embed_state where state = 1)";
    let question = format!("{} and {taken}", waits_for("docs"));
    dies_before_anything_is_paid(true, "lock table docs in access exclusive mode", &question).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_waits_for_the_service() {
    let (bench, settings) = prepared().await;
    bench.stub.set_delay(Duration::from_secs(60));
    let file = ConfigFile::write(&bench.database, settings.clone());
    let mut worker = file
        .command(&["embeddings", "work"])
        .spawn()
        .expect("the program starts");
    let started = std::time::Instant::now();
    while bench.stub.requests() == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "no request came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A look at the journal is over soon; what is open over the request is older than that.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let open = "select coalesce(string_agg(query, '; '), '') from pg_stat_activity where datname = current_database() \
                and xact_start < clock_timestamp() - interval '3 s' and backend_type = 'client backend'";
    assert_eq!(
        bench.database.value(open).await,
        "",
        "no transaction is open over a request"
    );
    worker.kill().await.expect("it runs");
    bench.stub.set_delay(Duration::ZERO);
    assert_eq!(finished(&bench, settings).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_stores_chunks() {
    let (bench, settings) = prepared().await;
    known_to_the_ledger(&bench, &settings).await;
    let holder = hold(&bench, "lock table docs_vectors in share mode").await;
    killed_when(&bench, &settings, &waits_for("docs_vectors")).await;
    holder.batch_execute("rollback").await.expect("the holder lives");
    let (most, _) = finished(&bench, settings).await;
    assert_eq!(
        most, 2,
        "the answer died with the process: this, and no more, is paid twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_heard_that_the_commit_was_done() {
    let (bench, settings) = prepared().await;
    known_to_the_ledger(&bench, &settings).await;
    bench
        .database
        .execute(
            "create function wait_for_the_test() returns trigger language plpgsql as \
             $$ begin perform pg_advisory_xact_lock_shared(42); return null; end $$; \
             create constraint trigger at_commit after insert on docs_vectors deferrable initially deferred \
             for each row execute function wait_for_the_test()",
        )
        .await;
    let holder = hold(&bench, "select pg_advisory_xact_lock(42)").await;
    let commits = "select exists (select from pg_locks where not granted and locktype = 'advisory' \
                   and database = (select oid from pg_database where datname = current_database()))";
    killed_when(&bench, &settings, commits).await;
    holder.batch_execute("rollback").await.expect("the holder lives");
    assert_eq!(
        finished(&bench, settings).await.0,
        1,
        "what was stored is not asked for again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_while_chunks_are_stored_costs_no_second_request() {
    let mut bench = Bench::start().await;
    bench.put(&[(1, "k", Some("first"))]).await;
    drained(&bench.database).await;
    let holder = hold(&bench, "lock table docs_vectors in share mode").await;
    bench.put(&[(1, "k", Some("second")), (2, "k", Some("third"))]).await;
    bench.database.wait_for(&waits_for("docs_vectors")).await;
    let cut =
        "select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'docs_vectors'::regclass";
    bench.database.value(cut).await;
    holder.batch_execute("rollback").await.expect("the holder lives");
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let mut answered = bench.stub.take_answered();
    answered.sort();
    assert_eq!(answered, ["first", "second", "third"]);
}
