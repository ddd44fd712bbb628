//! `on_bad_row: reject`: the good rows are loaded, each bad one is noted once with its place and its reason, and the counts
//! add up, whatever the write mode and the commit mode, and whoever finds the row: our checks or the server.

mod runs;

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch, StringArray};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::flight::{batch, command, longs, texts};
use crate::support::server::start;

const ROWS: u64 = 1000;

/// The table that bad rows break in ten ways; `u` of row 700 is there already.
const TABLE: &str = "create type mood as enum ('ok'); create domain positive as integer check (value > 0); \
     create table parent (id bigint primary key); insert into parent values (1); \
     create table t (id bigint primary key, code varchar(4) not null, n numeric(5,2), note text, doc jsonb, mood mood, \
     v bigint check (v < 1000), ref bigint references parent, u bigint unique, d positive)";

/// How a row can be bad: SQLSTATE, column, constraint.
type Fault = (&'static str, Option<&'static str>, Option<&'static str>);

const FAULTS: [Fault; 10] = [
    ("22001", Some("code"), None),
    ("23502", Some("code"), None),
    ("22003", Some("n"), None),
    ("22021", Some("note"), None),
    ("22021", Some("doc"), None),
    ("22P02", Some("mood"), None),
    ("23514", None, Some("t_v_check")),
    ("23503", None, Some("t_ref_fkey")),
    ("23505", None, Some("t_u_key")),
    ("23514", None, Some("positive_check")),
];

/// Rows whose `id` is their place; row `bad[i]` has fault `i`.
fn rows(bad: &[u64]) -> RecordBatch {
    let fault = |row: u64| bad.iter().position(|bad| *bad == row);
    let all = 0..ROWS;
    let text = |good: &'static str, at: usize, wrong: Option<&'static str>| -> Vec<Option<&'static str>> {
        let cell = |row| if fault(row) == Some(at) { wrong } else { Some(good) };
        all.clone().map(cell).collect()
    };
    let number = |good: i64, at: usize, wrong: i64| -> ArrayRef {
        longs(all.clone().map(|row| if fault(row) == Some(at) { wrong } else { good }))
    };
    let code = all.clone().map(|row| match fault(row) {
        Some(0) => Some("hello"),
        Some(1) => None,
        _ => Some("code"),
    });
    let cents = all
        .clone()
        .map(|row| if fault(row) == Some(2) { 123_456_i128 } else { 150 });
    let cents = Decimal128Array::from_iter_values(cents)
        .with_precision_and_scale(10, 2)
        .expect("it fits");
    let unique = |row| {
        if fault(row) == Some(8) {
            -1
        } else {
            i64::try_from(row).expect("it fits")
        }
    };
    let domain = all.clone().map(|row| if fault(row) == Some(9) { -5 } else { 5 });
    batch(vec![
        ("id", longs(all.clone().map(|row| i64::try_from(row).expect("it fits")))),
        ("code", Arc::new(StringArray::from_iter(code))),
        ("n", Arc::new(cents)),
        ("note", texts(&text("note", 3, Some("a\0b")))),
        ("doc", texts(&text("{}", 4, Some("[\"\\u0000\"]")))),
        ("mood", texts(&text("ok", 5, Some("sad")))),
        ("v", number(1, 6, 1000)),
        ("ref", number(1, 7, 2)),
        ("u", longs(all.clone().map(unique))),
        ("d", Arc::new(arrow::array::Int32Array::from_iter_values(domain))),
    ])
}

/// The rows as batches that are cut elsewhere than the chunks are.
fn batches(bad: &[u64]) -> Vec<RecordBatch> {
    let rows = rows(bad);
    let cuts = [0, 1, 301, 602, 1000];
    cuts.windows(2).map(|cut| rows.slice(cut[0], cut[1] - cut[0])).collect()
}

