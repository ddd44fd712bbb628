//! Syncs that end in the middle: the CLI killed beside another one, a source that fails, a server that says no.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::programs::{finish, program, start};
use super::tables::ignored;
use super::{Plan, Scene};
use crate::support::database::Database;

async fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} is not there", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn two_clis_with_different_specs_share_a_server_and_one_dies_in_the_middle() {
    let scene = Scene::create().await;
    let other = Database::create().await;
    let (held, doomed) = (scene.directory.file("held"), scene.directory.file("doomed"));
    let stays = Plan::new(json!({"write_mode": "append"}), 6, 1)
        .rows(json!({"hold": held}))
        .spec(json!({"batch_size": 3}));
    let dies = Plan::new(json!({"write_mode": "overwrite-delete-stale"}), 9, 2)
        .rows(json!({"hold": doomed}))
        .spec(json!({"connection_string": other.uri(), "batch_size": 1_000_000, "batch_timeout": "1h"}));
    let first = start(&program("cloudquery"), "sync", &scene.config(&stays));
    wait_for(&scene.directory.file("held.reached")).await;
    let mut second = start(&program("cloudquery"), "sync", &scene.config(&dies));
    wait_for(&scene.directory.file("doomed.reached")).await;
    second.child.kill().await.expect("the CLI can be killed");
    // Its source, which the kill left alone, may end.
    std::fs::write(&doomed, "").expect("a temporary file can be written");

    // A third one comes and goes on the same server while the first is still open.
    let third = Database::create().await;
    let passes = Plan::new(json!({"write_mode": "append"}), 2, 3).spec(json!({"connection_string": third.uri()}));
    scene.sync(&passes).await;
    assert_eq!(third.value("select count(*) from peers_orders").await, "4");

    std::fs::write(&held, "").expect("a temporary file can be written");
    let text = finish(first).await.unwrap_or_else(|text| panic!("{text}"));
    assert!(text.contains("Sync completed successfully"), "{text}");
    scene.assert_rows(&[1], &ignored()).await;
    // The rows of the dead one waited for a batch that never filled, and nobody else's settings or database got them.
    let stray = "select count(*) from peers_orders where label like '%revision 2%'";
    for database in [&scene.database, &third] {
        assert_eq!(database.value(stray).await, "0");
    }
    let idle = "select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle' and \
                pid <> pg_backend_pid() and backend_type = 'client backend'";
    other.wait_for(&format!("select ({idle}) = 0")).await;
    // What it held is free: the same sync again goes through.
    scene
        .sync(&Plan::new(dies.destination.clone(), 9, 2).spec(dies.spec.clone()))
        .await;
    assert_eq!(other.value("select count(*) from peers_orders").await, "18");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn a_source_that_fails_takes_no_stale_rows_along_when_its_tables_got_none() {
    let scene = Scene::create().await;
    let destination = json!({"write_mode": "overwrite-delete-stale"});
    let keep = json!({"keep_tables_without_rows": true});
    scene.sync(&Plan::new(destination.clone(), 4, 1)).await;
    let failed = Plan::new(destination.clone(), 2, 2).rows(json!({"fail": true}));
    let text = scene.refused("sync", &failed).await;
    assert!(text.contains("told to fail"), "{text}");
    assert_eq!(scene.count("peers_orders").await, "8", "no deletion was sent");
    // The next sync has rows for the types alone: the other tables keep theirs.
    scene
        .sync(
            &Plan::new(destination.clone(), 0, 3)
                .rows(json!({"types": 1}))
                .spec(keep),
        )
        .await;
    assert_eq!(scene.count("peers_types").await, "2");
    assert_eq!(scene.count("peers_orders").await, "8");
    scene
        .sync(&Plan::new(destination, 0, 4).rows(json!({"types": 1})))
        .await;
    assert_eq!(scene.count("peers_orders").await, "0", "without the option they go");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_cli_prints_what_postgres_refused_with_table_column_and_sqlstate() {
    let scene = Scene::create().await;
    let destination = json!({"write_mode": "append"});
    scene.sync(&Plan::new(destination.clone(), 2, 1)).await;
    scene
        .database
        .execute("alter table peers_orders add constraint few check (number < 3)")
        .await;
    let text = scene.refused("sync", &Plan::new(destination, 5, 2)).await;
    for word in ["peers_orders", "few", "23514"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains("revision 2"), "no value in {text}");
}
