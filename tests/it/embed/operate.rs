//! What an operator does: backfill, reconcile, another configuration, an index.

use std::time::Duration;

use serde_json::{Value, json};

use super::process::run;
use super::{Bench, DIMENSIONS, docs, upsert, wanted};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::server::Server;

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
async fn a_backfill_can_be_counted_first_and_done_in_parts() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    database
        .execute(
            "create table docs (id bigint primary key, kind text, body text); \
             insert into docs select n, 'k', 'text ' || lpad(n::text, 3, '0') from generate_series(1, 100) n",
        )
        .await;
    let settings = settings(&stub, DIMENSIONS as u32);
    let (code, text) = run(&database, &settings, &["backfill", "--dry-run"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("100 row(s) would be embedded, about 200 tokens"),
        "{text}"
    );
    assert_eq!(database.value("select count(*) from pgflight.embed_state").await, "0");
    let some = ["backfill", "--table", "docs", "--where", "t.id > 50", "--limit", "20"];
    for waiting in ["20", "40", "50", "50"] {
        let (code, text) = run(&database, &settings, &some).await;
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(
            database.value("select count(*) from pgflight.embed_state").await,
            waiting
        );
    }
    let (code, text) = run(
        &database,
        &settings,
        &["backfill", "--table", "docs", "--where", "nonsense"],
    )
    .await;
    assert_eq!((code, text.contains("nonsense")), (Some(1), true), "{text}");
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        database
            .value("select min(id) || '-' || max(id) from docs_vectors")
            .await,
        "51-100"
    );
    assert_eq!(stub.take_texts().len(), 50);
    let (_, text) = run(&database, &settings, &["status"]).await;
    assert!(text.contains("rows per second"), "{text}");
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

/// Rows 1 to 20 of `docs`, without a server that would embed them.
async fn twenty_rows() -> (Database, Stub, Value) {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    database
        .execute(
            "create table docs (id bigint primary key, kind text, body text); \
             insert into docs select n, 'k', 'text ' || n from generate_series(1, 20) n",
        )
        .await;
    let settings = settings(&stub, DIMENSIONS as u32);
    (database, stub, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_refused_until_it_is_wanted_and_leaves_no_chunk_of_the_old_one() {
    let (database, stub, mut settings) = twenty_rows().await;
    for command in [&["backfill"][..], &["work", "--drain"]] {
        let (code, text) = run(&database, &settings, command).await;
        assert_eq!(code, Some(0), "{text}");
    }
    assert_eq!(stub.take_texts().len(), 20);
    database
        .execute("alter table docs drop constraint docs_pkey, add primary key (kind, id)")
        .await;
    let (code, text) = run(&database, &settings, &["reconcile"]).await;
    assert_eq!(code, Some(1), "{text}");
    for part in [
        r#"known by ["id"]"#,
        r#"now ["kind","id"]"#,
        "20 rows",
        "on_config_change",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    settings["embeddings"]["on_config_change"] = json!("reembed");
    for command in [&["backfill"][..], &["work", "--drain"]] {
        let (code, text) = run(&database, &settings, command).await;
        assert_eq!(code, Some(0), "{text}");
    }
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
    assert_eq!(database.value("select count(*) from pgflight.embed_state").await, "20");
    assert_eq!(stub.take_texts().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_are_embedded_also_where_the_journal_cannot_be_read() {
    let (database, _stub, settings) = twenty_rows().await;
    let (code, text) = run(&database, &settings, &["backfill", "--table", "docs", "--limit", "100"]).await;
    assert_eq!(code, Some(0), "{text}");
    let nonsense = "insert into pgflight.embed_journal (table_id, kind, row_count, key_types, keys) \
                    select id, 0, 1, '{bigint}', '\\x01' from pgflight.embed_table";
    database.execute(nonsense).await;
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(3), "{text}");
    assert_eq!(super::chunks(&database).await, wanted(&database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_run_says_each_time_that_rows_were_given_up() {
    let (database, stub, settings) = twenty_rows().await;
    stub.poison(Some("text 7"));
    let (code, text) = run(&database, &settings, &["backfill"]).await;
    assert_eq!(code, Some(0), "{text}");
    for _ in 0..2 {
        let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
        assert_eq!(code, Some(3), "{text}");
        assert_eq!(super::chunks(&database).await.len(), 19);
    }
    stub.poison(None);
    let (code, text) = run(&database, &settings, &["retry-dead"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
}

/// An index that is being built looks like one whose build was interrupted, until its builder is done or gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_another_process_builds_is_left_alone_and_an_interrupted_one_begun_anew() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    database
        .execute("create table docs (id bigint primary key, kind text, body text)")
        .await;
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["embeddings"]["index"] = json!("hnsw");
    let built = "select coalesce(string_agg(indexrelid || ' ' || indisvalid, ','), 'none') from pg_index \
                 where indexrelid = to_regclass('docs_vectors_embedding_idx')";
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(database.value(built).await, "none", "there was nothing to learn from");

    database
        .execute("insert into docs select n, 'k', 'text ' || n from generate_series(1, 20) n")
        .await;
    let (code, text) = run(&database, &settings, &["backfill"]).await;
    assert_eq!(code, Some(0), "{text}");
    let building = "create index docs_vectors_embedding_idx on docs_vectors using hnsw (embedding vector_cosine_ops); \
                    update pg_index set indisvalid = false where indexrelid = 'docs_vectors_embedding_idx'::regclass";
    database.execute(building).await;
    let before = database.value(built).await;
    let builder = database.connect().await;
    let turn = "select pg_advisory_lock(512024739, id) from pgflight.embed_table";
    builder.batch_execute(turn).await.expect("the turn is free");
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(super::chunks(&database).await.len(), 20);
    assert_eq!(database.value(built).await, before, "it is the builder's");

    builder
        .batch_execute("select pg_advisory_unlock_all()")
        .await
        .expect("the turn ends");
    let (code, text) = run(&database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    let after = database.value(built).await;
    assert!(after != before && after.ends_with(" true"), "{before}, then {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_read_committed_rows_whatever_the_database_says() {
    let mut bench = Bench::start_with(|settings| settings["embeddings"]["workers"] = json!(false)).await;
    bench.put(&[(1, "a", Some("one"))]).await;
    let strict = format!(
        "alter database {} set default_transaction_isolation = 'repeatable read'",
        bench.database.name()
    );
    bench.database.execute(&strict).await;
    let settings = settings(&bench.stub, DIMENSIONS as u32);
    let level = "alter table docs_vectors add column level text default current_setting('transaction_isolation')";
    bench.database.execute(level).await;
    let (code, text) = run(&bench.database, &settings, &["work", "--drain"]).await;
    assert_eq!(code, Some(0), "{text}");
    let levels = bench.database.lines("select id, level from docs_vectors").await;
    assert_eq!(levels, ["1|read committed"]);
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
        // The page's query for this kind of column finds the nearest chunk, by the index.
        let query = super::page::blocks("sql")[if kind == "vector(3072)" { 2 } else { 1 }].clone();
        let two = format!("'{:?}'", pgflight::embed::hash_test::vector("two", dimensions as usize));
        let query = query.replace("$1", &two);
        assert!(database.lines(&query).await[0].starts_with("2|two"), "{query}");
        let plan = format!("set enable_seqscan = off; explain {query}");
        let plan = database.lines(&plan).await.join("\n");
        assert!(plan.contains("docs_vectors_embedding_idx"), "{plan}");
        server.stop().await;
    }
}
