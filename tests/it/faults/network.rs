//! F18: bad lines on both legs. Slow ones only take time; dead ones end in bounded time.

use std::time::Duration;

use serde_json::json;

use super::{MODES, Scene, endless, oracle_for, put};
use crate::support::chaos::{Proxy, Shape};
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

/// The line to the client falls silent: neither data nor a reset comes any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_line_leaves_no_transaction_behind() {
    for mode in MODES {
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
    }
}
