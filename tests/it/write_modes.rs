//! What each write mode leaves in the table: overwrite, versions, replace, stale rows, and many writers at once.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use serde_json::json;
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, texts};
use crate::support::server::{Server, start};

fn people(ids: &[i64], name: &str) -> RecordBatch {
    let names: Vec<Option<&str>> = ids.iter().map(|_| Some(name)).collect();
    batch(vec![("id", longs(ids.iter().copied())), ("name", texts(&names))])
}

async fn names(database: &Database) -> String {
    database
        .value("select string_agg(id || name, ' ' order by id, name) from t")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwrite_into_an_empty_table_still_lets_the_last_row_of_a_key_win() {
    for commit in ["atomic", "batch"] {
        let (database, _server, mut flight) = start().await;
        let to = command(
            json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"], "commit": commit, "batch_size": 3}),
        );
        let batches = [
            people(&[1, 2, 3], "a"),
            people(&[4, 5, 6], "b"),
            people(&[6, 1, 7], "c"),
            people(&[8, 8, 2], "d"),
        ];
        let answer = flight.put(to, &batches).await.unwrap();
        assert_eq!(answer["rows"], 12, "{commit}");
        assert_eq!(names(&database).await, "1c 2d 3a 4b 5b 6c 7c 8d", "{commit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_streams_with_versions_out_of_order_leave_the_newest_rows() {
    let (database, _server, mut flight) = start().await;
    let row = |id: i64, version: i64| batch(vec![("id", longs([id])), ("v", longs([version]))]);
    let to = |stream: &str| {
        command(
            json!({"table": "t", "write_mode": "overwrite", "primary_key": ["id"], "version_column": "v",
            "stream_id": stream, "commit": "atomic"}),
        )
    };
    flight
        .put(to("newer"), &[row(1, 5), row(2, 1), row(1, 4)])
        .await
        .unwrap();
    flight
        .put(to("older"), &[row(1, 3), row(2, 2), row(3, 1)])
        .await
        .unwrap();
    assert_eq!(
        database.lines("select id, v from t order by id").await,
        ["1|5", "2|2", "3|1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_keeps_all_that_hangs_on_the_table() {
    let (database, _server, mut flight) = start().await;
    database
        .execute(
            "create table t (id bigint primary key, name text not null check (name <> 'bad'), extra int default 7); \
             create index on t (name); create view v as select name from t; comment on table t is 'kept'; \
             create role replace_reader; grant select on t to replace_reader; insert into t values (1, 'old'), (2, 'old')",
        )
        .await;
    let before = database
        .value("select 't'::regclass::oid || ' ' || relacl::text from pg_class where oid = 't'::regclass")
        .await;
    let to = || command(json!({"table": "t", "write_mode": "replace"}));
    let answer = flight.put(to(), &[people(&[5, 6, 7], "new")]).await.unwrap();
    assert_eq!(
        (answer["rows"].clone(), answer["affected"].clone()),
        (json!(3), json!(3))
    );
    assert_eq!(names(&database).await, "5new 6new 7new");
    assert_eq!(database.value("select count(*) || min(name) from v").await, "3new");
    assert_eq!(
        database
            .value("select min(extra) || obj_description('t'::regclass) from t")
            .await,
        "7kept"
    );
    assert_eq!(
        database
            .value("select count(*) from pg_indexes where tablename = 't'")
            .await,
        "2"
    );
    let after = database
        .value("select 't'::regclass::oid || ' ' || relacl::text from pg_class where oid = 't'::regclass")
        .await;
    assert_eq!(before, after);
    // A failed load leaves what was there, whenever it fails.
    for bad in [people(&[8], "bad"), people(&[9, 9], "twice")] {
        flight.put(to(), &[people(&[10], "fine"), bad]).await.unwrap_err();
        assert_eq!(names(&database).await, "5new 6new 7new");
    }
    flight.put(to(), &[people(&[], "none")]).await.unwrap();
    assert_eq!(database.value("select count(*) from t").await, "0");
    database
        .execute("drop owned by replace_reader; drop role replace_reader")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_table_that_is_replaced_see_the_old_or_the_new_rows() {
    let (database, _server, mut flight) = start().await;
    let generation = |name: &str| {
        (0..20)
            .map(|n| people(&(n * 100..n * 100 + 100).collect::<Vec<_>>(), name))
            .collect::<Vec<_>>()
    };
    let to = || command(json!({"table": "t", "write_mode": "replace", "primary_key": ["id"]}));
    flight.put(to(), &generation("0")).await.unwrap();
    let reader = database.connect().await;
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && seen.last().is_none_or(|last| last != "2000:4-4") {
            let row = reader
                .query_one("select count(*) || ':' || min(name) || '-' || max(name) from t", &[])
                .await
                .unwrap();
            seen.push(row.get::<_, String>(0));
        }
        seen
    });
    for name in ["1", "2", "3", "4"] {
        flight.put(to(), &generation(name)).await.unwrap();
    }
    let seen = reading.await.unwrap();
    assert!(
        seen.iter()
            .all(|state| ["2000:0-0", "2000:1-1", "2000:2-2", "2000:3-3", "2000:4-4"].contains(&state.as_str())),
        "{seen:?}"
    );
    assert_eq!(seen.last().map(String::as_str), Some("2000:4-4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replace_that_cannot_empty_the_table_is_refused_before_the_first_row() {
    let (database, _server, mut flight) = start().await;
    database.execute("create table t (id bigint primary key, name text); create table c (t bigint references t); insert into t values (1, 'x')").await;
    let to = command(json!({"table": "t", "write_mode": "replace"}));
    let error = flight.put(to, &[people(&[2], "y")]).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error.message().contains("foreign keys of") && error.message().contains('c'),
        "{error}"
    );
    assert_eq!(names(&database).await, "1x");
}

fn synced(ids: &[i64], source: &str, second: i64) -> RecordBatch {
    let times = arrow::array::TimestampMicrosecondArray::from(vec![second * 1_000_000; ids.len()]).with_timezone("UTC");
    let sources: Vec<Option<&str>> = ids.iter().map(|_| Some(source)).collect();
    batch(vec![
        ("id", longs(ids.iter().copied())),
        ("_cq_source_name", texts(&sources)),
        ("_cq_sync_time", std::sync::Arc::new(times)),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_rows_go_only_when_the_stream_is_complete() {
    for commit in ["atomic", "batch"] {
        let (database, _server, mut flight) = start().await;
        let to = || {
            command(
                json!({"table": "t", "write_mode": "overwrite-delete-stale", "primary_key": ["id"], "commit": commit}),
            )
        };
        let ids = "select string_agg(id::text, ' ' order by id) from t";
        let mut first = messages(to(), &[synced(&[1, 2, 3], "a", 10), synced(&[4], "b", 10)]);
        first.push(metadata(r#"{"commit": {"rows": 4}}"#));
        flight.send(first).await.unwrap();
        // Without the word that everything came, nothing is deleted.
        let error = flight.put(to(), &[synced(&[1, 5], "a", 20)]).await.unwrap_err();
        assert!(error.message().contains("without a commit message"), "{error}");
        assert!(database.value(ids).await.starts_with("1 2 3 4"), "{commit}");
        let mut second = messages(to(), &[synced(&[1, 5], "a", 20)]);
        second.push(metadata(r#"{"commit": {"rows": 2}}"#));
        let answer = flight.send(second).await.unwrap().pop().unwrap();
        assert_eq!(answer["deleted"], 2, "{commit} {answer}");
        assert_eq!(
            database.value(ids).await,
            "1 4 5",
            "{commit}: rows of another source stay"
        );
        // A sync that began earlier must not judge the rows of a later one.
        let mut late = messages(to(), &[synced(&[6], "a", 15)]);
        late.push(metadata(r#"{"commit": {"rows": 1}}"#));
        let error = flight.send(late).await.unwrap_err();
        assert!(error.message().contains("from a newer sync"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_writers_with_reversed_keys_never_fail() {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 40}})).await;
    database
        .execute("create table t (id bigint primary key, name text, other bigint unique)")
        .await;
    let writers = (0..32).map(|writer: i64| {
        let server = server.http();
        tokio::spawn(async move {
            let mut flight = Flight::reach(&server).await;
            let mut ids: Vec<i64> = (0..200).collect();
            if writer % 2 == 1 {
                ids.reverse();
            }
            for round in 0..4 {
                let to = command(json!({"table": "t", "write_mode": "overwrite", "commit": "batch", "batch_size": 50}));
                flight
                    .put(to, &[people(&ids, &format!("w{writer}r{round}"))])
                    .await
                    .unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(
        database
            .value("select count(*) || '/' || count(distinct name) from t")
            .await
            .split('/')
            .next(),
        Some("200")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_migrate_and_delete_as_their_bodies_say() {
    let (database, _server, mut flight) = start().await;
    let mut bytes = Vec::new();
    let schema = people(&[], "").schema();
    arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &schema)
        .unwrap()
        .finish()
        .unwrap();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
    let body = |dry: bool| json!({"table": "t", "arrow_schema": encoded, "primary_key": ["id"], "dry_run": dry});
    let report = flight.act("pgflight.migrate", body(true)).await.unwrap();
    assert_eq!(
        (report["applied"].clone(), report["steps"].as_array().map(Vec::len)),
        (json!(false), Some(1)),
        "{report}"
    );
    assert_eq!(database.value("select to_regclass('t') is null").await, "t");
    assert_eq!(
        flight.act("pgflight.migrate", body(false)).await.unwrap()["created"],
        true
    );
    flight
        .put(
            command(json!({"table": "t"})),
            &[people(&[1, 2, 3], "a"), people(&[4, 5], "b")],
        )
        .await
        .unwrap();
    let records = json!({"table": "t", "where": [{"any": {"id": 1, "name": "b"}}]});
    assert_eq!(
        flight.act("pgflight.delete_records", records).await.unwrap(),
        json!({"deleted": 3})
    );
    assert_eq!(names(&database).await, "2a 3a");
    flight
        .put(
            command(json!({"table": "s", "primary_key": ["id"]})),
            &[synced(&[1, 2], "x", 10), synced(&[3], "y", 10)],
        )
        .await
        .unwrap();
    let stale = json!({"table": "s", "source_name": "x", "sync_time": "1970-01-01T00:00:11Z"});
    assert_eq!(
        flight.act("pgflight.delete_stale", stale).await.unwrap(),
        json!({"deleted": 2})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_every_row_is_asked_for_in_so_many_words() {
    let (database, _server, mut flight) = start().await;
    let to = command(json!({"table": "t"}));
    flight.put(to, &[people(&[2, 3], "a")]).await.unwrap();
    for (body, says) in [
        (json!({"table": "t"}), "no condition"),
        (json!({"table": "t", "where": []}), "no condition"),
        (json!({"table": "t", "where": [], "all": false}), "no condition"),
        (
            json!({"table": "t", "where": [{"all": {"id": 2}}], "all": true}),
            "send one of them",
        ),
        (json!({"table": "t", "where": [{"all": {}}]}), "condition"),
        (json!({"table": "t", "where": [{"any": {}}]}), "condition"),
    ] {
        let error = flight.act("pgflight.delete_records", body).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::InvalidArgument, "{error}");
        assert!(error.message().contains(says), "{error}");
    }
    assert_eq!(names(&database).await, "2a 3a", "nothing went by mistake");
    let all = json!({"table": "t", "all": true});
    assert_eq!(
        flight.act("pgflight.delete_records", all).await.unwrap(),
        json!({"deleted": 2})
    );
}
