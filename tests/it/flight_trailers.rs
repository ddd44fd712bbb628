//! What programs are told of a refusal: `x-pg-table` as `schema.table`, `x-pg-column`, `x-pg-constraint`, `x-pg-sqlstate`, wherever
//! they are known and always in the same form.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow_flight::Ticket;
use base64::Engine as _;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, path, texts};
use crate::support::server::start;

const TRAILERS: [&str; 5] = [
    "x-pg-sqlstate",
    "x-pg-table",
    "x-pg-column",
    "x-pg-constraint",
    "x-pgflight-row",
];

fn trailers(status: &Status) -> Vec<(&'static str, String)> {
    let told = TRAILERS.into_iter().filter_map(|key| {
        let value = status.metadata().get(key)?.to_str().expect("an ASCII trailer");
        Some((
            key.trim_start_matches("x-pg-").trim_start_matches("x-pgflight-"),
            value.to_owned(),
        ))
    });
    told.collect()
}

/// The code and every trailer of a refusal.
#[track_caller]
fn told(what: &str, refused: Result<impl std::fmt::Debug, Status>, code: Code, expected: &[(&str, &str)]) {
    let status = refused.expect_err(what);
    assert_eq!(status.code(), code, "{what}: {status}");
    let trailers = trailers(&status);
    let trailers: Vec<(&str, &str)> = trailers.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(trailers, expected, "{what}: {status}");
}

fn schema_of(rows: &RecordBatch) -> String {
    let ipc = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &rows.schema());
    let ipc = ipc.and_then(|writer| writer.into_inner()).expect("a schema");
    base64::engine::general_purpose::STANDARD.encode(ipc)
}

fn dates(column: &str) -> RecordBatch {
    batch(vec![(column, Arc::new(Date32Array::from(vec![1])) as ArrayRef)])
}

