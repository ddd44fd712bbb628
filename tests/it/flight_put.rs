//! Plain Flight DoPut against a real server and a real Postgres: what lands, and what is refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array};
use arrow::datatypes::Field;
use serde_json::json;
use tonic::Code;

use crate::support::flight::{Flight, batch, command, longs, messages, metadata, path, texts};
use crate::support::server::{Server, start};

/// Rows 0..n of (id bigint, name text).
fn people(first: i64, rows: i64) -> arrow::array::RecordBatch {
    let names: Vec<String> = (first..first + rows).map(|id| format!("name {id}")).collect();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    batch(vec![("id", longs(first..first + rows)), ("name", texts(&names))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_descriptor_creates_and_fills_a_table() {
    let (database, _server, mut flight) = start().await;
    let answer = flight
        .put(path(&["people"]), &[people(0, 3), people(3, 2)])
        .await
        .unwrap();
    assert_eq!(answer["rows"], 5);
    assert_eq!(answer["committed"], 5);
    assert_eq!(answer["table"], "public.people");
    assert_eq!(answer["final"], true);
    assert_eq!(
        database
            .value("select string_agg(name, ',' order by id) from people")
            .await,
        "name 0,name 1,name 2,name 3,name 4"
    );
    let types = "select string_agg(format_type(atttypid, atttypmod), ',' order by attnum) from pg_attribute \
                 where attrelid = 'people'::regclass and attnum > 0";
    assert_eq!(database.value(types).await, "bigint,text");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_command_names_schema_table_and_options() {
    let (database, _server, mut flight) = start().await;
    database.execute("create schema \"Sales\"").await;
    let to = || command(json!({"table": "T", "schema": "Sales", "write_mode": "overwrite", "primary_key": ["id"]}));
    assert_eq!(flight.put(to(), &[people(0, 3)]).await.unwrap()["affected"], 3);
    let again = batch(vec![
        ("id", longs([1, 1, 9])),
        ("name", texts(&[Some("first"), Some("last"), None])),
    ]);
    assert_eq!(flight.put(to(), &[again]).await.unwrap()["affected"], 2);
    let rows = database.lines("select id, name from \"Sales\".\"T\" order by id").await;
    assert_eq!(rows, ["0|name 0", "1|last", "2|name 2", "9|<null>"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_leaves_equal_rows_alone() {
    let (database, _server, mut flight) = start().await;
    let to = || command(json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"]}));
    flight.put(to(), &[people(0, 100)]).await.unwrap();
    let before = database.lines("select id, ctid from t order by id").await;
    let answer = flight.put(to(), &[people(0, 100)]).await.unwrap();
    assert_eq!(
        (answer["rows"].clone(), answer["affected"].clone()),
        (json!(100), json!(0))
    );
    assert_eq!(database.lines("select id, ctid from t order by id").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_schema_metadata_carry_options_too() {
    let (database, server, flight) = start().await;
    let mut by_header = flight
        .with_header("pgflight-write-mode", "overwrite")
        .with_header("pgflight-primary-key", "id");
    by_header.put(path(&["t"]), &[people(0, 2)]).await.unwrap();
    by_header.put(path(&["t"]), &[people(0, 2)]).await.unwrap();
    assert_eq!(database.value("select count(*) from t").await, "2");
    let mut plain = Flight::connect(&server).await;
    let rows = people(0, 2);
    let schema = rows
        .schema()
        .as_ref()
        .clone()
        .with_metadata([("pgflight.write_mode", "overwrite")]);
    let rows = rows.with_schema(std::sync::Arc::new(schema)).unwrap();
    plain.put(path(&["t"]), &[rows]).await.unwrap();
    assert_eq!(database.value("select count(*) from t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_name_becomes_exactly_that_table_and_column() {
    let (database, _server, mut flight) = start().await;
    for name in [
        "Robert\"); drop table x; --",
        "MiXed",
        "naïve ☃",
        "select",
        "a.b",
        "a b",
        "'",
        "\\",
        "%s",
        "1",
    ] {
        let rows = batch(vec![(name, longs([7])), ("ctid2", longs([8]))]);
        flight
            .put(path(&[name]), &[rows])
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let quoted = name.replace('"', "\"\"");
        assert_eq!(
            database.value(&format!("select \"{quoted}\" from \"{quoted}\"")).await,
            "7",
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_is_added_and_old_rows_keep_their_values() {
    let (database, _server, mut flight) = start().await;
    flight
        .put(path(&["t"]), &[batch(vec![("a", longs([1]))])])
        .await
        .unwrap();
    let answer = flight
        .put(
            path(&["t"]),
            &[batch(vec![("b", texts(&[Some("x")])), ("a", longs([2]))])],
        )
        .await
        .unwrap();
    assert_eq!(answer["migration"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(
        database.lines("select a, b from t order by a").await,
        ["1|<null>", "2|x"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_rows_still_makes_the_table() {
    let (database, _server, mut flight) = start().await;
    let answer = flight.put(path(&["t"]), &[people(0, 0)]).await.unwrap();
    assert_eq!(answer["rows"], 0);
    assert_eq!(database.value("select count(*) from t").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_answers_tell_what_is_committed() {
    let (database, _server, mut flight) = start().await;
    let to = command(json!({"table": "t", "commit": "batch", "batch_size": 10, "acks": "progress"}));
    let answers = flight.send(messages(to, &[people(0, 55)])).await.unwrap();
    let last = answers.last().unwrap();
    assert_eq!(
        (last["final"].clone(), last["committed"].clone()),
        (json!(true), json!(55))
    );
    for answer in &answers {
        assert!(answer["committed"].as_u64() <= Some(55), "{answer}");
    }
    assert_eq!(database.value("select count(*) from t").await, "55");
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_load_every_row_once() {
    let (database, _server, mut flight) = start().await;
    let to = command(json!({"table": "t", "commit": "batch", "batch_size": 100, "lanes": 4}));
    let batches: Vec<_> = (0..50).map(|n| people(n * 97, 97)).collect();
    let answer = flight.put(to, &batches).await.unwrap();
    assert_eq!(answer["rows"], 4850);
    assert_eq!(
        database
            .value("select count(distinct id) || '/' || count(*) from t")
            .await,
        "4850/4850"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_atomic_stream_leaves_nothing_and_a_failed_batch_stream_whole_chunks() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint check (id <> 25), name text)")
        .await;
    let error = flight.put(path(&["t"]), &[people(0, 40)]).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert!(error.message().contains("row 25 of the stream"), "{error}");
    assert!(
        error.message().contains("t_id_check") && error.message().contains("23514"),
        "{error}"
    );
    assert_eq!(error.metadata().get("x-pg-sqlstate").unwrap(), "23514");
    assert_eq!(error.metadata().get("x-pgflight-row").unwrap(), "25");
    assert_eq!(database.value("select count(*) from t").await, "0");
    let to = command(json!({"table": "t", "commit": "batch", "batch_size": 10}));
    flight.put(to, &[people(0, 40)]).await.unwrap_err();
    assert_eq!(
        database.value("select max(id) || '/' || count(*) from t").await,
        "19/20"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_row_counts_are_held_to_the_stream() {
    let (database, _server, mut flight) = start().await;
    let strict = || command(json!({"table": "t", "strict": true}));
    let mut complete = messages(strict(), &[people(0, 3)]);
    complete.push(metadata(r#"{"commit": {"rows": 3}}"#));
    assert_eq!(flight.send(complete).await.unwrap().last().unwrap()["rows"], 3);
    let error = flight.put(strict(), &[people(3, 3)]).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("without a commit message"), "{error}");
    let mut short = messages(strict(), &[people(3, 3)]);
    short.push(metadata(r#"{"commit": {"rows": 4}}"#));
    let error = flight.send(short).await.unwrap_err();
    assert!(error.message().contains("announced 4 rows and 3 came"), "{error}");
    let error = flight
        .put(command(json!({"table": "t", "expected_rows": 2})), &[people(3, 3)])
        .await
        .unwrap_err();
    assert!(
        error.message().contains("expected_rows announced 2 rows and 3 came"),
        "{error}"
    );
    assert_eq!(database.value("select count(*) from t").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_postgres_and_liveness_does_not() {
    let mut cluster = crate::support::cluster::Cluster::private(&crate::support::cluster::Options {
        fast: true,
        ..Default::default()
    });
    let server = Server::start_with(&cluster.uri("postgres"), json!({})).await;
    assert_eq!(
        server.page("/readyz").await,
        ("HTTP/1.0 200 OK".to_owned(), "ready\n".to_owned())
    );
    cluster.stop();
    let (status, body) = server.page("/readyz").await;
    assert_eq!(status, "HTTP/1.0 503 Service Unavailable");
    assert!(body.starts_with("not ready: "), "{body}");
    assert_eq!(server.page("/healthz").await.0, "HTTP/1.0 200 OK");
    cluster.start();
    assert_eq!(
        server.page("/readyz").await.0,
        "HTTP/1.0 200 OK",
        "it heals without a restart"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_created_with_the_types_that_are_asked_for() {
    let (database, _server, mut flight) = start().await;
    database.execute("create extension if not exists vector").await;
    let pairs = |element: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new_list_field(element.data_type().clone(), true));
        Arc::new(FixedSizeListArray::new(item, 2, element, None))
    };
    let floats = || pairs(Arc::new(Float32Array::from(vec![0.5, -1.0, 0.0, 2.0])));
    let columns = vec![
        ("id", longs([1, 2])),
        ("v", floats()),
        ("h", floats()),
        ("s", floats()),
        ("a", floats()),
        ("b", pairs(Arc::new(BooleanArray::from(vec![true, false, false, true])))),
    ];
    let types = json!({"v": "vector(2)", "h": "halfvec(2)", "s": "sparsevec(2)", "b": "bit(2)", "id": "numeric"});
    let to = command(json!({"table": "t", "column_types": types}));
    flight.put(to, &[batch(columns)]).await.unwrap();
    let made = "select string_agg(format_type(atttypid, atttypmod), ' ' order by attnum) from pg_attribute where attnum > 0 and attrelid = 't'::regclass";
    assert_eq!(
        database.value(made).await,
        "numeric vector(2) halfvec(2) sparsevec(2) real[] bit(2)"
    );
    let stored = database
        .lines("select concat_ws(' ', id, v, h, s, a, b) from t order by id")
        .await;
    assert_eq!(
        stored,
        [
            "1 [0.5,-1] [0.5,-1] {1:0.5,2:-1}/2 {0.5,-1} 10",
            "2 [0,2] [0,2] {2:2}/2 {0,2} 01"
        ]
    );
    for (types, words) in [
        (
            json!({"w": "vector(2)"}),
            "option \"column_types\" names the column \"w\", which the stream does not have",
        ),
        (
            json!({"id": "vector(2)"}),
            "column \"id\": Int64 cannot be stored exactly in",
        ),
        (json!({"id": "vectr(2)"}), "(\"vectr(2)\" of column \"id\" is none)"),
    ] {
        let to = command(json!({"table": "other", "column_types": types}));
        let error = flight.put(to, &[batch(vec![("id", longs([1]))])]).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        assert!(error.message().contains(words), "{error:?}");
    }
    assert_eq!(database.value("select to_regclass('other') is null").await, "t");
}
