//! What an operator does: backfill, reconcile, another configuration, an index, processes that die.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, DIMENSIONS, docs, upsert, wanted};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::server::Server;

/// `pgflight embeddings <arguments>` with these settings, as a process.
fn command(database: &Database, mut settings: Value, arguments: &[&str]) -> tokio::process::Command {
    settings["connection_string"] = json!(database.uri());
    let file = std::env::temp_dir().join(format!("{}-{}.yaml", database.name(), fastrand::u64(..)));
    std::fs::write(&file, settings.to_string()).expect("the temporary directory can be written to");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pgflight"));
    command
        .arg("embeddings")
        .args(arguments)
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(database: &Database, settings: &Value, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(database, settings.clone(), arguments)
        .output()
        .await
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_embeds_rows_of_before_and_reconcile_repairs_what_was_done_by_hand() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    database
        .execute(
            "create table docs (id bigint primary key, kind text, body text); \
             insert into docs select n, 'k', 'text ' || n from generate_series(1, 500) n",
        )
        .await;
    let settings = settings(&stub, DIMENSIONS as u32);
    let (code, text) = run(&database, &settings, &["backfill"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(stub.take_texts().len(), 500);

    database
        .execute(
            "delete from docs where id <= 10; update docs set body = 'new ' || id where id between 11 and 15; \
             delete from docs_vectors where id = 20; insert into docs values (1000, 'k', 'by hand')",
        )
        .await;
    run(&database, &settings, &["reconcile", "--table", "docs"]).await;
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(
        stub.take_texts().len(),
        5 + 1 + 1,
        "what changed, what lost its chunk, what is new"
    );

    let (code, text) = run(&database, &settings, &["status", "--json"]).await;
    let status: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(code, Some(0));
    assert_eq!(
        (status[0]["done"].clone(), status[0]["pending"].clone()),
        (json!(491), json!(0))
    );
    let (code, text) = run(&database, &settings, &["probe"]).await;
    assert_eq!((code, text.contains("8 dimensions")), (Some(0), true), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_loses_nothing_and_leaves_no_half() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["workers"] = json!(false)).await;
    let bodies: Vec<String> = (0..60)
        .map(|id| format!("text {id} {}", "word ".repeat(id % 20)))
        .collect();
    let rows: Vec<(i64, &str, Option<&str>)> = bodies
        .iter()
        .enumerate()
        .map(|(id, body)| (id as i64, "k", Some(body.as_str())))
        .collect();
    bench.put(&rows).await;
    let settings = settings(&bench.stub, DIMENSIONS as u32);
    for delay in [5, 20, 60, 120, 250, 400] {
        bench.stub.set_delay(Duration::from_millis(delay % 100));
        let mut worker = command(&bench.database, settings.clone(), &["work"]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(delay + 150)).await;
        worker.kill().await.unwrap();
        let half = "select count(*) from pgflight.embed_state s where state = 2 \
                    and chunks <> (select count(*) from docs_vectors v where v._row_key = s.row_key)";
        assert_eq!(bench.database.value(half).await, "0");
    }
    bench.stub.set_delay(Duration::ZERO);
    let mut worker = command(&bench.database, settings, &["work"]).spawn().unwrap();
    drained(&bench.database).await;
    worker.kill().await.unwrap();
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_splitter_is_refused_until_it_is_wanted_and_another_model_always() {
    let mut bench = Bench::start().await;
    bench
        .put(&[(1, "a", Some("one two three four five six seven eight nine ten eleven"))])
        .await;
    drained(&bench.database).await;
    let mut other = settings(&bench.stub, DIMENSIONS as u32);
    other["pgvector_config"]["text_splitter"]["recursive_text"] = json!({"chunk_size": 20, "chunk_overlap": 0});
    let row = || docs(&[(2, "b", Some("two"))]);
    let server = Server::start_with(bench.database.uri(), other.clone()).await;
    let refused = Flight::connect(&server)
        .await
        .put(upsert(), &[row()])
        .await
        .unwrap_err();
    assert!(refused.message().contains("on_config_change: reembed"), "{refused}");
    assert!(refused.message().contains("1 rows"), "{refused}");
    server.stop().await;

    other["embeddings"]["on_config_change"] = json!("reembed");
    let server = Server::start_with(bench.database.uri(), other.clone()).await;
    Flight::connect(&server).await.put(upsert(), &[row()]).await.unwrap();
    drained(&bench.database).await;
    let chunks = super::chunks(&bench.database).await;
    assert_eq!(
        chunks[&1],
        ["one two three four", "five six seven eight", "nine ten eleven"]
    );
    server.stop().await;

    other["pgvector_config"]["openai_embedding"]["model_name"] = json!("better");
    let server = Server::start_with(bench.database.uri(), other).await;
    let refused = Flight::connect(&server)
        .await
        .put(upsert(), &[row()])
        .await
        .unwrap_err();
    assert!(refused.message().contains("never share a column"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_vectors_are_indexed_once_everything_is_embedded() {
    for (dimensions, storage, kind, index) in [
        (1536, "vector", "vector(1536)", "hnsw (embedding vector_cosine_ops)"),
        (3072, "halfvec", "halfvec(3072)", "hnsw (embedding halfvec_cosine_ops)"),
        (
            3072,
            "vector",
            "vector(3072)",
            "hnsw (((embedding)::halfvec(3072)) halfvec_cosine_ops)",
        ),
    ] {
        let database = Database::create().await;
        let stub = Stub::start(dimensions as usize).await;
        let mut settings = settings(&stub, dimensions);
        settings["embeddings"]["storage"] = json!(storage);
        settings["embeddings"]["index"] = json!("hnsw");
        let server = Server::start_with(database.uri(), settings).await;
        let mut flight = Flight::connect(&server).await;
        flight
            .put(upsert(), &[docs(&[(1, "a", Some("one")), (2, "b", Some("two"))])])
            .await
            .unwrap();
        drained(&database).await;
        let made = "select count(*) from pg_indexes where indexname = 'docs_vectors_embedding_idx'";
        for _ in 0..200 {
            if database.value(made).await == "1" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ty = "select format_type(atttypid, atttypmod) from pg_attribute \
                  where attrelid = 'docs_vectors'::regclass and attname = 'embedding'";
        assert_eq!(database.value(ty).await, kind);
        let found = database
            .value("select indexdef from pg_indexes where indexname = 'docs_vectors_embedding_idx'")
            .await;
        assert!(found.ends_with(index), "{found}");
        server.stop().await;
    }
}
