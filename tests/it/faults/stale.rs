//! F31: deletion of stale rows beside syncs that crash, come late or still run. Whatever happens, no row of the newest sync
//! is deleted, and nothing is deleted before all rows of a sync are committed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;

use super::ROWS;
use crate::support::database::Database;
use crate::support::feed::{Fed, Plan, Tap, feed};
use crate::support::flight::{Flight, command};
use crate::support::oracle;
use crate::support::process::Process;
use crate::support::seed::{Dice, Points};

const SOURCE: &str = "crm";
/// Chunks of a sync; each one brings a new chunk and has lost the oldest.
const WINDOW: u64 = 4;

/// How the syncs are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Atomic,
    Batch,
    /// A resumable stream per sync.
    Resumed,
}

async fn table() -> Database {
    let database = Database::create().await;
    database.execute(&oracle::create_table("t", true)).await;
    database.execute(&oracle::add_sync_columns("t")).await;
    database
}

fn seconds(sync: u64) -> i64 {
    i64::try_from(sync).expect("a small number") * 1_000_000
}

fn options(kind: Kind, sync: u64) -> Value {
    let mut options = json!({
        "table": "t", "write_mode": "overwrite-delete-stale", "primary_key": ["stream_id", "seq", "row_no"],
        "batch_size": ROWS, "acks": "progress", "commit": if kind == Kind::Atomic { "atomic" } else { "batch" },
    });
    if kind == Kind::Resumed {
        options["stream_id"] = json!(format!("sync {sync}"));
        options["source_name"] = json!(SOURCE);
        options["sync_time"] = json!(format!("1970-01-01T00:{:02}:{:02}Z", sync / 60, sync % 60));
    }
    options
}

/// The whole of a sync: chunks `sync..sync + WINDOW`. A resumable stream counts from 0 and so has all from the start on.
fn plan(kind: Kind, sync: u64) -> Plan {
    Plan {
        to: command(options(kind, sync)),
        stream: SOURCE.to_owned(),
        rows: ROWS,
        pace: Duration::from_millis(2),
        labels: kind == Kind::Resumed,
        sync: Some(seconds(sync)),
        from: if kind == Kind::Resumed { 0 } else { sync },
        chunks: Some(WINDOW),
    }
}

async fn run(http: &str, plan: Plan) -> Fed {
    feed(Flight::reach(http).await, plan, Tap::default()).await
}

fn chunks_of(kind: Kind, sync: u64) -> BTreeSet<u64> {
    let from = if kind == Kind::Resumed { 0 } else { sync };
    (from..from + WINDOW).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_killed_at_any_moment_deletes_nothing_before_it_is_complete() {
    for kind in [Kind::Atomic, Kind::Batch, Kind::Resumed] {
        let mut dice = Dice::throw(&format!("killed sync, {kind:?}"));
        let database = table().await;
        let mut process = Process::start(database.uri(), &[]).await;
        run(&process.http(), plan(kind, 1))
            .await
            .result
            .expect("the first sync");
        // Rows that only a source of another name could judge.
        let other =
            "insert into t (stream_id, seq, row_no, _cq_source_name, _cq_sync_time) values ('hr', 0, 0, 'hr', 'epoch')";
        database.execute(other).await;
        let (mut kills, wanted, mut sync) = (0, Points::short(5), 1);
        while wanted.left(kills) {
            sync += 1;
            let old = there_of_source(&database).await;
            let mut longest = 20_000;
            loop {
                // Later each time, since a machine may be so slow that nothing ends before the usual kill.
                longest *= 2;
                let (hit, fed) = try_once(&mut process, plan(kind, sync), dice.number(0..longest)).await;
                kills += u64::from(hit);
                let context = format!("seed {}, {kind:?}, sync {sync}: {}", dice.seed, fed.ending());
                judge(&database, kind, sync, &old, &context).await;
                if fed.result.is_ok() {
                    break;
                }
            }
            let now: BTreeSet<u64> = there_of_source(&database)
                .await
                .into_iter()
                .map(|(seq, _)| seq)
                .collect();
            assert_eq!(now, chunks_of(kind, sync), "seed {}, {kind:?}: sync {sync}", dice.seed);
            let others = database.value("select count(*) from t where stream_id = 'hr'").await;
            assert_eq!(others, "1", "seed {}, {kind:?}: sync {sync}", dice.seed);
            if kind == Kind::Resumed {
                // The next stream counts from 0 again: a chunk that it will not bring.
                let copy = format!(
                    "insert into t select stream_id, 99, row_no, payload, hash, _cq_source_name, _cq_sync_time \
                     from t where seq = 0 and stream_id = '{SOURCE}'"
                );
                database.execute(&copy).await;
            }
        }
        println!("{kind:?}: {kills} kills over {} syncs", sync - 1);
    }
}

/// Sends a sync, or what is missing of it, and kills the service meanwhile; whether that hit.
async fn try_once(process: &mut Process, mut plan: Plan, kill_after_micros: u64) -> (bool, Fed) {
    let mut flight = Flight::reach(&process.http()).await;
    if plan.labels {
        let sync = plan.sync.unwrap_or_default() / seconds(1);
        plan.from = super::streams::next_seq(&mut flight, &format!("sync {sync}")).await;
        plan.chunks = Some(WINDOW.saturating_sub(plan.from));
    }
    let load = tokio::spawn(feed(flight, plan, Tap::default()));
    tokio::time::sleep(Duration::from_micros(kill_after_micros)).await;
    let hit = !load.is_finished();
    if hit {
        process.kill();
    }
    let fed = load.await.expect("a feed does not panic");
    if hit {
        process.start_again().await;
    }
    (hit, fed)
}

/// The chunks of our source that are there, with the sync that wrote each of them.
async fn there_of_source(database: &Database) -> BTreeSet<(u64, u64)> {
    let mut chunks = BTreeSet::new();
    let found = format!(
        "select seq, extract(epoch from _cq_sync_time)::bigint, count(*) from t where stream_id = '{SOURCE}' group by 1, 2"
    );
    for row in database.query(&found, &[]).await {
        let number = |at| u64::try_from(row.get::<_, i64>(at)).expect("not negative");
        assert_eq!(number(2), ROWS, "A6 a part of chunk {}", number(0));
        chunks.insert((number(0), number(1)));
    }
    chunks
}

/// An old chunk may be gone only when every chunk of the new sync is there.
async fn judge(database: &Database, kind: Kind, sync: u64, old: &BTreeSet<(u64, u64)>, context: &str) {
    let now = there_of_source(database).await;
    let fresh: BTreeSet<u64> = now.iter().filter(|(_, by)| *by == sync).map(|(seq, _)| *seq).collect();
    let complete = fresh == chunks_of(kind, sync);
    let gone = old.iter().find(|(seq, _)| !now.iter().any(|(there, _)| there == seq));
    assert!(
        gone.is_none() || complete,
        "{context}\nchunk {gone:?} was deleted while of the new sync only {fresh:?} is there"
    );
    if kind == Kind::Atomic {
        assert!(fresh.is_empty() || complete, "{context}\nA6 only {fresh:?} is there");
    }
}

/// A crashed sync that is sent again after a newer one has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_comes_late_deletes_nothing_of_a_newer_one() {
    for kind in [Kind::Atomic, Kind::Batch] {
        let database = table().await;
        let mut process = Process::start(database.uri(), &[]).await;
        run(&process.http(), plan(kind, 1))
            .await
            .result
            .expect("the first sync");
        let slow = Plan {
            pace: Duration::from_millis(50),
            ..plan(kind, 2)
        };
        let tap = Tap::default();
        let crashed = tokio::spawn(feed(Flight::reach(&process.http()).await, slow, tap.clone()));
        tap.wait_for(3).await;
        process.kill();
        assert!(crashed.await.unwrap().result.is_err(), "A10 it was still running");
        process.start_again().await;
        run(&process.http(), plan(kind, 10)).await.result.expect("a newer sync");
        let late = run(&process.http(), plan(kind, 2)).await;
        let error = late.result.as_ref().expect_err("a newer sync is committed");
        assert_eq!(error.code(), Code::FailedPrecondition, "{kind:?}: {error:?}");
        assert!(error.message().contains("from a newer sync"), "{kind:?}: {error:?}");
        let now = there_of_source(&database).await;
        for seq in chunks_of(kind, 10) {
            assert!(
                now.contains(&(seq, 10)),
                "{kind:?}: chunk {seq} of the newer sync is gone: {now:?}"
            );
        }
    }
}

