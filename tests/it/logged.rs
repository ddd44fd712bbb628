//! The log: one line at the end of each load that says who loaded what, how much, how long and how it ended, with its time, and
//! without a value of a row or a secret.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;

use crate::cloudquery::client::{Cq, insert, migrate, schema};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, texts};
use crate::support::process::Process;

/// Values that no line may have.
const CANARY: &str = "canary-5f1c";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn rows(from: i64, count: i64) -> arrow::array::RecordBatch {
    let names = vec![Some(CANARY); usize::try_from(count).expect("a count")];
    batch(vec![("id", longs(from..from + count)), ("name", texts(&names))])
}

/// Lines that tell of an ended load of this table.
fn lines_about(process: &Process, table: &str) -> Vec<Value> {
    let lines = process.log();
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["table"] == table && line.get("result").is_some())
        .collect()
}

/// Waits for that line; there is no second one.
async fn line_about(process: &Process, table: &str) -> Value {
    for _ in 0..600 {
        if let [line] = &*lines_about(process, table) {
            return line.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not one line about {table}:\n{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_load_ends_with_one_line_that_says_what_it_did() {
    let database = Database::create().await;
    let settings = [("log.format", "json"), ("pool.max_size", "4")];
    let process = Process::start(database.uri(), &settings).await;
    let traced = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let mut flight = Flight::reach(&process.http()).await.with_header("traceparent", &traced);
    flight
        .put(command(json!({"table": "made"})), &[rows(0, 7), rows(7, 3)])
        .await
        .expect("a put");
    let line = line_about(&process, "public.made").await;
    let expected = [
        ("level", json!("info")),
        ("message", json!("loaded")),
        ("result", json!("finished")),
        ("door", json!("flight")),
        ("principal", json!("")),
        ("rows", json!(10)),
        ("received", json!(10)),
        ("rejected", json!(0)),
        ("retries", json!(0)),
        ("migration", json!(1)),
        ("trace_id", json!(TRACE)),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(line["bytes"].as_u64().expect("bytes") > 100, "{line}");
    assert!(
        line["seconds"].as_f64().is_some() && line["peer"].as_str().expect("a peer").starts_with("127.0.0.1:"),
        "{line}"
    );
    assert!(line["timestamp"].as_str().expect("a time").ends_with('Z'), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_counts_retries_and_tells_why_a_load_failed() {
    let database = Database::create().await;
    let process = Process::start(database.uri(), &[("log.format", "json")]).await;
    let mut flight = Flight::reach(&process.http()).await;
    database
        .execute(
            "create table once (id bigint, name text); create sequence tries; \
             create function fails_once() returns trigger language plpgsql as $$ begin \
             if nextval('tries') = 1 then raise exception 'once' using errcode = '40001'; end if; return new; end $$; \
             create trigger fails_once before insert on once for each row execute function fails_once()",
        )
        .await;
    flight
        .put(command(json!({"table": "once"})), &[rows(0, 2)])
        .await
        .expect("at the second try");
    let line = line_about(&process, "public.once").await;
    assert_eq!(
        (&line["retries"], &line["rows"], &line["migration"]),
        (&json!(1), &json!(2), &json!(0))
    );

    database
        .execute("create table keyed (id bigint primary key, name text)")
        .await;
    let refused = flight
        .put(command(json!({"table": "keyed"})), &[rows(0, 2), rows(1, 1)])
        .await;
    let refused = refused.expect_err("a key comes twice");
    let line = line_about(&process, "public.keyed").await;
    assert_eq!((&line["level"], &line["result"]), (&json!("warn"), &json!("failed")));
    assert_eq!((&line["sqlstate"], &line["rows"]), (&json!("23505"), &json!(0)));
    assert_eq!(
        (&line["error"], &line["class"]),
        (&json!(refused.message()), &json!("AlreadyExists"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_nobody_ended_has_its_line_too() {
    let database = Database::create().await;
    database.execute("create table given_up (id bigint, name text)").await;
    let process = Process::start(database.uri(), &[("log.format", "json")]).await;
    let flight = Flight::reach(&process.http()).await;
    let (sender, rest) = unbounded_channel();
    for message in messages(
        command(json!({"table": "given_up", "commit": "batch", "batch_size": 5})),
        &[rows(0, 5)],
    ) {
        sender.send(message).expect("it is open");
    }
    let mut client = flight.clone();
    let put = tokio::spawn(async move { client.stream(UnboundedReceiverStream::new(rest)).await });
    database.wait_for("select count(*) = 5 from given_up").await;
    put.abort();
    // The call is gone before its stream ends, which would complete it.
    put.await.expect_err("it was given up");
    drop(sender);
    let line = line_about(&process, "public.given_up").await;
    assert_eq!(
        (&line["result"], &line["rows"], &line["received"]),
        (&json!("aborted"), &json!(5), &json!(5))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_of_a_cloudquery_write_has_its_line_each_time() {
    let database = Database::create().await;
    let process = Process::start(database.uri(), &[("log.format", "json")]).await;
    let endpoint = Endpoint::new(process.http()).expect("the server's address is one");
    let mut cq = Cq::over(endpoint.connect().await.expect("the server listens"));
    cq.init(&Value::Null).await.expect("an empty spec is the server's own");
    let of = |table: &str| {
        let schema = schema(table, vec![Field::new("id", DataType::Int64, false)]);
        RecordBatch::try_new(schema, vec![longs(0..4)]).expect("one column")
    };
    let (first, second) = (of("first"), of("second"));
    // Into new tables, and into the filled ones.
    for times in [1, 2] {
        let made = [migrate(&first.schema()), migrate(&second.schema())];
        cq.put([&made[..], &[insert(&first), insert(&second)]].concat()).await;
        process.logs("a CloudQuery write ended").await;
        for table in ["public.first", "public.second"] {
            let lines = lines_about(&process, table);
            assert_eq!(lines.len(), times, "{lines:?}");
            for line in lines {
                assert_eq!(
                    (&line["door"], &line["result"], &line["rows"]),
                    (&json!("cloudquery"), &json!("finished"), &json!(4))
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_holds_a_value_a_token_or_a_password() {
    let database = Database::create().await;
    let secret = "s3cret-0b7e";
    let uri = database.uri().replace("//postgres@", &format!("//postgres:{secret}@"));
    let settings = [
        ("log.format", "json"),
        ("log.level", "trace"),
        ("log.filter", "pgflight=trace"),
    ];
    let process = Process::start(&uri, &settings).await;
    let mut flight = Flight::reach(&process.http())
        .await
        .with_header("authorization", &format!("Bearer {secret}"));
    flight
        .put(command(json!({"table": "fine"})), &[rows(0, 3)])
        .await
        .expect("a put");
    database
        .execute(
            "create table narrow (id bigint, name varchar(4)); create table number (id bigint, name int); \
             create table checked (id bigint, name text check (name <> 'canary-5f1c'))",
        )
        .await;
    for table in ["narrow", "number", "checked"] {
        let refused = flight
            .put(command(json!({"table": table, "migrate_mode": "off"})), &[rows(0, 3)])
            .await
            .expect_err(table);
        assert!(!refused.message().contains(CANARY), "{refused:?}");
        let rejecting = json!({"table": table, "migrate_mode": "off", "on_bad_row": "reject"});
        drop(flight.put(command(rejecting), &[rows(0, 3)]).await);
    }
    process.logs("not loaded").await;
    let log = process.log();
    for hidden in [CANARY, secret] {
        let shown = log.lines().find(|line| line.contains(hidden));
        assert!(shown.is_none(), "{shown:?}");
    }
}
