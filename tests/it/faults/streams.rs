//! Resumable streams under every fault: a client that asks where it stands and goes on from there loses and doubles
//! nothing, wherever the service, its connections or a writer died. F1, F2, F3, F5, F9.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;

use super::ROWS;
use crate::support::chaos::{Deed, Fault, Point, Proxy};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::feed::{Fed, Plan, Tap, feed};
use crate::support::flight::{Flight, command, reason};
use crate::support::oracle::{self, Oracle};
use crate::support::process::{Process, Signal};
use crate::support::seed::{Dice, Points};

/// Write modes that a stream can have chunk by chunk.
const WRITES: [&str; 2] = ["append", "overwrite"];
const CHUNKS: u64 = 6;
/// What every other session does.
const SESSIONS: &str = "select concat_ws(' ', pid, state, wait_event_type, wait_event, backend_xid, now() - xact_start, \
     pg_blocking_pids(pid)::text, left(query, 100)) from pg_stat_activity \
     where datname = current_database() and pid <> pg_backend_pid()";

/// A labelled put of a stream, from a sequence number on.
pub(super) fn part(write: &str, stream: &str, from: u64, chunks: Option<u64>) -> Plan {
    let mut options = json!({
        "table": write, "write_mode": write, "stream_id": stream, "batch_size": ROWS, "acks": "progress",
    });
    if write == "overwrite" {
        options["primary_key"] = json!(["stream_id", "seq", "row_no"]);
    }
    Plan {
        to: command(options),
        stream: stream.to_owned(),
        rows: ROWS,
        pace: Duration::from_millis(2),
        labels: true,
        sync: None,
        from,
        chunks,
    }
}

pub(super) async fn create_tables(database: &Database) {
    for write in WRITES {
        database
            .execute(&oracle::create_table(write, write == "overwrite"))
            .await;
    }
}

/// Where the service says that a stream stands; 0 for one that it does not know. Asked again while it is not reachable.
pub(super) async fn next_seq(flight: &mut Flight, stream: &str) -> u64 {
    for _ in 0..50 {
        let state = flight.act("pgflight.stream.status", json!({"stream_id": stream})).await;
        match state {
            Ok(state) => return state["next_seq"].as_u64().expect("a number"),
            Err(status) if status.code() == Code::NotFound => return 0,
            Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(status) => panic!("the status of a stream: {status:?}"),
        }
    }
    panic!("the status of stream {stream} cannot be had within 5 s");
}

/// One attempt to send what is missing up to `CHUNKS`.
async fn attempt(http: &str, write: &str, stream: &str, oracle: &mut Oracle) -> Fed {
    let mut flight = Flight::reach(http).await;
    let from = next_seq(&mut flight, stream).await;
    let fed = feed(flight, part(write, stream, from, Some(CHUNKS - from)), Tap::default()).await;
    fed.tell(oracle);
    fed
}

/// One attempt that meets a fault the second time its point is passed, and ends well all the same; what happened, for messages.
async fn heals(
    (proxy, process): (&Proxy, &Process),
    (at, deed): (Point, Deed),
    (write, stream): (&str, &str),
    oracle: &mut Oracle,
) -> String {
    let before = proxy.fired().len();
    proxy.arm(at, 2, deed);
    let fed = attempt(&process.http(), write, stream, oracle).await;
    let context = format!("{write} {at:?} {deed:?}: {}\n{}", fed.ending(), proxy.trace());
    assert_eq!(proxy.fired().len(), before + 1, "A10 {context}");
    assert!(fed.result.is_ok(), "{context}");
    context
}

/// A random fault, half of the time at one of the messages around a commit.
fn aim(dice: &mut Dice) -> Fault {
    let deed = dice.pick(&[
        Deed::Cut,
        Deed::DeliverThenCut,
        Deed::SwallowThenCut(Duration::from_millis(20)),
        Deed::LeaveZombie,
    ]);
    let around = [
        Point::Commit,
        Point::CommitAnswer,
        Point::ReadyAfterCommit,
        Point::CopyAnswer,
    ];
    match dice.number(0..2) {
        0 => Fault {
            at: Point::AnyMessage,
            nth: dice.number(1..70),
            deed,
        },
        _ => Fault {
            at: dice.pick(&around),
            nth: dice.number(1..=CHUNKS),
            deed,
        },
    }
}