/// The action runs again and again beside a load of the sync that it names.
#[tokio::test(flavor = "multi_thread")]
async fn deleting_stale_rows_beside_the_sync_that_still_runs_leaves_its_rows() {
    let database = table().await;
    let process = Process::start(database.uri(), &[]).await;
    run(&process.http(), plan(Kind::Batch, 1))
        .await
        .result
        .expect("the first sync");
    let running = Plan {
        chunks: Some(30),
        ..plan(Kind::Batch, 2)
    };
    let load = tokio::spawn(feed(Flight::reach(&process.http()).await, running, Tap::default()));
    let mut flight = Flight::reach(&process.http()).await;
    let mut deleted = 0;
    while !load.is_finished() {
        let stale = json!({"table": "t", "source_name": SOURCE, "sync_time": "1970-01-01T00:00:02Z"});
        let answer = flight
            .act("pgflight.delete_stale", stale)
            .await
            .expect("the table is there");
        deleted += answer["deleted"].as_u64().expect("a count");
    }
    let fed = load.await.unwrap();
    assert!(fed.result.is_ok(), "{}", fed.ending());
    let expected: BTreeSet<(u64, u64)> = (2..32).map(|seq| (seq, 2)).collect();
    assert_eq!(there_of_source(&database).await, expected);
    assert!(deleted >= ROWS, "A10 only {deleted} rows were stale");
}

/// A slice that deletes fewer rows than it found is not the last one because of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_changed_while_stale_rows_are_deleted_hides_none_of_the_others() {
    let database = Database::create().await;
    database
        .execute(
            "create table s (id bigint, _cq_source_name text, _cq_sync_time timestamp); \
             insert into s select n, 'crm', '1970-01-01' from generate_series(1, 12000) n",
        )
        .await;
    let process = Process::start(database.uri(), &[]).await;
    let other = database.connect().await;
    other
        .batch_execute("begin; update s set id = -1 where id = 1")
        .await
        .unwrap();
    let mut flight = Flight::reach(&process.http()).await;
    let deletion = tokio::spawn(async move {
        let stale = json!({"table": "s", "source_name": SOURCE, "sync_time": "1970-01-01T00:00:02Z"});
        flight.act("pgflight.delete_stale", stale).await
    });
    database
        .wait_for(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .await;
    other.batch_execute("commit").await.unwrap();
    let answer = deletion.await.unwrap().expect("the table is there");
    assert_eq!(answer["deleted"], 12_000);
    assert_eq!(database.value("select count(*) from s").await, "0");
}
