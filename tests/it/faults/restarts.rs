//! F1 and F25 without stream ids: our own process is killed, paused, asked to end, asked twice, and started again.

use std::time::Duration;

use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, ROWS, endless, oracle_for};
use crate::support::database::Database;
use crate::support::feed::{Fed, Plan, Tap, feed};
use crate::support::flight::Flight;
use crate::support::oracle::{self, Oracle};
use crate::support::process::{Process, Signal};
use crate::support::seed::{Dice, Points};

async fn tables() -> Database {
    let database = Database::create().await;
    for mode in MODES {
        database.execute(&mode.create_table()).await;
    }
    database
}

/// Starts an endless put against a process.
async fn start(process: &Process, mode: Mode, stream: &str) -> (Tap, tokio::task::JoinHandle<Fed>) {
    let tap = Tap::default();
    let flight = Flight::reach(&process.http()).await;
    (tap.clone(), tokio::spawn(feed(flight, endless(mode, stream), tap)))
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_service_at_any_moment_loses_and_doubles_nothing() {
    let mut dice = Dice::throw("killed service");
    let database = tables().await;
    let mut process = Process::start(database.uri(), &[]).await;
    let mut oracles = MODES.map(oracle_for);
    for round in Points::short(14).rounds() {
        let which = usize::try_from(round).unwrap() % MODES.len();
        let (mode, oracle) = (MODES[which], &mut oracles[which]);
        let (tap, load) = start(&process, mode, &format!("{round}")).await;
        tap.wait_for(dice.number(1..12)).await;
        tokio::time::sleep(Duration::from_micros(dice.number(0..8_000))).await;
        process.kill();
        let fed = load.await.unwrap();
        process.start_again().await;
        assert!(fed.result.is_err(), "A10 the put was still running");
        fed.tell(oracle);
        let context = format!("seed {}, round {round}, {mode:?}: {}", dice.seed, fed.ending());
        oracle.assert_holds(&database, &context).await;
    }
}

/// F1 with an atomic `stream_id`: the client sends the whole stream again until it is told that it happened.
#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_stream_that_is_sent_again_after_every_kill_happens_once() {
    let mut dice = Dice::throw("killed service, atomic streams");
    let database = tables().await;
    let mut process = Process::start(database.uri(), &[]).await;
    let modes: Vec<Mode> = MODES.into_iter().filter(|mode| mode.atomic()).collect();
    let mut oracles: Vec<Oracle> = modes.iter().map(|mode| oracle_for(*mode)).collect();
    let (mut kills, wanted, mut round) = (0, Points::short(8), 0);
    while wanted.left(kills) {
        let (mode, oracle) = (modes[round % modes.len()], &mut oracles[round % modes.len()]);
        let stream = format!("{round}");
        round += 1;
        let mut longest = 25_000;
        loop {
            // Later each time, since a machine may be so slow that nothing ends before the usual kill.
            longest *= 2;
            let flight = Flight::reach(&process.http())
                .await
                .with_header("pgflight-stream-id", &stream);
            let plan = Plan {
                chunks: Some(5),
                ..endless(mode, &stream)
            };
            let load = tokio::spawn(feed(flight, plan, Tap::default()));
            tokio::time::sleep(Duration::from_micros(dice.number(0..longest))).await;
            let hit = !load.is_finished();
            if hit {
                process.kill();
                kills += 1;
            }
            let fed = load.await.unwrap();
            if hit {
                process.start_again().await;
            }
            for seq in 0..5 {
                oracle.sent(&stream, seq, ROWS);
            }
            if fed.result.is_ok() {
                oracle.acked_through(&stream, 4);
            }
            let context = format!("seed {}, kill {kills}, {mode:?}: {}", dice.seed, fed.ending());
            let faults = oracle.chunk_faults(&database).await;
            assert!(faults.is_empty(), "{context}\n{}", faults.join("\n"));
            if fed.result.is_ok() {
                break;
            }
        }
    }
    println!("{kills} kills over {round} streams");
    assert_eq!(oracle::leftovers(&database).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_goes_on_where_it_was() {
    let database = tables().await;
    let process = Process::start(database.uri(), &[]).await;
    for mode in MODES {
        let mut oracle = oracle_for(mode);
        let (tap, load) = start(&process, mode, "paused").await;
        tap.wait_for(5).await;
        process.signal(Signal::Stop);
        tokio::time::sleep(Duration::from_millis(400)).await;
        process.signal(Signal::Continue);
        tap.close();
        let fed = load.await.unwrap();
        fed.tell(&mut oracle);
        assert!(fed.result.is_ok(), "{mode:?}: {}", fed.ending());
        oracle.assert_holds(&database, &format!("{mode:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_lets_running_puts_finish_and_takes_no_new_ones() {
    let database = tables().await;
    for mode in MODES {
        let mut process = Process::start(database.uri(), &[]).await;
        let mut oracle = oracle_for(mode);
        let (tap, load) = start(&process, mode, "running").await;
        let idle = Flight::reach(&process.http()).await;
        tap.wait_for(5).await;
        process.signal(Signal::Terminate);
        process.logs("shutting down").await;
        // The door is closed by the statement that follows the line.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let late = idle.clone().put(mode.to(ROWS), &[mode.rows("late", 0, ROWS)]).await;
        let late = late.expect_err("a new put is refused while draining");
        assert_eq!(late.code(), Code::Unavailable, "{late}");
        tap.close();
        let fed = load.await.unwrap();
        fed.tell(&mut oracle);
        assert!(fed.result.is_ok(), "{mode:?}: {}", fed.ending());
        assert_eq!(
            process.exit_code(Duration::from_secs(60)).await,
            Some(0),
            "{}",
            process.log()
        );
        oracle.assert_holds(&database, &format!("{mode:?}")).await;
    }
}

/// The drain ends by its timeout or by a second signal; what was not committed is rolled back, and the client is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_never_ends_is_ended_by_the_drain_timeout_or_a_second_signal() {
    let database = tables().await;
    for (case, mode) in MODES.into_iter().enumerate() {
        let twice = case % 2 == 0;
        let timeout = if twice { "60s" } else { "500ms" };
        let mut process = Process::start(database.uri(), &[("shutdown.drain_timeout", timeout)]).await;
        let mut oracle: Oracle = oracle_for(mode);
        let (tap, load) = start(&process, mode, "endless").await;
        tap.wait_for(5).await;
        process.signal(Signal::Terminate);
        if twice {
            process.logs("shutting down").await;
            process.signal(Signal::Terminate);
        }
        let code = process.exit_code(Duration::from_secs(60)).await;
        let fed = load.await.unwrap();
        let context = format!("{mode:?}, {}: {}", json!({"twice": twice}), fed.ending());
        assert_eq!(code, Some(0), "{context}\n{}", process.log());
        fed.tell(&mut oracle);
        let error = fed.result.as_ref().expect_err("the put did not end by itself");
        let context = format!("{context}\n{}", process.log());
        assert_eq!(error.code(), Code::Unavailable, "{context}");
        assert!(error.message().contains("shutting down"), "{context}");
        oracle.assert_holds(&database, &context).await;
        oracle::assert_documented(error);
    }
}
