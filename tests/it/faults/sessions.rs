//! F5: sessions that end at any point of a load, cut by the network or by an administrator. Random, with a seed.

use std::time::Duration;

use super::{MODES, Scene, bury, oracle_for, put};
use crate::support::chaos::{Deed, Point};
use crate::support::seed::{Dice, Points};

const CHUNKS: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_at_any_message_loses_and_doubles_nothing() {
    let mut dice = Dice::throw("any message");
    let scene = Scene::set().await;
    let mut oracles = MODES.map(oracle_for);
    let mut fired = 0;
    for round in Points::short(42).rounds() {
        let which = usize::try_from(round).unwrap() % MODES.len();
        let (mode, oracle) = (MODES[which], &mut oracles[which]);
        let deed = dice.pick(&[
            Deed::Cut,
            Deed::DeliverThenCut,
            Deed::SwallowThenCut(Duration::from_millis(20)),
            Deed::LeaveZombie,
        ]);
        let nth = dice.number(1..60);
        let before = scene.proxy.fired().len();
        scene.proxy.arm(Point::AnyMessage, nth, deed);
        let (mut flight, stream) = (scene.client().await, format!("{round}"));
        // Postgres notices in the end that a client is gone; until then its locks are waited for.
        let result = tokio::select! {
            result = put(&mut flight, mode, oracle, &stream, CHUNKS) => result,
            () = bury(&scene.proxy) => unreachable!("it goes on until the put ends"),
        };
        scene.proxy.disarm();
        scene.proxy.bury_zombies();
        fired += scene.proxy.fired().len() - before;
        let faults = oracle.faults(&scene.database).await;
        let context = format!(
            "seed {}, round {round}: {mode:?}, message {nth}, {deed:?}: {result:?}",
            dice.seed
        );
        assert!(
            faults.is_empty(),
            "{context}\n{}\n{}",
            faults.join("\n"),
            scene.proxy.trace()
        );
    }
    assert!(fired > 0, "A10 no fault fired");
    for (mode, oracle) in MODES.iter().zip(&oracles) {
        oracle
            .assert_holds(&scene.database, &format!("seed {}: {mode:?}", dice.seed))
            .await;
    }
    println!(
        "{fired} faults fired over {} chunks",
        oracles
            .iter()
            .map(crate::support::oracle::Oracle::chunks)
            .sum::<usize>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_load_goes_on_when_an_administrator_ends_its_sessions() {
    let mut dice = Dice::throw("terminated sessions");
    for mode in MODES {
        let scene = Scene::set().await;
        let mut oracle = oracle_for(mode);
        let killer = scene.database.connect().await;
        let mut pauses = dice.clone();
        let killing = tokio::spawn(async move {
            let mut killed = 0_i64;
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(pauses.u64(1..40))).await;
                let row = killer
                    .query_one(
                        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() \
                         and application_name like 'pgflight%'",
                        &[],
                    )
                    .await
                    .expect("the killer's own session lives");
                killed += row.get::<_, i64>(0);
            }
            killed
        });
        let mut results = Vec::new();
        for stream in 0..6 {
            let stream = format!("{stream}-{}", dice.number(..1000));
            results.push(put(&mut scene.client().await, mode, &mut oracle, &stream, 8).await);
        }
        let killed = killing.await.unwrap();
        let context = format!("seed {}, {mode:?}: {killed} sessions ended: {results:?}", dice.seed);
        assert!(killed > 0, "A10 {context}");
        oracle.assert_holds(&scene.database, &context).await;
    }
}