/// F1, F2, F5: the connection to Postgres dies at any message; the service resolves it or the client resumes.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_stream_survives_a_connection_that_dies_at_any_message() {
    let mut dice = Dice::throw("streams, any message");
    let database = Database::create().await;
    create_tables(&database).await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let process = Process::start(&uri, &[]).await;
    let (mut attempts, mut rounds) = (0, 0);
    let mut oracles = WRITES.map(Oracle::of);
    for round in Points::short(40).rounds() {
        rounds += 1;
        let which = usize::try_from(round).unwrap() % WRITES.len();
        let (write, oracle) = (WRITES[which], &mut oracles[which]);
        let Fault { at, nth, deed } = aim(&mut dice);
        proxy.arm(at, nth, deed);
        let stream = format!("{round}");
        let mut endings = Vec::new();
        loop {
            let fed = attempt(&process.http(), write, &stream, oracle).await;
            attempts += 1;
            endings.push(fed.ending());
            if fed.result.is_ok() {
                break;
            }
            if endings.len() == 10 {
                let sessions = database.lines(SESSIONS).await.join("\n");
                panic!(
                    "seed {}, round {round}: {write}, {at:?} {nth}, {deed:?}: it never ends well: {endings:?}\n{sessions}\n{}\n{}",
                    dice.seed,
                    proxy.trace(),
                    process.log()
                );
            }
        }
        proxy.disarm();
        proxy.bury_zombies();
        let faults = oracle.faults(&database).await;
        let context = format!(
            "seed {}, round {round}: {write}, {at:?} {nth}, {deed:?}: {endings:?}",
            dice.seed
        );
        assert!(faults.is_empty(), "{context}\n{}\n{}", faults.join("\n"), proxy.trace());
    }
    let fired = proxy.fired().len();
    println!(
        "{rounds} rounds, {fired} faults fired, {attempts} attempts, {} chunks",
        oracles.iter().map(Oracle::chunks).sum::<usize>()
    );
    assert!(fired > 0, "A10 no fault fired");
    for (write, oracle) in WRITES.iter().zip(&oracles) {
        oracle
            .assert_holds(&database, &format!("seed {}: {write}", dice.seed))
            .await;
        let whole = format!("select count(*) from {write}");
        assert_eq!(
            database.value(&whole).await,
            (oracle.chunks() as u64 * ROWS).to_string()
        );
    }
}

/// F1: our process is killed at random; the client resumes against the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_stream_survives_a_service_that_is_killed_at_any_moment() {
    let mut dice = Dice::throw("streams, killed service");
    let database = Database::create().await;
    create_tables(&database).await;
    let mut process = Process::start(database.uri(), &[]).await;
    let mut oracles = WRITES.map(Oracle::of);
    let (mut kills, wanted, mut round) = (0, Points::short(16), 0);
    while wanted.left(kills) {
        let which = usize::try_from(round).unwrap() % WRITES.len();
        let (write, oracle, stream) = (WRITES[which], &mut oracles[which], format!("{round}"));
        round += 1;
        let mut longest = 30_000;
        loop {
            // Later each time, since a machine may be so slow that nothing ends before the usual kill.
            longest *= 2;
            let mut flight = Flight::reach(&process.http()).await;
            let from = next_seq(&mut flight, &stream).await;
            let load = tokio::spawn(feed(
                flight,
                part(write, &stream, from, Some(CHUNKS - from)),
                Tap::default(),
            ));
            tokio::time::sleep(Duration::from_micros(dice.number(0..longest))).await;
            let hit = !load.is_finished();
            if hit {
                process.kill();
                kills += 1;
            }
            let fed = load.await.unwrap();
            fed.tell(oracle);
            if hit {
                process.start_again().await;
                let context = format!("seed {}, kill {kills}, {write}: {}", dice.seed, fed.ending());
                oracle.assert_holds(&database, &context).await;
            }
            if fed.result.is_ok() {
                break;
            }
        }
    }
    println!("{kills} kills over {round} streams");
    for (write, oracle) in WRITES.iter().zip(&oracles) {
        let whole = format!("select count(*) from {write}");
        assert_eq!(
            database.value(&whole).await,
            (oracle.chunks() as u64 * ROWS).to_string(),
            "seed {}",
            dice.seed
        );
    }
}

/// F2: with a position stored beside the rows, a lost answer is resolved by the service itself: the put succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_commit_is_resolved_by_the_stored_position() {
    let lost = [
        (Point::Commit, Deed::Cut),
        (Point::Commit, Deed::DeliverThenCut),
        (Point::CommitAnswer, Deed::Cut),
        (Point::CommitAnswer, Deed::SwallowThenCut(Duration::from_millis(50))),
        (Point::ReadyAfterCommit, Deed::LeaveZombie),
    ];
    let database = Database::create().await;
    create_tables(&database).await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let process = Process::start(&uri, &[]).await;
    for write in WRITES {
        let mut oracle = Oracle::of(write);
        for (case, (at, deed)) in lost.into_iter().enumerate() {
            let stream = format!("{write} {case}");
            let context = heals((&proxy, &process), (at, deed), (write, &stream), &mut oracle).await;
            proxy.bury_zombies();
            oracle.assert_holds(&database, &context).await;
        }
    }
}

/// F5: what lies between the service and Postgres keeps its side of a lost connection open. The session there holds the
/// stream's row, in a COPY without any limit of Postgres' own, and the next try needs that row.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_outlives_its_connection_is_ended() {
    let left = [Point::CopyInResponse, Point::CopyData, Point::CopyAnswer];
    let database = Database::create().await;
    create_tables(&database).await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let process = Process::start(&uri, &[]).await;
    for write in WRITES {
        let mut oracle = Oracle::of(write);
        for at in left {
            let (stream, fault) = (format!("{write} {at:?}"), (at, Deed::LeaveZombie));
            let context = heals((&proxy, &process), fault, (write, &stream), &mut oracle).await;
            oracle.assert_holds(&database, &context).await;
        }
    }
    assert!(process.log().contains("ended a Postgres session"), "{}", process.log());
}

