//! F4 and F32: the real Postgres dies in the middle of a load, in every way it can, and comes back. Clusters of these tests
//! are private and durable.

use std::time::Duration;

use serde_json::json;

use super::{MODES, Scene, endless, oracle_for, put};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::feed::{Tap, feed};
use crate::support::process::{Signal, is_alive, try_send};
use crate::support::seed::Dice;

#[derive(Clone, Copy, Debug)]
enum Death {
    /// `kill -9` of the postmaster; its children notice and leave.
    Postmaster,
    /// `pg_ctl stop -m immediate`.
    Immediate,
    /// `kill -9` of the backend that loads, as the kernel does when memory is short: Postgres restarts all sessions.
    Backend,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_dies_in_the_middle_of_a_load_loses_and_doubles_nothing() {
    let mut dice = Dice::throw("postmaster");
    let mut cluster = Cluster::private(&Options::default());
    for death in [Death::Postmaster, Death::Immediate, Death::Backend] {
        let scene = Scene::over(Database::create_in(&cluster).await, json!({})).await;
        let Scene {
            mut database,
            server,
            proxy,
        } = scene;
        for mode in MODES {
            let mut oracle = oracle_for(mode);
            let tap = Tap::default();
            let flight = crate::support::flight::Flight::connect(&server).await;
            let load = tokio::spawn(feed(flight.clone(), endless(mode, "hit"), tap.clone()));
            tap.wait_for(dice.number(2..30)).await;
            let downs = die(death, &mut cluster, &database).await;
            database.reconnect().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            tap.close();
            let fed = load.await.unwrap();
            fed.tell(&mut oracle);
            let context = format!("seed {}, {death:?}, {mode:?}: {}", dice.seed, fed.ending());
            assert!(downs > 0, "A10 {context}");
            let again = put(&mut flight.clone(), mode, &mut oracle, "after", 2).await;
            assert!(again.is_ok(), "it heals without a restart of ours: {again:?}");
            oracle.assert_holds(&database, &context).await;
            println!("{context}");
        }
        drop((server, proxy));
    }
}

/// Our sessions, of which a load has one as soon as it is connected; the client may be some batches ahead of that.
async fn sessions(database: &Database) -> Vec<u32> {
    let ours = "select pid from pg_stat_activity where datname = current_database() and application_name = 'pgflight'";
    for _ in 0..1_000 {
        let pids = database.lines(ours).await;
        if !pids.is_empty() {
            return pids.iter().map(|pid| pid.parse().expect("a number")).collect();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Vec::new()
}

/// Does it, and returns how many of our sessions it hit.
async fn die(death: Death, cluster: &mut Cluster, database: &Database) -> usize {
    let ours = sessions(database).await;
    match death {
        Death::Immediate => {
            cluster.crash();
            cluster.start();
        }
        Death::Postmaster => {
            cluster.kill().await;
            cluster.start();
        }
        Death::Backend => {
            for pid in &ours {
                // Postgres ends the others as soon as it sees that the first died.
                let sent = try_send(Signal::Kill, *pid);
                assert!(sent || !is_alive(*pid), "cannot kill {pid}");
            }
            // Postgres takes a moment to see that a child died; until then it accepts sessions that it will end.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    ours.len()
}
