//! COMMITs whose answer is lost while the server forgets, moves or is slow: what was acknowledged is there, and what was run again
//! is there once. Numbers of transactions that a crash lost are given to others here, as they are in life.

use std::time::{Duration, Instant};

use serde_json::json;

use super::failover::cut_off;
use super::{MODES, Mode, Scene, oracle_for, put};
use crate::support::chaos::{Deed, Point, Proxy, Shape};
use crate::support::cluster::{Cluster, Options, versions};
use crate::support::database::Database;
use crate::support::flight::Flight;
use crate::support::process::{Signal, send};
use crate::support::server::Server;
use crate::support::standby::Standby;

/// Settings with which nothing reaches the disk but by a COMMIT. Without `fsync` that is the kernel's memory, which outlives a killed
/// process, and Postgres comes back at once.
const NOTHING_BY_ITSELF: [&str; 7] = [
    "wal_writer_delay=10s",
    "wal_writer_flush_after=1GB",
    "autovacuum=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "checkpoint_timeout=1h",
    "fsync=off",
];

pub(super) fn cluster(version: u16, more: &[&str]) -> Cluster {
    let settings = NOTHING_BY_ITSELF.iter().chain(more).map(|it| (*it).to_owned());
    Cluster::private(&Options {
        version: Some(version),
        settings: settings.collect(),
        ..Options::default()
    })
}

/// With a second session the service asks before Postgres has ended that one, too, and by that brings to the disk what is to be lost.
pub(super) fn one_session() -> serde_json::Value {
    json!({"pool": {"max_size": 1}})
}

/// Our session that is in a transaction: its process and the transaction's number.
///
/// Asked in a transaction that does not end: the end of one that only tidied a page would send what is in memory to the disk.
pub(super) async fn busy(database: &Database) -> (u32, u64) {
    database.execute("begin").await;
    let question = "select pid, backend_xid from pg_stat_activity where datname = current_database() \
                    and application_name like 'pgflight%' and backend_xid is not null";
    let lines = database.lines(question).await;
    let (pid, xid) = lines[0].split_once('|').expect("two columns");
    (pid.parse().expect("a pid"), xid.parse().expect("a number"))
}

