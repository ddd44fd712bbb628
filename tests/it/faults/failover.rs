//! F6, F7, F8: transactions that Postgres itself loses or moves. Rows and position go back together, and that is said.

use std::io::Write;
use std::time::Duration;

use tonic::{Code, Status};

use super::ROWS;
use super::streams::{create_tables, next_seq, part};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::feed::{Tap, feed};
use crate::support::flight::{Flight, reason};
use crate::support::oracle::Oracle;
use crate::support::process::Process;
use crate::support::standby::Standby;

const WRITE: &str = "append";

/// The same put with the number that the client saw acknowledged.
async fn resume(flight: &Flight, from: u64, acked: u64) -> Result<serde_json::Value, Status> {
    let flight = flight.clone().with_header("pgflight-acked-seq", &acked.to_string());
    feed(flight, part(WRITE, "s", from, Some(2)), Tap::default())
        .await
        .result
}

#[track_caller]
fn regressed(result: Result<serde_json::Value, Status>) {
    let error = result.expect_err("acknowledged chunks are gone");
    assert_eq!(
        (error.code(), reason(&error)),
        (Code::DataLoss, "OFFSET_REGRESSED"),
        "{error:?}"
    );
}

/// Loads some chunks and returns the number after the last one.
async fn load(flight: &Flight, from: u64, oracle: &mut Oracle) -> u64 {
    let fed = feed(flight.clone(), part(WRITE, "s", from, Some(4)), Tap::default()).await;
    assert!(fed.result.is_ok(), "{}", fed.ending());
    fed.tell(oracle);
    fed.sent
}

/// F6: `synchronous_commit=off` and a crash before the WAL reached the disk.
#[tokio::test(flavor = "multi_thread")]
async fn acks_of_an_asynchronous_commit_say_so_and_their_loss_is_reported() {
    let settings = [
        "synchronous_commit=off",
        "wal_writer_delay=10s",
        // With 0 every commit wakes the writer.
        "wal_writer_flush_after=1GB",
        "autovacuum=off",
    ];
    let mut cluster = Cluster::private(&Options {
        settings: settings.map(str::to_owned).to_vec(),
        ..Options::default()
    });
    let mut database = Database::create_in(&cluster).await;
    create_tables(&database).await;
    let process = Process::start(database.uri(), &[]).await;
    let mut flight = Flight::reach(&process.http()).await;
    let mut kept = Oracle::of(WRITE);
    let safe = load(&flight, 0, &mut kept).await;
    database.execute("checkpoint").await;
    let fed = feed(flight.clone(), part(WRITE, "s", safe, Some(4)), Tap::default()).await;
    assert!(fed.result.is_ok(), "{}", fed.ending());
    // The first of them tells of earlier calls.
    assert!(fed.answers.len() > 1, "{:?}", fed.answers);
    for answer in &fed.answers {
        assert_eq!(answer["durable"], false, "{answer}");
    }
    cluster.crash();
    cluster.start();
    database.reconnect().await;
    let next = next_seq(&mut flight, "s").await;
    assert!(
        (safe..fed.sent).contains(&next),
        "A10 nothing was lost: {next} of {}",
        fed.sent
    );
    for seq in safe..fed.sent {
        kept.sent("s", seq, ROWS);
    }
    kept.assert_holds(&database, "what was flushed is there").await;
    regressed(resume(&flight, fed.sent, fed.sent - 1).await);
    let healed = feed(flight, part(WRITE, "s", next, Some(8 - next)), Tap::default()).await;
    healed.tell(&mut kept);
    kept.acked_through("s", 7);
    kept.assert_holds(&database, "sent again from the position that Postgres has")
        .await;
}

/// The standby follows no more: what comes from now on is only on the primary.
pub(super) async fn cut_off(standby: &Standby, primary: &Database) {
    let uri = format!("postgresql://postgres@127.0.0.1:{}/postgres", standby.port);
    let (client, connection) = tokio_postgres::connect(&uri, tokio_postgres::NoTls)
        .await
        .expect("a hot standby");
    tokio::spawn(connection);
    client
        .execute("alter system set primary_conninfo = ''", &[])
        .await
        .expect("a superuser");
    client
        .execute("select pg_reload_conf()", &[])
        .await
        .expect("a superuser");
    while primary.value("select count(*) from pg_stat_replication").await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// F7 and F8. A client acked by a primary whose standby was behind learns of the loss; with a synchronous standby there is
/// none. The old primary comes back as a standby, and the pool stays with the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_moves_the_service_and_a_loss_is_reported() {
    for synchronous in [false, true] {
        let settings = if synchronous {
            vec!["synchronous_standby_names=*".to_owned()]
        } else {
            Vec::new()
        };
        let mut cluster = Cluster::private(&Options {
            settings,
            ..Options::default()
        });
        let alone = "alter system set synchronous_standby_names = ''";
        let standby = Standby::of(&cluster);
        let database = Database::create_in(&cluster).await;
        create_tables(&database).await;
        let uri = format!(
            "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
            cluster.address().port,
            standby.port,
            database.name()
        );
        let process = Process::start(&uri, &[]).await;
        let mut flight = Flight::reach(&process.http()).await;
        let mut oracle = Oracle::of(WRITE);
        let before = load(&flight, 0, &mut oracle).await;
        // The standby has these.
        let behind = "select coalesce(bool_and(replay_lsn = pg_current_wal_lsn()), false) from pg_stat_replication";
        while database.value(behind).await != "t" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut after = before;
        if !synchronous {
            cut_off(&standby, &database).await;
            after = load(&flight, before, &mut Oracle::of(WRITE)).await;
        }
        cluster.crash();
        standby.promote();
        let database = database.moved_to(standby.port).await;
        database.execute(alone).await;
        database.execute("select pg_reload_conf()").await;
        let next = next_seq(&mut flight, "s").await;
        assert_eq!(next, before, "synchronous: {synchronous}");
        if !synchronous {
            regressed(resume(&flight, after, after - 1).await);
        }
        oracle.assert_holds(&database, "after the failover").await;
        // F8: the old primary is back and takes no writes.
        let settings = cluster.address().data_dir.join("postgresql.auto.conf");
        let mut settings = std::fs::OpenOptions::new()
            .append(true)
            .open(settings)
            .expect("root, or the owner");
        settings
            .write_all(b"default_transaction_read_only = on\n")
            .expect("the cluster is down");
        cluster.start();
        process_goes_on(&mut flight, next, &mut oracle, &database).await;
    }
}

async fn process_goes_on(flight: &mut Flight, from: u64, oracle: &mut Oracle, database: &Database) {
    let end = load(flight, from, oracle).await;
    assert_eq!(next_seq(flight, "s").await, end);
    oracle.assert_holds(database, "after the old primary came back").await;
}
