//! F18: bad lines on both legs. Slow ones only take time; dead ones end in bounded time.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{MODES, Scene, endless, oracle_for, put};
use crate::support::chaos::{Point, Proxy, Shape};
use crate::support::feed::{Tap, feed};
use crate::support::flight::Flight;
use crate::support::oracle::leftovers;

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_to_postgres_takes_time_and_changes_nothing() {
    for shape in [
        Shape {
            latency: Duration::from_millis(25),
            ..Shape::default()
        },
        Shape {
            bytes_per_second: 64 << 10,
            ..Shape::default()
        },
    ] {
        for mode in MODES {
            let scene = Scene::set().await;
            let mut oracle = oracle_for(mode);
            scene.proxy.shape(shape);
            put(&mut scene.client().await, mode, &mut oracle, "slow", 2)
                .await
                .unwrap();
            oracle
                .assert_holds(&scene.database, &format!("{mode:?} {shape:?}"))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_to_the_client_takes_time_and_changes_nothing() {
    for mode in MODES {
        let scene = Scene::set().await;
        let leg = Proxy::opaque(scene.server.address()).await;
        leg.shape(Shape {
            latency: Duration::from_millis(10),
            bytes_per_second: 64 << 10,
            ..Shape::default()
        });
        let mut oracle = oracle_for(mode);
        put(&mut Flight::reach(&leg.http()).await, mode, &mut oracle, "slow", 2)
            .await
            .unwrap();
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}

/// A line to Postgres on which nothing comes any more, and no reset either: what a stopped server or a lost route looks like.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_postgres_ends_a_put_in_bounded_time_and_the_next_one_works() {
    let silence = MODES.map(|mode| async move {
        let settings = json!({"statement_timeout": "2s", "retry_timeout": "2s", "pool": {"connect_timeout": "1s"}});
        let scene = Scene::set_with(settings).await;
        let mut oracle = oracle_for(mode);
        let tap = Tap::default();
        let mut load = tokio::spawn(feed(scene.client().await, endless(mode, "hit"), tap.clone()));
        // In the middle of the load, not while it is being opened, which may take longer.
        let deadline = Instant::now() + Duration::from_secs(60);
        while scene.proxy.passed(Point::CopyAnswer) < 2 {
            assert!(Instant::now() < deadline, "{mode:?}: no chunk was copied");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        scene.proxy.shape(Shape {
            black_hole: true,
            ..Shape::default()
        });
        let ended = tokio::time::timeout(Duration::from_secs(25), &mut load).await;
        scene.proxy.shape(Shape::default());
        tap.close();
        // What became of a COMMIT is asked for longer, and told when there is somebody to ask.
        let (fed, in_time) = match ended {
            Ok(fed) => (fed.unwrap(), true),
            Err(_) => (load.await.unwrap(), false),
        };
        assert!(fed.result.is_err() || !in_time, "A10 {mode:?}: {}", fed.ending());
        fed.tell(&mut oracle);
        put(&mut scene.client().await, mode, &mut oracle, "after", 2)
            .await
            .expect("it heals without a restart");
        oracle
            .assert_holds(&scene.database, &format!("{mode:?}: {}", fed.ending()))
            .await;
        in_time
    });
    let in_time = futures::future::join_all(silence).await;
    println!("ended before the line came back: {in_time:?}");
    assert!(in_time.contains(&true), "A9 no put ended while nothing came");
}

/// The line to the client falls silent: neither data nor a reset comes any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_line_leaves_no_transaction_behind() {
    let silence = MODES.map(|mode| async move {
        let scene = Scene::set_with(json!({"limits": {"stream_idle_timeout": "500ms"}})).await;
        let leg = Proxy::opaque(scene.server.address()).await;
        let mut oracle = oracle_for(mode);
        let tap = Tap::default();
        let load = tokio::spawn(feed(
            Flight::reach(&leg.http()).await,
            endless(mode, "silent"),
            tap.clone(),
        ));
        tap.wait_for(6).await;
        leg.shape(Shape {
            black_hole: true,
            ..Shape::default()
        });
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(leftovers(&scene.database).await, Vec::<String>::new());
        leg.reset_all();
        let fed = load.await.unwrap();
        assert!(fed.result.is_err(), "A10 {}", fed.ending());
        fed.tell(&mut oracle);
        oracle.assert_holds(&scene.database, &fed.ending()).await;
    });
    futures::future::join_all(silence).await;
}