pub(super) async fn fired(proxy: &Proxy, faults: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while proxy.fired().len() < faults {
        assert!(Instant::now() < deadline, "A10 nothing fired:\n{}", proxy.trace());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) fn refuse(proxy: &Proxy, refuse: bool) {
    proxy.shape(Shape {
        refuse,
        ..Shape::default()
    });
}

/// Kills the server process; Postgres ends all other sessions and forgets what did not reach the disk.
pub(super) async fn kill(pid: u32, database: &mut Database) {
    send(Signal::Kill, pid);
    // It ends this session as well, as soon as it has seen it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while database.client().batch_execute("select 1").await.is_ok() {
        assert!(
            Instant::now() < deadline,
            "Postgres does not mind that {pid} was killed"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    database.reconnect().await;
}

/// Commits transactions until one had that number; whether it was handed out again.
pub(super) async fn burn(database: &Database, until: u64) -> bool {
    let mut first = None;
    loop {
        let xid: u64 = database
            .value("select pg_current_xact_id()")
            .await
            .parse()
            .expect("a number");
        let first = *first.get_or_insert(xid);
        if xid >= until {
            return first <= until;
        }
    }
}

async fn held(scene: &mut Scene, at: Point) -> bool {
    fired(&scene.proxy, 1).await;
    let (pid, xid) = match at {
        Point::Commit => busy(&scene.database).await,
        // It is over: the session waits for us, and its number is the last one.
        _ => {
            let last = "select pid, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1 from pg_stat_activity \
                        where datname = current_database() and application_name like 'pgflight%' \
                        order by query_start desc limit 1";
            scene.database.execute("begin").await;
            let line = scene.database.lines(last).await;
            let (pid, xid) = line[0].split_once('|').expect("two columns");
            (pid.parse().expect("a pid"), xid.parse().expect("a number"))
        }
    };
    refuse(&scene.proxy, true);
    kill(pid, &mut scene.database).await;
    let again = burn(&scene.database, xid).await;
    refuse(&scene.proxy, false);
    again
}

/// One put whose COMMIT, or the answer to it, is held back until the server process was killed and its transaction's number given
/// to another one that committed.
async fn killed(cluster: &Cluster, mode: Mode, at: Point, creates: bool) {
    for _ in 0..5 {
        let mut scene = Scene::over(Database::create_in(cluster).await, one_session()).await;
        let mut oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        if creates {
            scene.database.execute(&format!("drop table {}", mode.table())).await;
        }
        put(&mut flight, mode, &mut oracle, "before", 1)
            .await
            .expect("it is taken");
        if creates {
            scene.database.execute(&format!("drop table {}", mode.table())).await;
            oracle = oracle_for(mode);
        }
        // What was there before stays there, also with asynchronous commits.
        scene.database.execute("checkpoint").await;
        scene.proxy.arm(at, 1, Deed::Mute);
        let putting = tokio::spawn(async move {
            let result = put(&mut flight, mode, &mut oracle, "lost", 1).await;
            (result, oracle)
        });
        let again = held(&mut scene, at).await;
        let (result, oracle) = putting.await.expect("a put's task");
        let context = format!("{mode:?} {at:?}: {result:?}\n{}", scene.proxy.trace());
        assert!(result.is_ok(), "{context}");
        oracle.assert_holds(&scene.database, &context).await;
        // An asynchronous commit sends whole pages of the log to the disk at once (before PostgreSQL 18), its number among them.
        if again || at != Point::Commit {
            return;
        }
    }
    panic!("A10 {mode:?}: the number was not handed out again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_crash_took_is_not_confused_with_another_that_got_its_number() {
    for &version in versions() {
        let cluster = cluster(version, &[]);
        for mode in MODES {
            killed(&cluster, mode, Point::Commit, false).await;
        }
        let append = MODES.into_iter().find(|mode| mode.atomic() && mode.write == "append");
        killed(&cluster, append.expect("one of them"), Point::Commit, true).await;
    }
}

/// With `synchronous_commit = off` Postgres forgets what it had committed: rows and proof go together.
#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_commit_that_a_crash_took_back_is_run_again_while_its_put_waits() {
    for &version in versions() {
        let cluster = cluster(version, &["synchronous_commit=off"]);
        for mode in MODES {
            killed(&cluster, mode, Point::CommitAnswer, false).await;
        }
    }
}

/// The COMMIT itself comes before, right after, or at any time around the question whether it came: it fails then, or it counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_comes_after_it_was_asked_about_fails_or_counts_and_never_both() {
    let asked = "select count(*) > 0 from pgflight.last_commit where void";
    for mode in MODES {
        // With one session there is none left that could ask while connections are refused.
        let scene = Scene::set_with(one_session()).await;
        let mut oracle = oracle_for(mode);
        put(&mut scene.client().await, mode, &mut oracle, "first", 1)
            .await
            .unwrap();
        for (case, late) in ["before", "after", "around", "around", "around"]
            .into_iter()
            .enumerate()
        {
            scene
                .database
                .execute("delete from pgflight.last_commit where void")
                .await;
            let stream = format!("{case}");
            scene.proxy.arm(Point::Commit, 1, Deed::Strand);
            refuse(&scene.proxy, late == "before");
            let mut flight = scene.client().await;
            let (mut told, context) = (oracle, format!("{mode:?} {late}"));
            let putting = tokio::spawn(async move {
                let result = put(&mut flight, mode, &mut told, &stream, 2).await;
                (result, told)
            });
            fired(&scene.proxy, case + 1).await;
            match late {
                "before" => {}
                "after" => scene.database.wait_for(asked).await,
                _ => tokio::time::sleep(Duration::from_millis(fastrand::u64(..40))).await,
            }
            // The reset of the client has to be seen first, or nobody has anything to deliver.
            let mut answers = Vec::new();
            while answers.is_empty() {
                answers = scene.proxy.deliver_stranded().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            refuse(&scene.proxy, false);
            let (result, told) = putting.await.expect("a put's task");
            oracle = told;
            let context = format!("{context} {answers:?}: {result:?}\n{}", scene.proxy.trace());
            assert!(result.is_ok(), "{context}");
            match late {
                "before" => assert!(answers[0].ends_with("COMMIT"), "{context}"),
                "after" => assert!(!answers[0].ends_with("COMMIT"), "{context}"),
                _ => {}
            }
            oracle.assert_holds(&scene.database, &context).await;
        }
    }
}

/// The answer to a COMMIT is lost with its server, and a standby takes over that has the transaction, or has not.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_tells_what_became_of_a_commit() {
    for has_it in [true, false] {
        let mut cluster = Cluster::private(&Options::default());
        let standby = Standby::of(&cluster);
        let second = Proxy::start(([127, 0, 0, 1], standby.port).into()).await;
        let second_at = second.http();
        let second_at = second_at.strip_prefix("http://").expect("an address");
        let database = Database::create_in(&cluster).await;
        let mut scenes = Vec::new();
        for mode in MODES {
            database.execute(&mode.create_table()).await;
            let (proxy, uri) = Proxy::before(database.uri()).await;
            let (_, rest) = uri.split_once('@').expect("a user");
            let (address, name) = rest.split_once('/').expect("a database");
            let uri = format!("postgresql://postgres@{address},{second_at}/{name}?target_session_attrs=read-write");
            let server = Server::start_with(&uri, json!({})).await;
            let mut oracle = oracle_for(mode);
            let mut flight = Flight::connect(&server).await;
            put(&mut flight, mode, &mut oracle, "before", 1)
                .await
                .expect("it is taken");
            scenes.push((mode, proxy, server, oracle, flight));
        }
        let caught_up = "select coalesce(bool_and(replay_lsn = pg_current_wal_lsn()), false) from pg_stat_replication";
        database.wait_for(caught_up).await;
        if !has_it {
            cut_off(&standby, &database).await;
        }
        let mut puts = Vec::new();
        for (mode, proxy, server, mut oracle, mut flight) in scenes {
            proxy.arm(Point::CommitAnswer, 1, Deed::Mute);
            let putting = tokio::spawn(async move {
                let result = put(&mut flight, mode, &mut oracle, "lost", 1).await;
                (result, oracle)
            });
            fired(&proxy, 1).await;
            puts.push((mode, proxy, server, putting));
        }
        let last = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1";
        let last: u64 = database.value(last).await.parse().expect("a number");
        if has_it {
            database.wait_for(caught_up).await;
        }
        refuse(&second, true);
        cluster.crash();
        standby.promote();
        let database = database.moved_to(standby.port).await;
        assert_eq!(
            burn(&database, last).await,
            !has_it,
            "A10 numbers that the standby does not know"
        );
        refuse(&second, false);
        for (mode, proxy, server, putting) in puts {
            let (result, oracle) = putting.await.expect("a put's task");
            let context = format!("{mode:?} has it: {has_it}: {result:?}\n{}", proxy.trace());
            assert!(result.is_ok(), "{context}");
            oracle.assert_holds(&database, &context).await;
            drop(server);
        }
    }
}

/// A session of the same role that got the number of a transaction whose connection was lost is nobody's to end.
#[tokio::test(flavor = "multi_thread")]
async fn an_innocent_session_that_got_the_number_of_a_lost_transaction_is_left_alone() {
    for &version in versions() {
        let cluster = cluster(version, &["log_statement=all"]);
        let mut met = false;
        while !met {
            let mut scene = Scene::over(Database::create_in(&cluster).await, one_session()).await;
            let mode = MODES[0];
            let mut oracle = oracle_for(mode);
            let mut flight = scene.client().await;
            put(&mut flight, mode, &mut oracle, "before", 1)
                .await
                .expect("it is taken");
            let looks = |log: &str| log.matches("pg_terminate_backend").count();
            let read = || std::fs::read_to_string(&cluster.address().log).expect("the server's log");
            let before = looks(&read());
            scene.proxy.arm(Point::CopyDone, 1, Deed::Mute);
            let putting = tokio::spawn(async move {
                let result = put(&mut flight, mode, &mut oracle, "lost", 1).await;
                (result, oracle)
            });
            fired(&scene.proxy, 1).await;
            let (pid, xid) = busy(&scene.database).await;
            refuse(&scene.proxy, true);
            kill(pid, &mut scene.database).await;
            let innocent = scene.database.connect().await;
            let mut got = 0;
            while got < xid {
                innocent.batch_execute("commit; begin").await.unwrap();
                let row = innocent
                    .query_one("select pg_current_xact_id()::text", &[])
                    .await
                    .unwrap();
                got = row.get::<_, String>(0).parse().unwrap();
            }
            // Now and then a number of before the crash is on the disk, and those after it are not given again.
            met = got == xid;
            refuse(&scene.proxy, false);
            let (result, oracle) = putting.await.expect("a put's task");
            assert!(result.is_ok(), "{result:?}");
            let deadline = Instant::now() + Duration::from_secs(30);
            while looks(&read()) == before {
                assert!(Instant::now() < deadline, "A10 nobody looked for the lost session");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let spared = innocent.batch_execute("select 1; commit").await;
            assert!(spared.is_ok(), "an innocent session was ended: {spared:?}");
            oracle.assert_holds(&scene.database, "after the loss").await;
        }
    }
}
