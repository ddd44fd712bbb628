//! Server processes killed at random while many clients put single rows, as the kernel does it when memory is short: Postgres then
//! ends all sessions, forgets what did not reach the disk and gives its numbers to others. What was acknowledged is there.
//!
//! `PGFLIGHT_CHAOS_SECONDS` sets how long each run takes; `PGFLIGHT_FAULT_SEED` runs one again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::support::cluster::{Cluster, Options, versions};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, reason};
use crate::support::oracle;
use crate::support::process::{Signal, try_send};
use crate::support::seed::Dice;
use crate::support::server::Server;

const CLIENTS: u64 = 8;
/// How long one run takes where nobody asked for more: four of them per version.
const SECONDS: u64 = 5;

/// How one-row puts are made.
#[derive(Clone, Copy, Debug)]
struct Puts {
    commit: &'static str,
    /// Each put is a stream of its own and sent again until it is acknowledged.
    named: bool,
}

/// What was said about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Committed,
    NotKnown,
    /// Another failure, which means that the row is not there.
    Failed,
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_backends_loses_and_doubles_no_acknowledged_row_of_a_batch_put() {
    run(Puts {
        commit: "batch",
        named: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_backends_loses_and_doubles_no_acknowledged_row_of_an_atomic_put() {
    run(Puts {
        commit: "atomic",
        named: false,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_backends_loses_and_doubles_no_row_of_a_named_batch_stream() {
    run(Puts {
        commit: "batch",
        named: true,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_backends_loses_and_doubles_no_row_of_a_named_atomic_stream() {
    run(Puts {
        commit: "atomic",
        named: true,
    })
    .await;
}

async fn run(puts: Puts) {
    let mut dice = Dice::throw(&format!("killed backends, {puts:?}"));
    let asked = std::env::var("PGFLIGHT_CHAOS_SECONDS").ok();
    let seconds = asked.map_or(SECONDS, |text| {
        text.parse().expect("PGFLIGHT_CHAOS_SECONDS is a whole number")
    });
    for &version in versions() {
        let cluster = Cluster::private(&Options {
            version: Some(version),
            // By default every file is written to the disk after a crash, which takes seconds.
            settings: vec![
                "max_connections=60".to_owned(),
                "recovery_init_sync_method=syncfs".to_owned(),
            ],
            ..Options::default()
        });
        let mut database = Database::create_in(&cluster).await;
        database.execute("create table t (id bigint)").await;
        let server = Server::start_with(database.uri(), json!({"pool": {"max_size": 10}})).await;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicU64::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| tokio::spawn(client(server.http(), puts, number, Arc::clone(&stop))))
            .collect();
        let innocents: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn(innocent(
                    database.uri().to_owned(),
                    Arc::clone(&stop),
                    Arc::clone(&ended),
                ))
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut kills = 0;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(dice.number(300..1_200))).await;
            kills += u64::from(kill_one(&mut database, &mut dice).await);
        }
        stop.store(true, Ordering::SeqCst);
        let mut said = BTreeMap::new();
        for client in clients {
            said.extend(client.await.expect("a client's task"));
        }
        for innocent in innocents {
            innocent.await.expect("a session's task");
        }
        database.reconnect().await;
        judge(
            &database,
            puts,
            &said,
            &format!("seed {}, PostgreSQL {version}, {seconds} s, {kills} kills", dice.seed),
        )
        .await;
        assert!(kills > 0, "A10 nothing was killed");
        assert_eq!(ended.load(Ordering::SeqCst), 0, "innocent sessions were ended");
    }
}

/// Kills one of our sessions.
async fn kill_one(database: &mut Database, dice: &mut Dice) -> bool {
    let ours =
        "select pid from pg_stat_activity where datname = current_database() and application_name like 'pgflight%'";
    // The last kill has ended this session, too.
    let Ok(found) = database.client().query(ours, &[]).await else {
        database.reconnect().await;
        return false;
    };
    if found.is_empty() {
        return false;
    }
    let pid: i32 = found[usize::try_from(dice.number(..found.len() as u64)).expect("a place")].get(0);
    try_send(Signal::Kill, u32::try_from(pid).expect("a pid"))
}

/// Puts rows until it is told to stop, and remembers what was said about each.
async fn client(server: String, puts: Puts, number: u64, stop: Arc<AtomicBool>) -> BTreeMap<i64, Said> {
    let mut flight = Flight::reach(&server).await;
    let mut said = BTreeMap::new();
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let id = i64::try_from(round * CLIENTS + number).expect("small");
        let mut to = json!({"table": "t", "commit": puts.commit});
        if puts.named {
            to["stream_id"] = json!(id.to_string());
        }
        let mut messages = crate::support::flight::messages(command(to), &[batch(vec![("id", longs([id]))])]);
        if puts.named && puts.commit == "batch" {
            messages.last_mut().expect("a batch").app_metadata = "{\"seq\": 0}".into();
        }
        let answer = loop {
            match flight.send(messages.clone()).await {
                Ok(answers) => {
                    let last = answers.last().expect("a final answer");
                    assert_eq!(last["committed"], 1, "{last}");
                    break Said::Committed;
                }
                Err(_) if puts.named => {}
                Err(status) if reason(&status) == "COMMIT_UNKNOWN" => break Said::NotKnown,
                Err(status) => {
                    oracle::assert_documented(&status);
                    break Said::Failed;
                }
            }
        };
        said.insert(id, answer);
    }
    said
}

/// Another session of the same role, with transactions of its own; counts how often somebody ended it.
async fn innocent(uri: String, stop: Arc<AtomicBool>, ended: Arc<AtomicU64>) {
    while !stop.load(Ordering::SeqCst) {
        let Ok((client, connection)) = tokio_postgres::connect(&uri, tokio_postgres::NoTls).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(connection);
        while !stop.load(Ordering::SeqCst) {
            let begun = client.batch_execute("begin; select pg_current_xact_id()").await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..300))).await;
            let done = match begun {
                Ok(()) => client.batch_execute("commit").await,
                failed => failed,
            };
            if let Err(error) = done {
                let by_somebody = error.code() == Some(&SqlState::ADMIN_SHUTDOWN);
                ended.fetch_add(u64::from(by_somebody), Ordering::SeqCst);
                break;
            }
        }
    }
}

async fn judge(database: &Database, puts: Puts, said: &BTreeMap<i64, Said>, context: &str) {
    let mut there: BTreeMap<i64, i64> = BTreeMap::new();
    for row in database.query("select id, count(*) from t group by 1", &[]).await {
        there.insert(row.get(0), row.get(1));
    }
    let count = |what: Said| said.values().filter(|it| **it == what).count();
    let (committed, unknown, failed) = (count(Said::Committed), count(Said::NotKnown), count(Said::Failed));
    let times = |id: &i64| there.get(id).copied().unwrap_or(0);
    let wrong = |what: Said, is_wrong: &dyn Fn(i64) -> bool| {
        let of = said.iter().filter(|(_, it)| **it == what);
        of.filter(|(id, _)| is_wrong(times(id))).count()
    };
    let lost = wrong(Said::Committed, &|times| times == 0);
    let doubled = there.values().filter(|times| **times > 1).count();
    let denied = wrong(Said::Failed, &|times| times > 0);
    let stored = said
        .iter()
        .filter(|(id, it)| **it == Said::NotKnown && times(id) > 0)
        .count();
    println!(
        "{puts:?}, {context}: {committed} acknowledged, {unknown} not known ({stored} of them stored), {failed} failed; \
         {lost} lost, {doubled} doubled"
    );
    assert_eq!(
        (lost, doubled, denied),
        (0, 0, 0),
        "lost, doubled, stored although it failed: {puts:?}, {context}"
    );
    assert!(there.keys().all(|id| said.contains_key(id)), "A3 rows that nobody sent");
    assert!(committed > 0, "A10 nothing went through: {context}");
}
