//! Migrations as clients of the Flight door meet them: options from every place, and a lock that somebody holds.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::Code;

use super::fixture::columns;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, path, texts};
use crate::support::server::{Server, start};

fn ids() -> arrow::array::RecordBatch {
    batch(vec![("id", longs([7, 8]))])
}

/// `{"table": ..}` with options.
fn to(table: &str, mut options: Value) -> arrow_flight::FlightDescriptor {
    options["table"] = json!(table);
    command(options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_is_done_where_it_is_allowed_and_a_forced_change_as_it_was_chosen() {
    let (database, server, mut flight) = start().await;
    database
        .execute("create table t (id int); insert into t values (1)")
        .await;
    let error = flight
        .put(to("t", json!({"migrate_rewrite": "never"})), &[ids()])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error
            .message()
            .contains("set migrate_rewrite: allow, or widen it yourself"),
        "{error}"
    );
    let header = Flight::connect(&server)
        .await
        .with_header("pgflight-migrate-rewrite", "allow");
    header.clone().put(path(&["t"]), &[ids()]).await.unwrap();
    assert_eq!(columns(&database, "t").await, ["id|bigint|f"]);
    let moved = |name: &str| format!("select count(*) from pg_class where relname ~ '^{name}_[0-9]{{8}}T[0-9]{{6}}$'");
    for (name, strategy, rewrite, kept, aside) in [
        ("converted", "convert", "small", "3", "0"),
        // A conversion would rewrite the table, so a new one it is.
        ("renamed", "convert", "never", "2", "1"),
        ("beside", "keep-old", "small", "2", "1"),
        ("dropped", "drop", "small", "2", "0"),
    ] {
        database
            .execute(&format!(
                "create table {name} (id name); insert into {name} values ('1')"
            ))
            .await;
        let options = json!({"migrate_mode": "forced", "forced_strategy": strategy, "migrate_rewrite": rewrite});
        flight.put(to(name, options), &[ids()]).await.unwrap();
        assert_eq!(columns(&database, name).await, ["id|bigint|f"], "{name}");
        assert_eq!(
            database.value(&format!("select count(*) from {name}")).await,
            kept,
            "{name}"
        );
        assert_eq!(database.value(&moved(name)).await, aside, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_nullability_drops_not_null_and_advisory_keeps_it() {
    let (database, _server, mut flight) = start().await;
    database
        .execute("create table t (id bigint not null, name text not null)")
        .await;
    let rows = batch(vec![("id", longs([1])), ("name", texts(&[None]))]);
    let error = flight.put(path(&["t"]), std::slice::from_ref(&rows)).await.unwrap_err();
    assert!(
        error.message().contains("\"name\"") && error.message().contains("NULL"),
        "{error}"
    );
    let advisory = json!({"migrate_mode": "forced", "nullability": "advisory"});
    assert!(
        flight
            .put(to("t", advisory), std::slice::from_ref(&rows))
            .await
            .is_err()
    );
    assert_eq!(columns(&database, "t").await, ["id|bigint|t", "name|text|t"]);
    flight
        .put(to("t", json!({"nullability": "declared"})), &[rows])
        .await
        .unwrap();
    assert_eq!(columns(&database, "t").await, ["id|bigint|f", "name|text|f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_created_as_descriptor_header_and_configuration_say() {
    let database = Database::create().await;
    let settings = json!({"create_table": {"fillfactor": 70}, "tables": {"own": {"create_table": {"unlogged": true}}}});
    let server = Server::start_with(database.uri(), settings).await;
    let mut flight = Flight::connect(&server).await;
    let made = |name: &str| {
        format!("select relpersistence, reloptions::text, relkind from pg_class where oid = '{name}'::regclass")
    };
    flight.put(path(&["plain"]), &[ids()]).await.unwrap();
    assert_eq!(database.lines(&made("plain")).await, ["p|{fillfactor=70}|r"]);
    flight.put(path(&["own"]), &[ids()]).await.unwrap();
    assert_eq!(database.lines(&made("own")).await, ["u|<null>|r"]);
    let mut by_header = Flight::connect(&server)
        .await
        .with_header("pgflight-create-table", r#"{"align_columns": true}"#);
    let rows = batch(vec![("text", texts(&[Some("x")])), ("id", longs([1]))]);
    by_header.put(path(&["aligned"]), &[rows]).await.unwrap();
    assert_eq!(columns(&database, "aligned").await, ["id|bigint|f", "text|text|f"]);
    let at = arrow::array::Date32Array::from(vec![20_000, 0]);
    let rows = batch(vec![("at", std::sync::Arc::new(at)), ("id", longs([1, 2]))]);
    let create = json!({"create_table": {"partition_by": {"column": "at", "every": "year"}}});
    flight.put(to("events", create), &[rows]).await.unwrap();
    assert_eq!(database.lines(&made("events")).await, ["p|<null>|p"]);
    assert_eq!(database.value("select count(*) from events").await, "2");
    let error = flight
        .put(to("x", json!({"create_table": {"fillfactor": 5}})), &[ids()])
        .await
        .unwrap_err();
    assert!(
        error.message().contains("fillfactor is not between 10 and 100"),
        "{error}"
    );
    let unknown = flight
        .put(to("x", json!({"create_table": {"fill": 5}})), &[ids()])
        .await;
    assert!(unknown.unwrap_err().message().contains("unknown field `fill`"));
    assert_eq!(database.value("select to_regclass('x') is null").await, "t");
}

/// Rows for `held`, which lacks their second column.
fn wider() -> arrow::array::RecordBatch {
    batch(vec![
        ("id", longs([1, 2, 3])),
        ("more", texts(&[Some("a"), Some("b"), None])),
    ])
}

/// Every way of writing in which a stream may come to a table that somebody reads.
fn ways() -> Vec<Value> {
    vec![
        json!({"write_mode": "append", "commit": "atomic"}),
        json!({"write_mode": "append", "commit": "batch"}),
        json!({"write_mode": "overwrite", "commit": "atomic"}),
        json!({"write_mode": "overwrite", "commit": "batch"}),
    ]
}

async fn held(database: &Database) -> (tokio_postgres::Client, i32) {
    database
        .execute("drop table if exists held; create table held (id bigint primary key); insert into held values (9)")
        .await;
    let holder = database.connect().await;
    holder
        .batch_execute("set application_name = 'long report'; begin; select * from held")
        .await
        .expect("the table can be read");
    let pid = holder.query_one("select pg_backend_pid()", &[]).await;
    let pid = pid.expect("a session has a number").get(0);
    (holder, pid)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_released_fails_the_stream_by_name_and_leaves_the_table_as_it_was() {
    let (database, _server, mut flight) = start().await;
    for mut way in ways() {
        let (holder, pid) = held(&database).await;
        way["lock_timeout"] = json!("100ms");
        let started = Instant::now();
        let error = flight.put(to("held", way.clone()), &[wider()]).await.unwrap_err();
        assert_eq!(error.code(), Code::Aborted, "{way}: {error}");
        let text = error.message();
        assert!(
            text.contains(&format!("pid {pid} \"long report\"")) && text.contains("AccessShareLock"),
            "{way}: {text}"
        );
        // 6 + 25 + 50 + 100 + 100 ms of waiting, and pauses.
        assert!(
            started.elapsed() >= Duration::from_millis(281),
            "{way}: it waited in steps"
        );
        assert_eq!(columns(&database, "held").await, ["id|bigint|t"], "{way}");
        assert_eq!(database.lines("select id from held").await, ["9"], "{way}");
        holder.batch_execute("commit").await.unwrap();
        // The same stream again finds nothing half-done.
        let answer = flight.put(to("held", way.clone()), &[wider()]).await.unwrap();
        assert_eq!(answer["migration"].as_array().map(Vec::len), Some(1), "{way}: {answer}");
        assert_eq!(
            database.lines("select id, more from held order by id").await,
            ROWS,
            "{way}"
        );
    }
}

const ROWS: [&str; 4] = ["1|a", "2|b", "3|<null>", "9|<null>"];

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_released_in_time_costs_the_stream_no_row() {
    let (database, _server, mut flight) = start().await;
    for way in ways() {
        let (holder, _) = held(&database).await;
        let release = async {
            let waiting = "select exists (select from pg_locks where relation = 'held'::regclass and not granted)";
            while database.value(waiting).await != "t" {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            holder.batch_execute("commit").await.unwrap();
        };
        let rows = [wider()];
        let (answer, ()) = tokio::join!(flight.put(to("held", way.clone()), &rows), release);
        let answer = answer.unwrap_or_else(|error| panic!("{way}: {error}"));
        assert_eq!(answer["rows"], 3, "{way}");
        assert_eq!(
            database.lines("select id, more from held order by id").await,
            ROWS,
            "{way}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_with_sixteen_streams_change_one_table_once_and_lose_no_row() {
    let database = Database::create().await;
    let servers = [Server::start(&database).await, Server::start(&database).await];
    for (round, ddl) in [
        "create table t (id int, more text); insert into t values (0)",
        "drop table t",
    ]
    .into_iter()
    .enumerate()
    {
        database.execute(ddl).await;
        let mut puts = Vec::new();
        for n in 0..16 {
            let mut flight = Flight::connect(&servers[n % 2]).await;
            let commit = if n % 4 < 2 { "atomic" } else { "batch" };
            puts.push(tokio::spawn(async move {
                let rows = batch(vec![("id", longs([n as i64])), ("other", texts(&[Some("x")]))]);
                flight.put(to("t", json!({"commit": commit})), &[rows]).await
            }));
        }
        let mut steps = 0;
        for put in puts {
            let answer = put
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
            steps += answer["migration"].as_array().map_or(0, Vec::len);
        }
        // Widen and add, then create: each by one of the sixteen.
        assert_eq!(steps, 2 - round, "round {round}");
        assert_eq!(database.value("select count(*) from t where other = 'x'").await, "16");
    }
}
