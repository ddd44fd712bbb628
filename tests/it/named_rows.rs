//! Which row a failed load names, and what it does not repeat of it; and limits that hide behind a domain.

use std::sync::Arc;

use arrow::array::{ArrayRef, DurationMillisecondArray};
use serde_json::json;
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, path, texts};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_row_is_named_whoever_finds_it() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint check (id >= 0), name text)")
        .await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    // Postgres refuses row `a`, we refuse row `b`.
    for (a, b) in [(0, 5), (4, 5), (5, 4), (5, 0), (0, 9_999), (9_998, 9_999)] {
        let ids = longs((0..10_000).map(|row| if row == a { -1 } else { row }));
        let names: Vec<_> = (0..10_000).map(|row| Some(if row == b { "\0" } else { "x" })).collect();
        let rows = batch(vec![("id", ids), ("name", texts(&names))]);
        let error = flight.put(path(&["t"]), &[rows]).await.unwrap_err();
        let first = format!("row {} ", a.min(b));
        assert!(error.message().contains(&first), "{a} {b}: {error:?}");
        assert_eq!(database.value("select count(*) from t").await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_postgres_quotes_are_neither_told_nor_kept() {
    let database = Database::create().await;
    database
        .execute("create table t (v text, n int generated always as (v::int) stored)")
        .await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let rows = [batch(vec![("v", texts(&[Some("1"), Some("secret-42")]))])];
    let error = flight.put(path(&["t"]), &rows).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert!(
        error.message().contains("invalid input syntax for type integer"),
        "{error:?}"
    );
    assert!(!error.message().contains("secret"), "{error:?}");
    let rejecting = command(json!({"table": "t", "on_bad_row": "reject", "max_rejects": 5}));
    flight.put(rejecting, &rows).await.expect("one row is rejected");
    let rejects = database.lines("select r::text from pgflight.reject r").await;
    assert!(
        rejects.len() == 1 && rejects[0].contains("22P02") && !rejects[0].contains("secret"),
        "{rejects:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_interval_behind_a_domain_is_not_rounded() {
    let database = Database::create().await;
    database
        .execute("create domain whole as interval(0); create table t (v whole, a whole[])")
        .await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let rows = |millis: i64| -> ArrayRef { Arc::new(DurationMillisecondArray::from(vec![millis])) };
    let error = flight
        .put(path(&["t"]), &[batch(vec![("v", rows(1_500))])])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert_eq!(database.value("select count(*) from t").await, "0");
    flight
        .put(path(&["t"]), &[batch(vec![("v", rows(2_000))])])
        .await
        .expect("whole seconds fit");
    assert_eq!(database.value("select v from t").await, "00:00:02");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_column_without_a_length_takes_any() {
    let database = Database::create().await;
    // A column that is declared as `bit` has length 1; one of a query has none.
    database
        .execute("create table t as select B'101' as b; create table one (b bit)")
        .await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let rows = [batch(vec![("b", texts(&[Some("1"), Some("00110011101")]))])];
    flight.put(path(&["t"]), &rows).await.expect("any length fits");
    assert_eq!(
        database.lines("select b from t order by ctid").await,
        ["101", "1", "00110011101"]
    );
    let error = flight.put(path(&["one"]), &rows).await.unwrap_err();
    assert!(error.message().contains("11 bits, 1 are needed"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_read_like_a_place_do_not_change_which_row_is_named() {
    let database = Database::create().await;
    database
        .execute("create table \"t, line 3\" (id bigint, \"doc, line 9\" jsonb, \"x, column y:\" jsonb)")
        .await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let good = [Some("{}"); 12];
    for name in ["doc, line 9", "x, column y:"] {
        let mut documents = good;
        documents[1] = Some("{");
        let rows = [batch(vec![("id", longs(0..12)), (name, texts(&documents))])];
        let error = flight.put(path(&["t, line 3"]), &rows).await.unwrap_err();
        for part in ["row 1 of the stream", name] {
            assert!(error.message().contains(part), "{part}: {error:?}");
        }
        let rejecting = command(json!({"table": "t, line 3", "on_bad_row": "reject", "max_rejects": 5}));
        flight.put(rejecting, &rows).await.expect("one row is rejected");
        let ids = "select string_agg(id::text, ' ' order by id) from \"t, line 3\"";
        assert_eq!(database.value(ids).await, "0 2 3 4 5 6 7 8 9 10 11", "{name}");
        let rejects = "select row_in_stream || ' ' || column_name from pgflight.reject";
        assert_eq!(database.lines(rejects).await, [format!("1 {name}")], "{name}");
        database.execute("truncate \"t, line 3\", pgflight.reject").await;
    }
}
