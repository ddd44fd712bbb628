//! Tables whose rows name one another: the order of rows does not matter to a load that commits once, whatever its chunks are.

use arrow::array::RecordBatch;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata};
use crate::support::server::start;

/// Foreign keys to the table itself, as they may be declared.
const KEYS: [&str; 4] = ["", "deferrable", "deferrable initially deferred", "on delete cascade"];

/// `rows` rows of which the first names the last, and each other one the one before it.
fn ring(rows: i64) -> RecordBatch {
    let up = (0..rows).map(|row| if row == 0 { rows - 1 } else { row - 1 });
    batch(vec![("id", longs(0..rows)), ("up", longs(up))])
}

fn options(write_mode: &str, commit: &str) -> Value {
    json!({"table": "t", "write_mode": write_mode, "commit": commit, "batch_size": 100})
}

async fn load(flight: &mut Flight, options: Value, rows: &RecordBatch) -> Result<Value, tonic::Status> {
    flight.put(command(options), std::slice::from_ref(rows)).await
}

async fn count(database: &Database) -> String {
    database
        .value("select count(*) || '/' || count(distinct id) from t")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_and_one_rows_whose_first_names_the_last_are_loaded() {
    let (database, _server, mut flight) = start().await;
    for (at, key) in KEYS.into_iter().enumerate() {
        database
            .execute(&format!(
                "drop table if exists t; create table t (id bigint primary key, up bigint references t {key})"
            ))
            .await;
        let modes = if at == 0 {
            &["append", "overwrite"][..]
        } else {
            &["append"]
        };
        for mode in modes {
            database.execute("truncate t").await;
            let to = json!({"table": "t", "write_mode": mode});
            let answer = load(&mut flight, to, &ring(50_001)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{mode} {key}: {error:?}"));
            assert_eq!(answer["rows"], 50_001, "{mode} {key}");
            assert_eq!(count(&database).await, "50001/50001", "{mode} {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_name_later_ones_are_loaded_in_every_mode_that_commits_once() {
    let (database, _server, mut flight) = start().await;
    for key in KEYS {
        for on_bad_row in ["fail", "reject"] {
            for mode in ["append", "overwrite", "replace"] {
                let says = format!("{mode}, {on_bad_row}, {key}");
                database
                    .execute(&format!(
                        "drop table if exists t; create table t (id bigint primary key, up bigint references t {key})"
                    ))
                    .await;
                let mut options = options(mode, "atomic");
                options["on_bad_row"] = json!(on_bad_row);
                // Into an empty table and, where keys may be there already, into a filled one.
                let times = if mode == "append" { 1 } else { 2 };
                for _ in 0..times {
                    let answer = load(&mut flight, options.clone(), &ring(1001)).await;
                    let answer = answer.unwrap_or_else(|error| panic!("{says}: {error:?}"));
                    assert_eq!(
                        (&answer["rows"], &answer["rejected"]),
                        (&json!(1001), &json!(0)),
                        "{says}"
                    );
                    assert_eq!(count(&database).await, "1001/1001", "{says}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_partitions_and_of_a_part_name_later_ones_too() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint primary key, up bigint) partition by range (id); \
             create table low partition of t for values from (0) to (500); create table high partition of t default; \
             alter table t add constraint own foreign key (up) references t",
        )
        .await;
    for mode in ["append", "overwrite", "replace"] {
        let answer = load(&mut flight, options(mode, "atomic"), &ring(1001)).await.unwrap();
        assert_eq!(answer["rows"], 1001, "{mode}");
        assert_eq!(count(&database).await, "1001/1001", "{mode}");
    }
    database.execute("truncate t").await;
    let mut part = options("append", "atomic");
    part["table"] = json!("low");
    load(&mut flight, part, &ring(400)).await.unwrap();
    assert_eq!(count(&database).await, "400/400");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_names_none_is_refused_and_leaves_nothing() {
    let (database, _server, mut flight) = start().await;
    for key in KEYS {
        for mode in ["append", "overwrite", "replace"] {
            database
                .execute(&format!(
                    "drop table if exists t; create table t (id bigint primary key, up bigint references t {key}); \
                     insert into t values (7000, null)"
                ))
                .await;
            let lost = batch(vec![
                ("id", longs(0..250)),
                ("up", longs(std::iter::repeat_n(9000, 250))),
            ]);
            let error = load(&mut flight, options(mode, "atomic"), &lost).await.unwrap_err();
            assert_eq!(error.code(), Code::FailedPrecondition, "{mode} {key}: {error:?}");
            let sqlstate = error.metadata().get("x-pg-sqlstate").expect("Postgres refused it");
            assert_eq!(sqlstate.to_str().unwrap(), "23503", "{mode} {key}");
            assert_eq!(count(&database).await, "1/1", "{mode} {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_commit_for_each_chunk_a_row_may_name_rows_of_its_chunk_and_before() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint primary key, up bigint references t)")
        .await;
    let error = load(&mut flight, options("append", "batch"), &ring(1001))
        .await
        .unwrap_err();
    assert!(error.message().contains("23503"), "{error:?}");
    assert_eq!(count(&database).await, "0/0");
    load(&mut flight, options("append", "batch"), &ring(100)).await.unwrap();
    assert_eq!(count(&database).await, "100/100");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_collected_leaves_the_rows_that_are_there_and_the_plan_tells_of_it() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint primary key, up bigint constraint own references t); insert into t values (5000, 5000)",
        )
        .await;
    let rows = ring(1001);
    let planned = crate::one_rule::plan(&mut flight, options("append", "atomic"), &rows)
        .await
        .unwrap();
    let notes = planned["notes"].to_string();
    assert!(
        notes.contains("own") && notes.contains("foreign key") && notes.contains("deferrable"),
        "{planned}"
    );
    load(&mut flight, options("append", "atomic"), &rows).await.unwrap();
    assert_eq!(count(&database).await, "1002/1002");
    database.execute("alter table t alter constraint own deferrable").await;
    let planned = crate::one_rule::plan(&mut flight, options("append", "atomic"), &rows)
        .await
        .unwrap();
    assert_eq!(planned["notes"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_rows_that_name_one_another_are_deleted_whatever_their_number() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint primary key, up bigint references t, _cq_source_name text, _cq_sync_time timestamptz); \
             insert into t select n, 20000 - n, 's', '2026-01-01' from generate_series(0, 20000) n; \
             create index on t (up)",
        )
        .await;
    let body = json!({"table": "t", "source_name": "s", "sync_time": "2026-02-01T00:00:00Z"});
    let answer = flight.act("pgflight.delete_stale", body).await.unwrap();
    assert_eq!(answer, json!({"deleted": 20_001}));
    // The same at the end of a load.
    database
        .execute("insert into t select n, 20000 - n, 's', '2026-01-01' from generate_series(0, 20000) n")
        .await;
    let to = command(
        json!({"table": "t", "write_mode": "overwrite-delete-stale", "commit": "batch",
        "source_name": "s", "sync_time": "2026-02-01T00:00:00Z"}),
    );
    let mut stream = messages(to, &[batch(vec![("id", longs([30_000]))])]);
    stream.push(metadata(r#"{"commit": {"rows": 1}}"#));
    let answer = flight.send(stream).await.unwrap().pop().unwrap();
    assert_eq!(answer["deleted"], 20_001, "{answer}");
}
