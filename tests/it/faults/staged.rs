//! F33: rows that are staged and not merged yet when Postgres dies or another server takes over. They are gone then, so the
//! load starts again from what it kept, or ends with an error and nothing in the table; never is there a part of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::Code;

use super::{MODES, Mode, Scene, endless, oracle_for, put};
use crate::support::chaos::Point;
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::feed::{Tap, feed};
use crate::support::flight::Flight;
use crate::support::oracle;
use crate::support::process::Process;
use crate::support::standby::Standby;

/// How many of our transactions have copied rows into a staging table and wait for more. (The table itself cannot be seen:
/// its transaction has created it.)
const STAGED: &str = "select count(*) from pg_stat_activity where datname = current_database() \
                      and state = 'idle in transaction' and query like 'copy pg\\_temp.%'";

/// Modes that stage the rows of a whole stream.
fn staging() -> impl Iterator<Item = Mode> {
    MODES.into_iter().filter(|mode| mode.atomic() && mode.write != "append")
}

/// So little that a load of a hundred chunks is not kept.
fn little_memory() -> Value {
    json!({"limits": {"max_inflight_bytes": 2 << 20, "max_message_bytes": 1 << 20}})
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_rows_that_a_crash_of_postgres_took_are_sent_again_or_nothing_is_there() {
    let mut cluster = Cluster::private(&Options::default());
    for mode in staging() {
        for kept in [true, false] {
            let settings = if kept { json!({}) } else { little_memory() };
            let scene = Scene::over(Database::create_in(&cluster).await, settings).await;
            let Scene {
                mut database,
                server,
                proxy,
            } = scene;
            let mut oracle = oracle_for(mode);
            let mut flight = Flight::connect(&server).await;
            // Into an empty table rows would go without staging.
            put(&mut flight, mode, &mut oracle, "before", 2).await.unwrap();
            let tap = Tap::default();
            let load = tokio::spawn(feed(flight.clone(), endless(mode, "staged"), tap.clone()));
            // A chunk is of about 15 kB, and half a MiB of them is kept.
            let before = proxy.passed(Point::CopyAnswer);
            let deadline = Instant::now() + Duration::from_secs(60);
            while proxy.passed(Point::CopyAnswer) - before < if kept { 6 } else { 90 } {
                assert!(Instant::now() < deadline, "A10 {mode:?}: too little was staged");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            database.wait_for(&format!("select ({STAGED}) = 1")).await;
            cluster.crash();
            cluster.start();
            database.reconnect().await;
            tap.close();
            let fed = load.await.unwrap();
            fed.tell(&mut oracle);
            let context = format!("{mode:?}, kept: {kept}: {}", fed.ending());
            match &fed.result {
                Ok(_) => assert!(kept, "{context}"),
                Err(status) => {
                    assert!(!kept, "{context}");
                    assert_eq!(status.code(), Code::Unavailable, "{context}");
                    assert!(status.message().contains("nothing of the load is stored"), "{context}");
                }
            }
            oracle.assert_holds(&database, &context).await;
            put(&mut flight, mode, &mut oracle, "after", 2).await.expect("it heals");
            oracle.assert_holds(&database, &context).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn staged_rows_are_sent_again_to_the_server_that_takes_over() {
    let mut cluster = Cluster::private(&Options {
        settings: vec!["synchronous_standby_names=*".to_owned()],
        ..Options::default()
    });
    let standby = Standby::of(&cluster);
    let database = Database::create_in(&cluster).await;
    for mode in staging() {
        database.execute(&mode.create_table()).await;
    }
    let uri = format!(
        "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
        cluster.address().port,
        standby.port,
        database.name()
    );
    let process = Process::start(&uri, &[]).await;
    let mut loads = Vec::new();
    for mode in staging() {
        let mut oracle = oracle_for(mode);
        let mut flight = Flight::reach(&process.http()).await;
        put(&mut flight, mode, &mut oracle, "before", 2).await.unwrap();
        let tap = Tap::default();
        let load = tokio::spawn(feed(flight, endless(mode, "staged"), tap.clone()));
        loads.push((mode, oracle, tap, load));
    }
    database.wait_for(&format!("select ({STAGED}) = {}", loads.len())).await;
    cluster.crash();
    standby.promote();
    let database = database.moved_to(standby.port).await;
    database
        .execute("alter system set synchronous_standby_names = ''")
        .await;
    database.execute("select pg_reload_conf()").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut ended = Vec::new();
    for (mode, mut oracle, tap, load) in loads {
        tap.close();
        let fed = load.await.unwrap();
        fed.tell(&mut oracle);
        ended.push((mode, oracle, fed));
    }
    for (mode, oracle, fed) in ended {
        assert!(fed.result.is_ok(), "{mode:?}: {}", fed.ending());
        oracle
            .assert_holds(&database, &format!("{mode:?}: {}", fed.ending()))
            .await;
    }
    assert_eq!(oracle::leftovers(&database).await, Vec::<String>::new());
}
