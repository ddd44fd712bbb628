//! Tables read over HTTP: three forms, of which each can be loaded again.

use arrow::ipc::reader::StreamReader;
use serde_json::json;

use super::bodies::{CSV, NDJSON, STREAM, every_form};
use super::client::{get, post, send};
use super::start;
use crate::support::database::Database;

async fn every_kind(database: &Database) {
    database
        .execute(
            "create table t (id bigint primary key, n numeric, f double precision, b boolean, x text, d date, j json, a int[], u uuid);
             insert into t values (1, 1.10, 'NaN', true, 'a,\"b\"\né', '2026-01-02', E'{\"k\":\\n1}', '{1,NULL}',
                                   '6f0e1c1e-9d3b-4f29-8f0e-1c1e9d3b4f29'),
                                  (2, null, 1e300, false, '', null, null, null, null)",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_in_the_form_that_is_asked_for() {
    let (database, server) = start().await;
    every_kind(&database).await;
    let door = server.http_door();
    let lines = get(door, "t", NDJSON).await;
    assert_eq!(
        (lines.status, lines.headers["content-type"].to_str().unwrap()),
        (200, NDJSON)
    );
    let mut lines: Vec<String> = lines.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"{"id":1,"n":1.10,"f":"NaN","b":true,"x":"a,\"b\"\né","d":"2026-01-02","j":{"k": 1},"a":"{1,NULL}","u":"6f0e1c1e-9d3b-4f29-8f0e-1c1e9d3b4f29"}"#,
            r#"{"id":2,"n":null,"f":1e+300,"b":false,"x":"","d":null,"j":null,"a":null,"u":null}"#,
        ]
    );
    let csv = get(door, "t?columns=x,id&limit=1", "text/html, text/csv;q=0.9").await;
    assert_eq!(csv.text(), "x,id\n\"a,\"\"b\"\"\né\",1\n");
    for accept in ["*/*", STREAM] {
        let arrow = get(door, "t", accept).await;
        assert_eq!(arrow.headers["content-type"].to_str().unwrap(), STREAM);
        let batches: Vec<_> = StreamReader::try_new(&arrow.body[..], None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
        assert_eq!(batches[0].num_columns(), 9);
    }
    let without = send(door, "GET", "/v1/tables/public/t", &[], "").await;
    assert_eq!(without.headers["content-type"].to_str().unwrap(), STREAM);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_can_be_loaded_again_and_is_the_same() {
    let (database, server) = start().await;
    every_kind(&database).await;
    let door = server.http_door();
    for (copy, form) in [("arrow", STREAM), ("ndjson", NDJSON), ("csv", CSV)] {
        database.execute(&format!("create table {copy} (like t)")).await;
        for times in 1..=2 {
            let read = get(door, "t", form).await;
            let answer = post(door, &format!("{copy}?write_mode=replace"), form, read.body.clone())
                .await
                .loaded();
            assert_eq!(answer["rows"], 2, "{form}, {times}: {answer}");
            // CSV has no empty text: it is NULL.
            let same = format!(
                "select count(*) from (select id, n, f, b, nullif(x, ''), d, j::text::jsonb, a, u from t except \
                 select id, n, f, b, nullif(x, ''), d, j::text::jsonb, a, u from {copy}) r"
            );
            assert_eq!(database.value(&same).await, "0", "{form}, {times}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_and_a_large_one_are_read_whole() {
    let (database, server) = start().await;
    database.execute("create table e (id int, x text); create table l as select id, repeat('x', 100) as x from generate_series(1, 200000) id").await;
    let door = server.http_door();
    assert_eq!(get(door, "e", CSV).await.text(), "id,x\n");
    assert_eq!(get(door, "e", NDJSON).await.text(), "");
    let empty = get(door, "e", STREAM).await;
    assert_eq!(StreamReader::try_new(&empty.body[..], None).unwrap().count(), 0);
    assert_eq!(get(door, "l", NDJSON).await.text().lines().count(), 200_000);
    let large = get(door, "l", STREAM).await;
    let rows: usize = StreamReader::try_new(&large.body[..], None)
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(rows, 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said() {
    let (_database, server) = start().await;
    let door = server.http_door();
    let missing = get(door, "nowhere", CSV).await;
    assert_eq!(missing.refused(404), missing.json()["error"].as_str().unwrap());
    assert_eq!(
        (&missing.json()["code"], &missing.json()["table"]),
        (&json!("NOT_FOUND"), &json!("public.nowhere"))
    );
    post(door, "t", every_form()[0].0, every_form()[0].1.clone())
        .await
        .loaded();
    assert!(get(door, "t?colums=id", CSV).await.refused(400).contains("colums"));
    assert!(get(door, "t?limit=x", CSV).await.refused(400).contains("limit"));
    assert!(get(door, "t?limit=1&limit=2", CSV).await.refused(400).contains("twice"));
    assert!(get(door, "t?columns=nope", CSV).await.status >= 400);
    assert!(get(door, "t", "image/png").await.refused(406).contains("text/csv"));
}