const MODES: [(&str, &str); 6] = [
    ("append", "atomic"),
    ("append", "batch"),
    ("overwrite", "atomic"),
    ("overwrite", "batch"),
    ("overwrite-delete-stale", "atomic"),
    ("replace", "atomic"),
];

fn options(write_mode: &str, commit: &str) -> Value {
    json!({"table": "t", "write_mode": write_mode, "commit": commit, "batch_size": 400, "migrate_mode": "off",
           "on_bad_row": "reject"})
}

/// What must stand in the reject table, in the order of the rows.
fn expected(bad: &[u64], write_mode: &str) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = bad
        .iter()
        .zip(FAULTS)
        .map(|(row, (sqlstate, column, constraint))| {
            // COPY names the column of a domain's check, a merge does not.
            let column = match constraint {
                Some("positive_check") if write_mode == "append" => Some("d"),
                _ => column,
            };
            let or_null = |name: Option<&str>| name.unwrap_or("<null>").to_owned();
            (
                *row,
                format!("{row}|{}|{sqlstate}|{}", or_null(column), or_null(constraint)),
            )
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bad_rows_are_rejected_wherever_they_stand_and_the_counts_add_up() {
    let (database, _server, mut flight) = start().await;
    database.execute(TABLE).await;
    let places: [[u64; 10]; 4] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [495, 496, 497, 498, 499, 500, 501, 502, 503, 504],
        [990, 991, 992, 993, 994, 995, 996, 997, 998, 999],
        [999, 0, 300, 301, 399, 400, 601, 602, 799, 800],
    ];
    for (write_mode, commit) in MODES.into_iter().filter(|(mode, _)| *mode != "overwrite-delete-stale") {
        for bad in places {
            let context = format!("{write_mode} {commit} {bad:?}");
            database
                .execute("truncate t; insert into t (id, code, u) values (-1, 'was', -1)")
                .await;
            // A replace empties the table, so that nothing is there for the new row to collide with.
            let replaces = write_mode == "replace";
            let bad: Vec<u64> = if replaces { bad[..8].to_vec() } else { bad.to_vec() };
            let to = command(options(write_mode, commit));
            let answer = flight
                .put(to, &batches(&bad))
                .await
                .unwrap_or_else(|error| panic!("{context}: {error:?}"));
            let count = bad.len() as u64;
            assert_eq!(answer["rejected"], count, "{context}: {answer}");
            assert_eq!(answer["rows"], ROWS - count, "{context}: {answer}");
            assert_eq!(answer["committed"], ROWS - count, "{context}: {answer}");
            let rejects = format!(
                "select row_in_stream, column_name, sqlstate, constraint_name from pgflight.reject where load_id = '{}' \
                 and table_name = 't' and table_schema = 'public' order by row_in_stream",
                answer["load_id"].as_str().expect("the load has a name")
            );
            assert_eq!(database.lines(&rejects).await, expected(&bad, write_mode), "{context}");
            let good = format!("select count(*), count(distinct id) from t where id >= 0 and id <> all (array{bad:?})");
            assert_eq!(
                database.lines(&good).await,
                [format!("{0}|{0}", ROWS - count)],
                "{context}"
            );
            let rest = "select count(*) from t where id >= 0";
            assert_eq!(database.value(rest).await, (ROWS - count).to_string(), "{context}");
        }
    }
    assert_eq!(
        database
            .value("select count(*) from pgflight.reject where row_values is not null or reason like '%hello%'")
            .await,
        "0",
        "values are not kept without the option"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_of_nothing_but_bad_rows_leaves_an_unchanged_table() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint primary key check (id > 5), w smallint)")
        .await;
    for (write_mode, commit) in [("append", "atomic"), ("append", "batch"), ("overwrite", "batch")] {
        let values = batch(vec![
            ("id", longs([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])),
            ("w", longs([1, 1, 1, 1, 1, 70_000, 70_000, 70_000, 70_000, 70_000])),
        ]);
        let answer = flight
            .put(command(options(write_mode, commit)), &[values])
            .await
            .unwrap();
        assert_eq!(
            (&answer["rows"], &answer["rejected"]),
            (&json!(0), &json!(10)),
            "{write_mode} {commit}"
        );
        assert_eq!(database.value("select count(*) from t").await, "0");
    }
    assert_eq!(
        database
            .lines("select sqlstate, count(*) from pgflight.reject group by 1 order by 1")
            .await,
        ["22003|15", "23514|15"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bad_rows_than_max_rejects_end_the_load_with_the_row_that_was_one_too_many() {
    let bad = [10, 11, 12, 13, 14, 500, 600, 700, 800, 900];
    for (write_mode, commit) in MODES.into_iter().filter(|(mode, _)| *mode != "overwrite-delete-stale") {
        let (database, _server, mut flight) = start().await;
        database.execute(TABLE).await;
        database
            .execute("insert into t (id, code, u) values (-1, 'was', -1)")
            .await;
        let mut options = options(write_mode, commit);
        options["max_rejects"] = json!(5);
        let error = flight.put(command(options), &batches(&bad)).await.unwrap_err();
        let context = format!("{write_mode} {commit}: {error:?}");
        assert_eq!(error.code(), Code::InvalidArgument, "{context}");
        assert!(
            error.message().contains("more than 5 rows") && error.message().contains("max_rejects"),
            "{context}"
        );
        let row = error
            .metadata()
            .get("x-pgflight-row")
            .expect("a row is named")
            .to_str()
            .unwrap();
        assert!(bad.iter().any(|bad| bad.to_string() == row), "{context}");
        // The chunks before the one with the sixth bad row stay, with their rejects.
        let kept = if commit == "batch" { (395, 5) } else { (0, 0) };
        assert_eq!(
            database
                .lines("select (select count(*) from t where id >= 0), (select count(*) from pgflight.reject)")
                .await,
            [format!("{}|{}", kept.0, kept.1)],
            "{context}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_rejected_rows_are_kept_only_where_they_are_asked_for() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint primary key, v varchar(3) check (v <> 'no'))")
        .await;
    for (write_mode, commit) in [
        ("append", "atomic"),
        ("overwrite", "atomic"),
        ("overwrite", "batch"),
        ("replace", "atomic"),
    ] {
        database.execute("truncate t").await;
        let mut options = options(write_mode, commit);
        options["reject_values"] = json!(true);
        let values = batch(vec![
            ("id", longs([1, 2, 3])),
            ("v", texts(&[Some("long"), Some("no"), Some("ok")])),
        ]);
        let answer = flight.put(command(options), &[values]).await.unwrap();
        let kept = format!(
            "select row_in_stream, row_values ->> 'id', row_values ->> 'v' from pgflight.reject where load_id = '{}' order by 1",
            answer["load_id"].as_str().unwrap()
        );
        assert_eq!(
            database.lines(&kept).await,
            ["0|1|long", "1|2|no"],
            "{write_mode} {commit}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rejected_row_that_is_very_long_the_place_and_the_reason_are_kept_each_time() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table long (id bigint check (id > 0), v text)")
        .await;
    let to = || command(json!({"table": "long", "on_bad_row": "reject", "reject_values": true}));
    for at in 1..=2 {
        let v: ArrayRef = Arc::new(StringArray::from(vec![
            "x".repeat(9 << 20),
            "short".to_owned(),
            "kept".to_owned(),
        ]));
        let rows = batch(vec![("id", longs([0, 0, 1])), ("v", v)]);
        let answer = flight.put(to(), &[rows]).await.unwrap();
        assert_eq!(
            (&answer["rejected"], &answer["committed"]),
            (&json!(2), &json!(1)),
            "{answer}"
        );
        let kept = "select count(*) || '/' || count(row_values) || '/' || count(sqlstate) from pgflight.reject";
        assert_eq!(database.value(kept).await, format!("{}/{at}/{}", 2 * at, 2 * at));
    }
}
