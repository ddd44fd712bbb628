//! F10, F11, F13, F14: other transactions, other sessions and other people's locks in the way.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, ROWS, SYNC_TIME, Scene, oracle_for, put};
use crate::support::chaos::Point;
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::flight::{Flight, command};
use crate::support::oracle::{self, Oracle};

const OVERWRITES: [Mode; 2] = [MODES[2], MODES[3]];

/// Sessions that wait for a lock.
const WAITS: &str =
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";

/// The chunks of stream `s`, in order or backwards, rows too.
fn versions(mark: &str, chunks: u64, backwards: bool) -> Vec<RecordBatch> {
    let mut batches: Vec<RecordBatch> = (0..chunks)
        .map(|seq| oracle::marked_rows("s", seq, ROWS, mark))
        .collect();
    if backwards {
        batches.reverse();
        batches = batches.iter().map(reversed).collect();
    }
    batches
}

fn reversed(batch: &RecordBatch) -> RecordBatch {
    let rows = batch.num_rows() as u64;
    let order = arrow::array::UInt64Array::from_iter_values((0..rows).rev());
    arrow::compute::take_record_batch(batch, &order).expect("indices within the batch")
}

/// F10: 32 writers, the same keys, half of them in reversed order.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_writers_of_the_same_keys_in_both_orders_all_succeed() {
    for mode in OVERWRITES {
        let scene = Scene::set().await;
        let mut oracle = oracle_for(mode);
        for seq in 0..3 {
            oracle.sent("s", seq, ROWS);
        }
        let mut writers = Vec::new();
        for writer in 0..32 {
            let mut flight = scene.client().await;
            let batches = versions(&format!("{writer}-"), 3, writer % 2 == 1);
            writers.push(tokio::spawn(async move { flight.put(mode.to(ROWS), &batches).await }));
        }
        for writer in writers {
            let answer = writer
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("{mode:?}: {error}"));
            assert_eq!(answer["committed"], 3 * ROWS);
        }
        oracle.acked_through("s", 2);
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}

/// F10: a deadlock that Postgres has to break by ending our transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_lost_a_deadlock_is_written_again() {
    let mode = OVERWRITES[0];
    let scene = Scene::set().await;
    // Ours asks first and so looks for deadlocks first; the rival closes the circle before that.
    scene
        .database
        .execute("alter role current_user set deadlock_timeout = '600ms'")
        .await;
    let mut oracle = oracle_for(mode);
    put(&mut scene.client().await, mode, &mut oracle, "s", 1).await.unwrap();
    let rival = scene.database.connect().await;
    rival
        .batch_execute("set deadlock_timeout = '20s'; begin")
        .await
        .unwrap();
    let touch = |row: u64| format!("update overwrite_batch set payload = payload where row_no = {row}");
    rival.batch_execute(&touch(ROWS - 1)).await.unwrap();
    let mut flight = scene.client().await;
    let writing = tokio::spawn(async move { flight.put(mode.to(ROWS), &versions("new", 1, false)).await });
    scene.database.wait_for(&format!("select ({WAITS}) > 0")).await;
    rival
        .batch_execute(&touch(0))
        .await
        .expect("the victim is the one that looked first");
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    rival.batch_execute("commit").await.unwrap();
    let answer = writing.await.unwrap().expect("written again");
    assert_eq!(answer["committed"], ROWS);
    oracle.assert_holds(&scene.database, "deadlock").await;
    let new = "select count(*) from overwrite_batch where payload like 'new%'";
    assert_eq!(scene.database.value(new).await, ROWS.to_string());
    let deadline = Instant::now() + Duration::from_secs(60);
    while scene.database.value(deadlocks).await == "0" {
        assert!(Instant::now() < deadline, "A10 Postgres counted no deadlock");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene
        .database
        .execute("alter role current_user reset deadlock_timeout")
        .await;
}

/// A database whose transactions are serializable unless they say otherwise.
async fn serializable() -> Scene {
    let scene = Scene::set().await;
    let serializable = format!(
        "alter database {} set default_transaction_isolation = 'serializable'",
        scene.database.name()
    );
    scene.database.execute(&serializable).await;
    scene
}

/// F11: every transaction of ours is serializable, and others write the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_retried() {
    for mode in OVERWRITES {
        let scene = serializable().await;
        let mut oracle = oracle_for(mode);
        for seq in 0..4 {
            oracle.sent("s", seq, ROWS);
        }
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let http = scene.server.http();
                tokio::spawn(async move {
                    let mut flight = Flight::reach(&http).await;
                    flight
                        .put(mode.to(ROWS), &versions(&format!("{writer}-"), 4, false))
                        .await
                })
            })
            .collect();
        for writer in writers {
            writer
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("{mode:?}: {error}"));
        }
        oracle.acked_through("s", 3);
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}

/// F11, made certain: a rival commits a row while ours waits for it. (Rows that are only added or replaced meet nobody's.)
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_could_not_be_serialized_is_run_again() {
    for mode in MODES.into_iter().filter(|mode| mode.keyed()) {
        let scene = serializable().await;
        let mut oracle = oracle_for(mode);
        put(&mut scene.client().await, mode, &mut oracle, "s", 1).await.unwrap();
        let rival = scene.database.connect().await;
        let update = format!("begin; update {} set payload = 'rival' where row_no = 7", mode.table());
        rival.batch_execute(&update).await.unwrap();
        let before = scene.proxy.passed(Point::CopyInResponse);
        let mut newer = oracle::marked_rows("s", 0, ROWS, "new");
        if mode.sync() {
            newer = oracle::synced(&newer, SYNC_TIME);
        }
        let mut flight = scene.client().await;
        let writing = tokio::spawn(async move { flight.send(mode.messages(ROWS, &[newer])).await });
        scene.database.wait_for(&format!("select ({WAITS}) > 0")).await;
        rival.batch_execute("commit").await.unwrap();
        writing
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{mode:?}: {error}"));
        let copies = scene.proxy.passed(Point::CopyInResponse) - before;
        assert!(copies >= 2, "A10 {mode:?}: the rows were copied {copies} times");
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
        let new = format!("select count(*) from {} where payload like 'new%'", mode.table());
        assert_eq!(scene.database.value(&new).await, ROWS.to_string(), "{mode:?}");
    }
}