/// F5: nothing tells Postgres that our machine is gone, so its kernel has to ask. What the session is set to is written by
/// the session itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_vanished_is_noticed_within_a_minute() {
    let database = Database::create().await;
    create_tables(&database).await;
    for setting in ["idle", "interval", "count"] {
        let add = format!(
            "alter table append add column {setting} int not null default current_setting('tcp_keepalives_{setting}')::int"
        );
        database.execute(&add).await;
    }
    let process = Process::start(database.uri(), &[]).await;
    let fed = attempt(&process.http(), "append", "one", &mut Oracle::of("append")).await;
    assert!(fed.result.is_ok(), "{}", fed.ending());
    let longest = "select max(idle + interval * count) from append";
    assert_eq!(database.value(longest).await, "60");
}

/// F3: the old backend hangs in COMMIT, since a synchronous standby is away. The verdict waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_in_commit_is_waited_for_and_not_guessed_about() {
    let cluster = Cluster::private(&Options::default());
    let database = Database::create_in(&cluster).await;
    create_tables(&database).await;
    let (proxy, uri) = Proxy::before(database.uri()).await;
    let process = Process::start(&uri, &[]).await;
    for write in WRITES {
        let mut oracle = Oracle::of(write);
        let first = attempt(&process.http(), write, &format!("{write} before"), &mut oracle).await;
        assert!(first.result.is_ok(), "{}", first.ending());
        let standby = "alter system set synchronous_standby_names = 'nobody'";
        database.execute(standby).await;
        database.execute("select pg_reload_conf()").await;
        proxy.arm(Point::Commit, 1, Deed::LeaveZombie);
        let http = process.http();
        let stream = format!("{write} hung");
        let load = tokio::spawn(async move {
            let flight = Flight::reach(&http).await;
            feed(flight, part(write, &stream, 0, Some(3)), Tap::default()).await
        });
        let hanging = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        while database.value(hanging).await == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(
            !load.is_finished(),
            "nothing can be known while the old backend is in COMMIT"
        );
        database.execute("alter system reset synchronous_standby_names").await;
        database.execute("select pg_reload_conf()").await;
        let fed = load.await.unwrap();
        fed.tell(&mut oracle);
        proxy.bury_zombies();
        assert_eq!(proxy.fired().len(), 1 + usize::from(write == WRITES[1]), "A10");
        assert!(fed.result.is_ok(), "{write}: {}", fed.ending());
        oracle
            .assert_holds(&database, &format!("{write}: {}", fed.ending()))
            .await;
    }
}

/// F9: a replica of ours is paused in the middle of a stream, another one takes the stream over, the first one wakes up.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_replica_that_wakes_up_is_fenced() {
    let database = Database::create().await;
    create_tables(&database).await;
    let (zombie, heir) = (
        Process::start(database.uri(), &[]).await,
        Process::start(database.uri(), &[]).await,
    );
    for write in WRITES {
        let mut oracle = Oracle::of(write);
        let tap = Tap::default();
        let old = tokio::spawn(feed(
            Flight::reach(&zombie.http()).await,
            part(write, write, 0, None),
            tap.clone(),
        ));
        let started = format!("select count(*) from {write}");
        while database.value(&started).await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        zombie.signal(Signal::Stop);
        tokio::time::sleep(Duration::from_millis(300)).await;
        // A paused process may hold the stream's row in a transaction; then Postgres has to end it, as an operator would.
        database
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
                 and application_name = 'pgflight' and xact_start < now() - interval '0.1 s'",
            )
            .await;
        let mut flight = Flight::reach(&heir.http()).await;
        let from = next_seq(&mut flight, write).await;
        let new = feed(flight, part(write, write, from, Some(5)), Tap::default()).await;
        zombie.signal(Signal::Continue);
        let old = old.await.unwrap();
        old.tell(&mut oracle);
        new.tell(&mut oracle);
        assert!(new.result.is_ok(), "{write}: {}", new.ending());
        let error = old.result.as_ref().expect_err("the stream has another writer");
        assert_eq!(
            (error.code(), reason(error)),
            (Code::Aborted, "FENCED"),
            "{write}: {}",
            old.ending()
        );
        // Both sent chunks under the same numbers with the same rows, and the newer one ended before the older one.
        let end: Value = json!(new.sent);
        assert_eq!(
            json!(next_seq(&mut Flight::reach(&heir.http()).await, write).await),
            end
        );
        let there = format!("select count(*), count(distinct (seq, row_no)) from {write}");
        assert_eq!(database.lines(&there).await, [format!("{0}|{0}", new.sent * ROWS)]);
    }
}