async fn tables(database: &Database) {
    database
        .execute(
            "create table t (id bigint, name text, price numeric(4, 1)); \
             create table keyed (id bigint primary key, other bigint constraint positive check (other > 0)); \
             create table child (id bigint constraint parented references keyed (id)); \
             create schema \"S x\"; create table \"S x\".\"ä%\" (\"ö\" bigint)",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one entry per case")]
async fn a_refused_put_names_table_and_column_in_one_form() {
    let (database, _server, mut flight) = start().await;
    tables(&database).await;
    let (invalid, failed) = (Code::InvalidArgument, Code::FailedPrecondition);
    let bad = batch(vec![("id", texts(&[Some("1"), Some("x")]))]);
    let cell = [("table", "public.t"), ("column", "id"), ("row", "1")];
    told("a cell", flight.put(path(&["t"]), &[bad]).await, invalid, &cell);
    let column = [("table", "public.t"), ("column", "id")];
    told(
        "a column's type",
        flight.put(path(&["t"]), &[dates("id")]).await,
        failed,
        &column,
    );
    let off = command(json!({"table": "t", "migrate_mode": "off"}));
    let unknown = batch(vec![("id", longs([1])), ("more", longs([1]))]);
    let more = [("table", "public.t"), ("column", "more")];
    told(
        "a column that is not there",
        flight.put(off, &[unknown]).await,
        failed,
        &more,
    );
    let keyless = command(json!({"table": "t", "write_mode": "overwrite"}));
    let table = [("table", "public.t")];
    told(
        "no key",
        flight.put(keyless, &[batch(vec![("id", longs([1]))])]).await,
        invalid,
        &table,
    );
    let version = command(json!({"table": "keyed", "write_mode": "overwrite", "version_column": "v"}));
    let v = [("table", "public.keyed"), ("column", "v")];
    told(
        "no version",
        flight.put(version, &[batch(vec![("id", longs([1]))])]).await,
        failed,
        &v,
    );
    let replace = command(json!({"table": "keyed", "write_mode": "replace"}));
    let keyed = [("table", "public.keyed")];
    told(
        "a parent",
        flight.put(replace, &[batch(vec![("id", longs([1]))])]).await,
        failed,
        &keyed,
    );
    let twice = flight
        .put(path(&["keyed"]), &[batch(vec![("id", longs([1, 1]))])])
        .await;
    let key = [
        ("sqlstate", "23505"),
        ("table", "public.keyed"),
        ("constraint", "keyed_pkey"),
        ("row", "1"),
    ];
    told("a key", twice, Code::AlreadyExists, &key);
    let check = flight
        .put(
            path(&["keyed"]),
            &[batch(vec![("id", longs([1])), ("other", longs([0]))])],
        )
        .await;
    let positive = [
        ("sqlstate", "23514"),
        ("table", "public.keyed"),
        ("constraint", "positive"),
        ("row", "0"),
    ];
    told("a check", check, failed, &positive);
    let orphan = flight.put(path(&["child"]), &[batch(vec![("id", longs([7]))])]).await;
    let parented = [
        ("sqlstate", "23503"),
        ("table", "public.child"),
        ("constraint", "parented"),
    ];
    told("an orphan", orphan, failed, &parented);
    let lanes = command(json!({"table": "t", "schema": "public", "lanes": 2}));
    let rows = batch(vec![("id", longs([1]))]);
    told(
        "options",
        flight.put(lanes, &[rows]).await,
        invalid,
        &[("table", "public.t")],
    );
    let odd = flight.put(path(&["S x", "ä%"]), &[dates("ö")]).await;
    told(
        "any name",
        odd,
        failed,
        &[("table", "S x.%C3%A4%25"), ("column", "%C3%B6")],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_its_rules_names_its_table() {
    let (database, _server, mut flight) = start().await;
    tables(&database).await;
    let rows = batch(vec![("id", longs([1, 2]))]);
    let table = [("table", "public.t")];
    let few = command(json!({"table": "t", "expected_rows": 3}));
    told(
        "too few rows",
        flight.put(few, std::slice::from_ref(&rows)).await,
        Code::FailedPrecondition,
        &table,
    );
    let mut cut = messages(path(&["t"]), std::slice::from_ref(&rows));
    cut[1].data_body = cut[1].data_body.slice(0..8);
    told("a cut message", flight.send(cut).await, Code::InvalidArgument, &table);
    let mut gap = messages(
        command(json!({"table": "t", "stream_id": "s", "commit": "batch"})),
        std::slice::from_ref(&rows),
    );
    gap[1].app_metadata = "{\"seq\": 4}".into();
    told("a gap", flight.send(gap).await, Code::OutOfRange, &table);
    let progress = command(json!({"table": "t", "commit": "batch", "acks": "progress", "batch_size": 1}));
    let answers = flight.send(messages(progress, &[rows])).await.unwrap();
    let named: Vec<&Value> = answers.iter().map(|answer| &answer["table"]).collect();
    assert!(
        named.iter().all(|table| **table == json!("public.t")),
        "one form in all answers: {named:?}"
    );
    let other = flight
        .act("pgflight.stream.open", json!({"table": "keyed", "stream_id": "s"}))
        .await;
    told(
        "another table's stream",
        other,
        Code::FailedPrecondition,
        &[("table", "public.keyed")],
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one entry per case")]
async fn a_refused_action_or_read_names_table_and_column() {
    let (database, _server, mut flight) = start().await;
    tables(&database).await;
    let failed = Code::FailedPrecondition;
    let body = json!({"table": "t", "arrow_schema": schema_of(&dates("id"))});
    let column = [("table", "public.t"), ("column", "id")];
    told(
        "a type that cannot be had",
        flight.act("pgflight.migrate", body).await,
        failed,
        &column,
    );
    let stale = json!({"table": "t", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"});
    let source = [("table", "public.t"), ("column", "_cq_source_name")];
    told(
        "no stale rows",
        flight.act("pgflight.delete_stale", stale.clone()).await,
        failed,
        &source,
    );
    let mut nowhere = stale;
    nowhere["table"] = json!("nowhere");
    let missing = [("sqlstate", "42P01"), ("table", "public.nowhere")];
    told(
        "no table",
        flight.act("pgflight.delete_stale", nowhere).await,
        Code::NotFound,
        &missing,
    );
    let records = json!({"table": "t", "where": [{"all": {"nope": 1}}]});
    let nope = [("sqlstate", "42703"), ("table", "public.t"), ("column", "nope")];
    told(
        "no column",
        flight.act("pgflight.delete_records", records).await,
        Code::NotFound,
        &nope,
    );
    let records = json!({"table": "t", "where": [{"all": {"id": "x"}}]});
    let cell = [("table", "public.t"), ("column", "id"), ("row", "0")];
    told(
        "no value",
        flight.act("pgflight.delete_records", records).await,
        Code::InvalidArgument,
        &cell,
    );
    for (ticket, code, expected) in [
        (
            json!({"table": "nowhere"}),
            Code::NotFound,
            vec![("table", "public.nowhere")],
        ),
        (
            json!({"table": "t", "columns": ["nope"]}),
            Code::InvalidArgument,
            vec![("table", "public.t"), ("column", "nope")],
        ),
    ] {
        let read = match flight.client.do_get(Ticket::new(ticket.to_string())).await {
            Ok(messages) => messages.into_inner().try_collect::<Vec<_>>().await.map(drop),
            Err(status) => Err(status),
        };
        told("a read", read, code, &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_rows_are_looked_for_only_where_they_can_be_known() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table bare (id bigint); create table half (id bigint, _cq_source_name text); \
             create table odd (id bigint, _cq_source_name bigint, _cq_sync_time timestamp); \
             create table late (id bigint, _cq_source_name text, _cq_sync_time text); \
             create domain source as varchar(20); \
             create table good (id bigint, _cq_source_name source, _cq_sync_time timestamptz); \
             insert into good values (1, 's', '2020-01-01')",
        )
        .await;
    let mut delete = async |table: &str| {
        let body = json!({"table": table, "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"});
        flight.act("pgflight.delete_stale", body).await
    };
    for (table, column, words) in [
        ("bare", "_cq_source_name", "public.bare has no column _cq_source_name"),
        ("half", "_cq_sync_time", "public.half has no column _cq_sync_time"),
        ("odd", "_cq_source_name", "is bigint and not text"),
        ("late", "_cq_sync_time", "is text and not a timestamp"),
    ] {
        let refused = delete(table).await;
        let status = refused.as_ref().expect_err("nothing is known to be stale");
        assert!(status.message().contains(words), "{status}");
        assert!(!status.message().contains("select"), "no SQL of ours: {status}");
        let place = format!("public.{table}");
        told(
            table,
            refused,
            Code::FailedPrecondition,
            &[("table", &place), ("column", column)],
        );
    }
    assert_eq!(delete("good").await.unwrap(), json!({"deleted": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_is_no_target() {
    let (database, server, mut flight) = start().await;
    let rows = batch(vec![("id", longs([1]))]);
    let refused = flight.put(path(&["pg_temp", "t"]), std::slice::from_ref(&rows)).await;
    crate::flight_refusals::refused(refused, Code::InvalidArgument, &["pg_temp", "vanish"]);
    let body = json!({"table": "t", "schema": "pg_temp_3", "arrow_schema": schema_of(&rows)});
    let refused = flight.act("pgflight.migrate", body).await;
    crate::flight_refusals::refused(refused, Code::InvalidArgument, &["pg_temp_3", "vanish"]);
    drop((flight, server));
    // Without a name of its own: through search_path, in a session that has temporary tables.
    let uri = format!("{}?options=-csearch_path%3Dpg_temp", database.uri());
    let server = crate::support::server::Server::start_with(&uri, json!({})).await;
    let mut flight = Flight::connect(&server).await;
    let keyed = json!({"schema": "public", "table": "keyed", "write_mode": "overwrite", "primary_key": ["id"]});
    for _ in 0..2 {
        flight
            .put(command(keyed.clone()), std::slice::from_ref(&rows))
            .await
            .unwrap();
    }
    let refused = flight.put(path(&["t"]), &[rows]).await.expect_err("no place for it");
    assert!(
        matches!(refused.code(), Code::InvalidArgument | Code::NotFound),
        "{refused}"
    );
    assert!(!refused.message().contains("42939"), "{refused}");
}