/// F13: every connection that Postgres allows is taken. It heals by itself when some become free.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_free_connections_is_waited_for_or_named_and_heals() {
    let cluster = Cluster::private(&Options {
        fast: true,
        settings: vec!["max_connections=12".to_owned()],
        ..Options::default()
    });
    let database = Database::create_in(&cluster).await;
    let scene = Scene::over(database, json!({"pool": {"acquire_timeout": "10s"}})).await;
    for mode in MODES {
        let mut oracle = oracle_for(mode);
        scene.proxy.reset_all();
        let mut rivals = Vec::new();
        while let Ok((client, connection)) = tokio_postgres::connect(scene.database.uri(), tokio_postgres::NoTls).await
        {
            tokio::spawn(connection);
            rivals.push(client);
        }
        assert!(rivals.len() > 3, "A10 {} rivals took the connections", rivals.len());
        let mut flight = scene.client().await;
        let freeing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            drop(rivals);
        });
        let first = put(&mut flight, mode, &mut oracle, "first", 2).await;
        if let Err(status) = &first {
            assert!(
                [Code::ResourceExhausted, Code::Unavailable].contains(&status.code()),
                "{status:?}"
            );
            assert!(status.message().contains("no free connection"), "{status:?}");
        }
        freeing.await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        put(&mut flight, mode, &mut oracle, "second", 2)
            .await
            .expect("it heals");
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}

/// F14: a long reader holds the table while a migration needs it. Others keep reading, the put ends in bounded time.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_behind_a_long_reader_holds_nobody_up_for_long() {
    let scene = Scene::set().await;
    let to = || command(json!({"table": "append_batch", "lock_timeout": "400ms", "commit": "batch"}));
    let old = oracle::rows("s", 0, ROWS);
    let mut flight = scene.client().await;
    flight.put(to(), std::slice::from_ref(&old)).await.unwrap();
    let reader = scene.database.connect().await;
    reader
        .batch_execute("begin; select count(*) from append_batch")
        .await
        .unwrap();
    let mut columns: Vec<_> = old
        .schema()
        .fields()
        .iter()
        .cloned()
        .zip(old.columns().iter().cloned())
        .collect();
    let extra = arrow::datatypes::Field::new("extra", arrow::datatypes::DataType::Utf8, true);
    columns.push((extra.into(), std::sync::Arc::clone(old.column(3))));
    let wider = columns
        .into_iter()
        .map(|(field, array)| (field.name().clone(), array, true));
    let wider = RecordBatch::try_from_iter_with_nullable(wider).unwrap();
    let (started, mut other) = (Instant::now(), scene.client().await);
    let migrating = tokio::spawn({
        let wider = wider.clone();
        async move { other.put(to(), &[wider]).await }
    });
    let mut longest = Duration::ZERO;
    while !migrating.is_finished() {
        let asked = Instant::now();
        scene.database.value("select count(*) from append_batch").await;
        longest = longest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = migrating.await.unwrap().expect_err("the lock is held");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(
        longest < Duration::from_millis(1_500),
        "a reader waited for {longest:?}"
    );
    assert!(
        [Code::Aborted, Code::DeadlineExceeded].contains(&error.code()),
        "{error:?}"
    );
    assert!(error.message().contains("append_batch"), "{error}");
    reader.batch_execute("commit").await.unwrap();
    flight.put(to(), &[wider]).await.expect("the lock is free");
    let both = "select count(*), count(extra) from append_batch";
    assert_eq!(scene.database.lines(both).await, [format!("{}|{ROWS}", 2 * ROWS)]);
    assert_eq!(oracle::leftovers(&scene.database).await, Vec::<String>::new());
}

/// F14: a lock on the rows' table that outlasts `lock_timeout` is named, and a shorter one is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_waited_for_and_then_named() {
    for mode in MODES {
        let scene = Scene::set_with(json!({"lock_timeout": "300ms", "retry_timeout": "3s"})).await;
        let mut oracle: Oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        let holder = scene.database.connect().await;
        let lock = format!("begin; lock table {} in exclusive mode", mode.table());
        holder.batch_execute(&lock).await.unwrap();
        let releasing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            holder.batch_execute("commit").await.unwrap();
            holder
        });
        put(&mut flight, mode, &mut oracle, "short", 2)
            .await
            .expect("the lock goes before the timeout");
        let holder = releasing.await.unwrap();
        if mode != MODES[0] {
            oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
            continue;
        }
        holder.batch_execute(&lock).await.unwrap();
        let started = Instant::now();
        let error = put(&mut flight, mode, &mut oracle, "long", 2)
            .await
            .expect_err("the lock stays");
        assert!(
            error.message().contains("55P03") && error.message().contains(&mode.table()),
            "{mode:?} {error}"
        );
        assert_eq!(error.code(), Code::Aborted, "{mode:?} {error}");
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        holder.batch_execute("commit").await.unwrap();
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}
