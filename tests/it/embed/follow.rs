//! Chunks follow the rows, and nothing is paid for twice.

use std::time::Duration;

use serde_json::json;

use super::{Bench, DIMENSIONS, chunks, docs, upsert, wanted};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::{Flight, batch, command, longs, path, texts};
use crate::support::server::Server;

const LONG: &str =
    "A paragraph that is longer than forty characters.\n\nAnother one, also quite long, for good measure.";

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_chunks_with_metadata_and_vectors() {
    let mut bench = Bench::start().await;
    bench
        .put(&[
            (1, "a", Some(LONG)),
            (2, "b", Some("short")),
            (3, "c", None),
            (4, "d", Some("  ")),
        ])
        .await;
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
    let columns = "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' order by attnum) \
                   from pg_attribute where attrelid = 'docs_vectors'::regclass and attnum > 0";
    assert_eq!(
        bench.database.value(columns).await,
        "id bigint,kind text,chunk text,embedding vector(8),_chunk_seq integer,_row_key bytea,_chunk_hash bytea"
    );
    let row = bench
        .database
        .lines("select id, kind, chunk, vector_dims(embedding) from docs_vectors where id = 2")
        .await;
    assert_eq!(row, ["2|b|short|8"]);
    let states = "select state, count(*) from pgflight.embed_state group by 1 order by 1";
    assert_eq!(
        bench.database.lines(states).await,
        ["2|2", "4|2"],
        "two rows have no text"
    );
    let asked = bench.stub.take();
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer sk-secret"));
    assert_eq!(asked[0].path, "/v1/embeddings");
    assert_eq!(asked[0].body["model"], "stub");
    assert!(asked[0].body.get("dimensions").is_none(), "sent only when asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_rows_make_no_request_and_changed_ones_one_each() {
    let mut bench = Bench::start().await;
    let bodies: Vec<String> = (0..200).map(|id| format!("text of row {id}")).collect();
    let rows = |bodies: &[String]| -> Vec<(i64, &'static str, Option<String>)> {
        bodies
            .iter()
            .enumerate()
            .map(|(id, body)| (id as i64, "k", Some(body.clone())))
            .collect()
    };
    let put = async |bench: &mut Bench, rows: &[(i64, &'static str, Option<String>)]| {
        let rows: Vec<(i64, &str, Option<&str>)> = rows.iter().map(|row| (row.0, row.1, row.2.as_deref())).collect();
        bench.put(&rows).await;
        drained(&bench.database).await;
    };
    put(&mut bench, &rows(&bodies)).await;
    assert_eq!(bench.stub.take_texts().len(), 200);
    put(&mut bench, &rows(&bodies)).await;
    assert_eq!(bench.stub.take_texts(), Vec::<String>::new(), "unchanged rows");
    let mut changed = bodies.clone();
    changed[7] = "another text".to_owned();
    changed[8] = bodies[9].clone();
    put(&mut bench, &rows(&changed)).await;
    let mut asked = bench.stub.take_texts();
    asked.sort();
    assert_eq!(asked, ["another text", "text of row 9"]);
    let mut moved = rows(&changed);
    moved[0].1 = "new kind";
    put(&mut bench, &moved).await;
    assert_eq!(bench.stub.take_texts(), Vec::<String>::new(), "only metadata changed");
    assert_eq!(
        bench.database.value("select kind from docs_vectors where id = 0").await,
        "new kind"
    );
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_stay_keep_their_vectors_and_equal_texts_are_asked_for_once() {
    let mut bench = Bench::start().await;
    bench.put(&[(1, "a", Some(LONG)), (2, "a", Some(LONG))]).await;
    drained(&bench.database).await;
    let first = bench.stub.take_texts();
    assert_eq!(
        first.len(),
        bench.chunks().await[&1].len(),
        "both rows have the same chunks"
    );
    let longer = format!("{LONG}\n\nA third paragraph.");
    bench.put(&[(1, "a", Some(&longer))]).await;
    drained(&bench.database).await;
    let asked = bench.stub.take_texts();
    assert!(
        asked.len() < first.len() && asked.iter().all(|text| !first.contains(text)),
        "{asked:?}"
    );
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_can_be_split_its_own_way() {
    let mut bench = Bench::start_with(|settings| {
        let tables = settings["pgvector_config"]["tables"].as_array_mut().unwrap();
        let mut tokens = tables[0].clone();
        tables[0]["text_splitter"] = json!({"markdown": {"chunk_size": 30, "chunk_overlap": 0}});
        tokens["source_table_name"] = json!("notes");
        tokens["target_table_name"] = json!("notes_vectors");
        tokens["text_splitter"] = json!({"tokens": {"chunk_size": 4, "chunk_overlap": 0}});
        tables.push(tokens);
    })
    .await;
    bench
        .put(&[(1, "k", Some("# One\n\nFirst words.\n\n# Two\n\nOther words."))])
        .await;
    let notes = command(json!({"table": "notes", "write_mode": "overwrite", "primary_key": ["id"]}));
    let rows = docs(&[(1, "k", Some("one two three four five six"))]);
    bench.flight.put(notes, &[rows]).await.unwrap();
    drained(&bench.database).await;
    assert_eq!(
        bench.chunks().await[&1],
        ["# One\n\nFirst words.", "# Two\n\nOther words."]
    );
    let chunks = bench
        .database
        .lines("select chunk from notes_vectors order by _chunk_seq")
        .await;
    assert_eq!(chunks, ["one two three four", "five six"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_rows_follow_too_atomic_and_chunk_by_chunk() {
    let mut bench = Bench::start().await;
    bench
        .database
        .execute("create table docs (id bigint primary key, kind text, body text)")
        .await;
    let rows = |first: i64| docs(&[(first, "a", Some("one")), (first + 1, "b", Some("two"))]);
    bench.flight.put(path(&["docs"]), &[rows(0), rows(2)]).await.unwrap();
    let each = command(json!({"table": "docs", "commit": "batch", "batch_size": 1}));
    bench.flight.put(each, &[rows(4), rows(6)]).await.unwrap();
    drained(&bench.database).await;
    assert_eq!(bench.chunks().await.len(), 8);
    assert_eq!(bench.chunks().await, wanted(&bench.database).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_cq_id_and_no_primary_key_is_followed_by_it() {
    let mut bench = Bench::start().await;
    bench
        .database
        .execute("create table docs (_cq_id uuid not null unique, id bigint, kind text, body text)")
        .await;
    let rows = batch(vec![
        (
            "_cq_id",
            texts(&[
                Some("5f0e2b3c-0000-4000-8000-000000000001"),
                Some("5f0e2b3c-0000-4000-8000-000000000002"),
            ]),
        ),
        ("id", longs([1, 2])),
        ("kind", texts(&[None, Some("k")])),
        ("body", texts(&[Some("first"), Some("second")])),
    ]);
    bench.flight.put(path(&["docs"]), &[rows]).await.unwrap();
    drained(&bench.database).await;
    assert_eq!(
        bench
            .database
            .lines("select _cq_id, id, kind, chunk from docs_vectors order by 1")
            .await,
        [
            "5f0e2b3c-0000-4000-8000-000000000001|1|<null>|first",
            "5f0e2b3c-0000-4000-8000-000000000002|2|k|second"
        ]
    );
    let index = "select indexdef like '%docs_vectors_cqid_idx%(_cq_id)' from pg_indexes where indexname = 'docs_vectors_cqid_idx'";
    assert_eq!(bench.database.value(index).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_rows_cannot_be_followed_is_refused_or_left_without_vectors() {
    let mut bench = Bench::start().await;
    bench
        .database
        .execute("create table docs (id bigint, kind text, body text)")
        .await;
    let refused = bench
        .flight
        .put(path(&["docs"]), &[docs(&[(1, "a", Some("x"))])])
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .contains("has no primary key and no unique index on _cq_id"),
        "{refused}"
    );
    assert_eq!(bench.database.value("select count(*) from docs").await, "0");

    let mut lenient = settings(&bench.stub, DIMENSIONS as u32);
    lenient["embeddings"]["required"] = json!(false);
    let server = Server::start_with(bench.database.uri(), lenient).await;
    let mut flight = Flight::connect(&server).await;
    flight
        .put(path(&["docs"]), &[docs(&[(1, "a", Some("x"))])])
        .await
        .unwrap();
    assert_eq!(bench.database.value("select count(*) from docs").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pgvector_the_refusal_says_who_must_run_what() {
    let database = Database::create().await;
    let role = format!("plain_{}", database.name());
    database
        .execute(&format!(
            "create role {role} login; grant all on schema public to {role}; grant create on database {} to {role}",
            database.name()
        ))
        .await;
    let stub = Stub::start(DIMENSIONS).await;
    let uri = database.uri().replacen("postgres@", &format!("{role}@"), 1);
    assert!(uri.contains(&role), "{uri}");
    let server = Server::start_with(&uri, settings(&stub, DIMENSIONS as u32)).await;
    let refused = Flight::connect(&server)
        .await
        .put(upsert(), &[docs(&[(1, "a", Some("x"))])])
        .await
        .unwrap_err();
    let words = refused.message().to_owned();
    assert!(
        words.contains("must run in") && words.contains("CREATE EXTENSION vector;"),
        "{words}"
    );
    let mut lenient = settings(&stub, DIMENSIONS as u32);
    lenient["embeddings"]["required"] = json!(false);
    let server = Server::start_with(&uri, lenient).await;
    Flight::connect(&server)
        .await
        .put(upsert(), &[docs(&[(1, "a", Some("x"))])])
        .await
        .unwrap();
    assert_eq!(database.value("select count(*) from docs").await, "1");
    drop(server);
    database
        .execute(&format!(
            "reassign owned by {role} to current_user; drop owned by {role}; drop role {role}"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pgvector_that_is_too_old_is_named_with_the_command_and_rows_land_when_it_is_not_required() {
    let database = Database::create().await;
    // The catalog says so; no server of the tests has a version this old.
    database
        .execute("create extension vector; update pg_extension set extversion = '0.6.2' where extname = 'vector'")
        .await;
    let stub = Stub::start(DIMENSIONS).await;
    let mut half = settings(&stub, DIMENSIONS as u32);
    half["embeddings"]["storage"] = json!("halfvec");
    let server = Server::start_with(database.uri(), half.clone()).await;
    let row = || docs(&[(1, "a", Some("x"))]);
    let refused = Flight::connect(&server)
        .await
        .put(upsert(), &[row()])
        .await
        .unwrap_err();
    for part in ["pgvector 0.6.2", "needs 0.7", "ALTER EXTENSION vector UPDATE;"] {
        assert!(refused.message().contains(part), "{part}: {refused}");
    }
    server.stop().await;
    half["embeddings"]["required"] = json!(false);
    let server = Server::start_with(database.uri(), half).await;
    Flight::connect(&server).await.put(upsert(), &[row()]).await.unwrap();
    assert_eq!(database.value("select count(*) from docs").await, "1");
    assert_eq!(stub.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_waits_is_answered_when_its_vectors_are_there() {
    let mut bench = Bench::start_with(|settings| {
        settings["embeddings"]["mode"] = json!("wait");
        settings["embeddings"]["wait_timeout"] = json!("5s");
        settings["embeddings"]["on_timeout"] = json!("fail");
    })
    .await;
    bench.put(&[(1, "a", Some("now"))]).await;
    assert_eq!(chunks(&bench.database).await[&1], ["now"]);
    bench.stub.set_delay(Duration::from_secs(30));
    let late = bench
        .flight
        .put(upsert(), &[docs(&[(2, "a", Some("later"))])])
        .await
        .unwrap_err();
    assert!(
        late.message()
            .contains("are stored, but their embeddings were not ready"),
        "{late}"
    );
    assert_eq!(bench.database.value("select count(*) from docs").await, "2");
}

/// More changed rows than the driver's channel holds, taken at once on a new connection: the driver asks Postgres for the type of
/// the stored vectors, and the answer must not wait behind the rows.
#[tokio::test(flavor = "multi_thread")]
async fn many_changed_rows_are_taken_at_once() {
    let database = Database::create().await;
    let stub = Stub::start(DIMENSIONS).await;
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["embeddings"]["claim_rows"] = json!(1024);
    for version in ["first", "second"] {
        // Another server has other connections.
        let server = Server::start_with(database.uri(), settings.clone()).await;
        let mut flight = Flight::connect(&server).await;
        let bodies: Vec<String> = (0..1000).map(|id| format!("{version} text of row {id}")).collect();
        let rows: Vec<_> = (0..)
            .zip(&bodies)
            .map(|(id, body)| (id, "k", Some(body.as_str())))
            .collect();
        flight.put(upsert(), &[docs(&rows)]).await.expect("rows can be put");
        drained(&database).await;
        assert_eq!(chunks(&database).await, wanted(&database).await, "{version}");
    }
}
