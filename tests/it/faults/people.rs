//! F17: somebody changes the table between two chunks. The put ends with a clear error or goes on, and the next one works.

use std::time::Duration;

use tonic::Code;

use super::{MODES, ROWS, Scene, endless, put};
use crate::support::feed::{Tap, feed};
use crate::support::oracle::{self, Oracle, assert_documented, leftovers};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_changed_under_a_running_load_gives_a_clear_error_and_the_next_put_works() {
    let changes = [
        ("drop table {t}", &[Code::NotFound, Code::Aborted][..]),
        (
            "alter table {t} drop column payload",
            &[Code::NotFound, Code::FailedPrecondition],
        ),
        (
            "alter table {t} rename column hash to digest",
            &[Code::NotFound, Code::FailedPrecondition],
        ),
        (
            "alter table {t} alter column row_no type text",
            &[Code::InvalidArgument, Code::FailedPrecondition, Code::Internal],
        ),
    ];
    for mode in MODES.into_iter().filter(|mode| !mode.atomic()) {
        for (change, codes) in changes {
            let scene = Scene::set().await;
            let tap = Tap::default();
            let load = tokio::spawn(feed(scene.client().await, endless(mode, "s"), tap.clone()));
            tap.wait_for(6).await;
            let change = change.replace("{t}", &mode.table());
            scene.database.execute(&change).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            tap.close();
            let fed = load.await.unwrap();
            let context = format!("{mode:?}, {change}: {}", fed.ending());
            match &fed.result {
                Ok(answer) => assert_eq!(answer["committed"], fed.sent * ROWS, "{context}"),
                Err(status) => {
                    assert!(codes.contains(&status.code()), "{context}");
                    assert!(status.message().contains(&mode.table()), "{context}");
                    assert_documented(status);
                }
            }
            assert_eq!(leftovers(&scene.database).await, Vec::<String>::new(), "{context}");
            scene
                .database
                .execute(&format!("drop table if exists {}", mode.table()))
                .await;
            let mut oracle = Oracle::of(&mode.table());
            put(&mut scene.client().await, mode, &mut oracle, "next", 2)
                .await
                .unwrap();
            oracle.assert_holds(&scene.database, &context).await;
        }
    }
}

/// An atomic load holds a lock on its table from its first row, so that nobody can change it under the load.
#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_append_keeps_others_from_changing_its_table() {
    let mode = MODES[1];
    let scene = Scene::set().await;
    let tap = Tap::default();
    let load = tokio::spawn(feed(scene.client().await, endless(mode, "s"), tap.clone()));
    let held = "select count(*) from pg_locks where relation = 'append_atomic'::regclass and mode = 'RowExclusiveLock'";
    while scene.database.value(held).await == "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let meddler = scene.database.connect().await;
    let meddling = meddler.batch_execute("set lock_timeout = '300ms'; alter table append_atomic drop column payload");
    let refused = meddling.await.expect_err("the load holds the table");
    assert_eq!(refused.code().map(|code| code.code()), Some("55P03"));
    tap.close();
    let fed = load.await.unwrap();
    let mut oracle = Oracle::of("append_atomic").whole_streams();
    fed.tell(&mut oracle);
    assert!(fed.result.is_ok(), "{}", fed.ending());
    oracle.assert_holds(&scene.database, "meddler").await;
    assert_eq!(oracle::leftovers(&scene.database).await, Vec::<String>::new());
}
