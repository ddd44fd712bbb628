//! F2: answers that die on their way. What Postgres did not confirm is not acked, and what it may have committed is
//! not written again.

use std::time::Duration;

use serde_json::json;

use super::{MODES, Mode, ROWS, Scene, bury, oracle_for, put};
use crate::support::chaos::{Deed, Point};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::oracle;

/// A constraint that is checked at COMMIT fails after the COPY was answered with its count.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_fails_at_commit_is_never_acked() {
    for mode in MODES {
        let scene = Scene::set().await;
        let table = mode.table();
        scene
            .database
            .execute(&format!(
                "create table allowed (seq bigint primary key); insert into allowed values (0); \
                 alter table {table} add foreign key (seq) references allowed deferrable initially deferred"
            ))
            .await;
        let mut oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        put(&mut flight, mode, &mut oracle, "good", 1).await.unwrap();
        let error = put(&mut flight, mode, &mut oracle, "bad", 2)
            .await
            .expect_err("seq 1 is not allowed");
        assert_eq!(error.code(), tonic::Code::FailedPrecondition, "{mode:?} {error}");
        assert!(error.message().contains("23503"), "{error}");
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
        let kept = scene
            .database
            .value(&format!("select count(*) from {table} where stream_id = 'bad'"))
            .await;
        assert_eq!(
            kept,
            if mode.atomic() {
                "0".to_owned()
            } else {
                ROWS.to_string()
            }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_commit_doubles_nothing_and_is_not_called_a_failure() {
    let lost = [
        (Point::Commit, Deed::DeliverThenCut),
        (Point::CommitAnswer, Deed::Cut),
        (Point::CommitAnswer, Deed::SwallowThenCut(Duration::from_millis(50))),
        (Point::CommitAnswer, Deed::LeaveZombie),
        (Point::ReadyAfterCommit, Deed::Cut),
    ];
    for mode in MODES {
        let scene = Scene::set().await;
        let mut oracle = oracle_for(mode);
        for (case, (at, deed)) in lost.into_iter().enumerate() {
            let stream = format!("{case}");
            scene.proxy.arm(at, 1, deed);
            let mut flight = scene.client().await;
            // Postgres notices in the end that a client is gone.
            let result = tokio::select! {
                result = put(&mut flight, mode, &mut oracle, &stream, 3) => result,
                () = bury(&scene.proxy) => unreachable!("it goes on until the put ends"),
            };
            let context = format!("{mode:?} {at:?} {deed:?}: {result:?}\n{}", scene.proxy.trace());
            assert_eq!(scene.proxy.fired().len(), case + 1, "{context}");
            if let Err(status) = &result {
                assert_eq!(status.code(), tonic::Code::Unavailable, "{context}");
                assert!(status.message().contains("not known"), "{context}");
            }
            scene.proxy.bury_zombies();
            oracle.assert_holds(&scene.database, &context).await;
        }
    }
}

/// Without a transaction around it, a COPY is answered before it is committed; the answer may not be taken for the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_after_the_copy_and_before_its_commit_is_never_taken_for_success() {
    for mode in MODES {
        for deed in [Deed::Cut, Deed::DeliverThenCut, Deed::LeaveZombie] {
            // The zombie holds its locks until it is buried, after the put.
            let settings = json!({"lock_timeout": "500ms", "retry_timeout": "3s"});
            let scene = Scene::set_with(settings).await;
            let mut oracle = oracle_for(mode);
            scene.proxy.arm(Point::CopyAnswer, 2, deed);
            let mut flight = scene.client().await;
            // Postgres notices in the end that a client is gone.
            let result = tokio::select! {
                result = put(&mut flight, mode, &mut oracle, "s", 3) => result,
                () = bury(&scene.proxy) => unreachable!("it goes on until the put ends"),
            };
            let context = format!("{mode:?} {deed:?}: {result:?}\n{}", scene.proxy.trace());
            assert_eq!(scene.proxy.fired().len(), 1, "{context}");
            scene.proxy.bury_zombies();
            oracle.assert_holds(&scene.database, &context).await;
            let there: u64 = scene
                .database
                .value(&format!("select count(*) from {}", mode.table()))
                .await
                .parse()
                .unwrap();
            assert_eq!(there == 3 * ROWS, result.is_ok(), "{context}");
        }
    }
}

/// A put after a fault works on the same server, whatever the fault did to its connections.
#[tokio::test(flavor = "multi_thread")]
async fn the_pool_hands_out_no_connection_that_a_fault_has_broken() {
    let mode = Mode {
        write: "append",
        commit: "batch",
    };
    let scene = Scene::set().await;
    let mut oracle = oracle_for(mode);
    let mut flight = scene.client().await;
    put(&mut flight, mode, &mut oracle, "before", 1).await.unwrap();
    scene.proxy.reset_all();
    // The pool learns of it by the sockets.
    tokio::time::sleep(Duration::from_millis(100)).await;
    put(&mut flight, mode, &mut oracle, "after", 1).await.unwrap();
    oracle.assert_holds(&scene.database, "reset between two puts").await;
    assert_eq!(oracle::leftovers(&scene.database).await, Vec::<String>::new());
}

/// F3 without a stored position: while the old backend is in COMMIT nobody can know, so the put waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_in_commit_is_waited_for_in_every_mode() {
    let cluster = Cluster::private(&Options::default());
    let mut scenes = Vec::new();
    for mode in MODES {
        let scene = Scene::over(Database::create_in(&cluster).await, json!({})).await;
        let mut oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        put(&mut flight, mode, &mut oracle, "before", 1).await.unwrap();
        scenes.push((mode, scene, oracle, flight));
    }
    let administrator = Database::create_in(&cluster).await;
    let reload = "select pg_reload_conf()";
    administrator
        .execute("alter system set synchronous_standby_names = 'nobody'")
        .await;
    administrator.execute(reload).await;
    let mut puts = Vec::new();
    for (mode, scene, mut oracle, mut flight) in scenes {
        scene.proxy.arm(Point::Commit, 1, Deed::LeaveZombie);
        puts.push(tokio::spawn(async move {
            let result = put(&mut flight, mode, &mut oracle, "hung", 2).await;
            (mode, scene, oracle, result)
        }));
    }
    let hanging = format!(
        "select count(*) = {} from pg_stat_activity where wait_event = 'SyncRep'",
        MODES.len()
    );
    administrator.wait_for(&hanging).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = puts.iter().filter(|put| put.is_finished()).count();
    assert_eq!(ended, 0, "nothing can be known while the old backends are in COMMIT");
    administrator
        .execute("alter system reset synchronous_standby_names")
        .await;
    administrator.execute(reload).await;
    for put in puts {
        let (mode, scene, oracle, result) = put.await.unwrap();
        assert_eq!(scene.proxy.fired().len(), 1, "A10 {mode:?}");
        scene.proxy.bury_zombies();
        assert!(result.is_ok(), "{mode:?}: {result:?}");
        oracle.assert_holds(&scene.database, &format!("{mode:?}")).await;
    }
}
