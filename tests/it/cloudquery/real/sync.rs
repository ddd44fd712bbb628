//! Syncs of the real CLI that change tables, delete records, or keep state in the destination.

use serde_json::json;

use super::tables::{ignored, rows_of};
use super::{Plan, Scene};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn safe_migrations_add_columns_and_refuse_other_types_with_their_reason() {
    let scene = Scene::create().await;
    let safe = json!({"write_mode": "overwrite", "migrate_mode": "safe"});
    scene.sync(&Plan::new(safe.clone(), 4, 1)).await;
    let wider = Plan::new(safe, 4, 2).rows(json!({"extra_column": true}));
    scene.sync(&wider).await;
    assert_eq!(
        scene.columns("peers_orders").await.last().map(String::as_str),
        Some("extra double precision")
    );
    let orders = "select count(*), count(extra), min(substring(label from 'revision (.)')) from peers_orders";
    assert_eq!(scene.database.value(orders).await, "8|8|2");

    let text = scene
        .refused("sync", &wider.rows(json!({"retype": true, "revision": 3})))
        .await;
    for word in ["peers_orders", "quantity", "bigint", "text", "forced"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(scene.database.value(orders).await, "8|8|2", "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn forced_migrations_make_the_table_anew_and_leave_the_others() {
    let scene = Scene::create().await;
    let forced = json!({"write_mode": "append", "migrate_mode": "forced"});
    scene.sync(&Plan::new(forced.clone(), 4, 1)).await;
    scene.sync(&Plan::new(forced, 3, 2).rows(json!({"retype": true}))).await;
    let columns = scene.columns("peers_orders").await;
    assert!(columns.contains(&"quantity text!".to_owned()), "{columns:?}");
    assert_eq!(
        scene.count("peers_orders").await,
        "6",
        "a table that was made anew has the new rows"
    );
    assert_eq!(scene.count("peers_items").await, "28", "the others keep theirs");
    let file = scene.expected(&json!(2));
    let rows = rows_of(&file);
    let difference =
        super::tables::difference(&scene.database, "peers_orders", &rows["peers_orders"], &ignored()).await;
    assert!(
        difference.missing.is_empty() && difference.unexpected.is_empty(),
        "{difference:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn deleted_records_go_with_all_that_hangs_below_them() {
    let scene = Scene::create().await;
    let overwrite = json!({"write_mode": "overwrite"});
    scene.sync(&Plan::new(overwrite.clone(), 5, 1)).await;
    // A sync of its own: within one, the CLI may send a deletion before the rows that it is about.
    scene
        .sync(&Plan::new(overwrite, 0, 2).rows(json!({"delete": [1, 3, 99]})))
        .await;
    let left = "select string_agg(distinct number::text, ',' order by number::text) || ' ' || count(*) from";
    assert_eq!(scene.database.value(&format!("{left} peers_orders")).await, "0,2,4 6");
    assert_eq!(scene.database.value(&format!("{left} peers_items")).await, "0,2,4 12");
    assert_eq!(scene.count("peers_notes").await, "12");
    assert_eq!(scene.count("peers_types").await, "10");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn a_source_of_the_sdk_keeps_its_state_here() {
    let scene = Scene::create().await;
    let plan = Plan::new(json!({"write_mode": "overwrite"}), 2, 1).source(json!({
        "backend_options": {"table_name": "peers_state", "connection": "@@plugins.target.connection"},
    }));
    for syncs in ["1", "2", "3"] {
        scene.sync(&plan).await;
        let newest = "select value from peers_state where key = 'syncs' order by version desc limit 1";
        assert_eq!(scene.database.value(newest).await, syncs);
    }
    assert_eq!(scene.count("peers_orders").await, "4");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn batches_of_few_rows_write_the_same() {
    let scene = Scene::create().await;
    let plan = Plan::new(json!({"write_mode": "append"}), 9, 1)
        .spec(json!({"batch_size": 2, "batch_size_bytes": 1_000_000, "batch_timeout": "10ms", "retry_on_deadlock": 3}));
    scene.sync(&plan).await;
    scene.assert_rows(&[1], &ignored()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn a_column_with_a_name_of_70_bytes_is_found_again_by_the_second_sync() {
    for scene in Scene::of_every_version().await {
        // Postgres would cut the first name in the middle of a character.
        for name in [format!("{}ü{}", "n".repeat(62), "n".repeat(6)), "m".repeat(70)] {
            assert_eq!(name.len(), 70);
            let plan = |revision| {
                Plan::new(json!({"write_mode": "overwrite-delete-stale"}), 2, revision)
                    .rows(json!({"long_column": name}))
            };
            scene.sync(&plan(1)).await;
            let columns = scene.columns("peers_orders").await;
            scene.sync(&plan(2)).await;
            assert_eq!(scene.columns("peers_orders").await, columns);
            let cut: String = name.chars().take_while(|c| *c != 'ü').take(63).collect();
            let same = format!(
                "select count(*), bool_and(\"{cut}\" = label), min(substring(label from 'revision (.)')) from peers_orders"
            );
            assert_eq!(scene.database.value(&same).await, "4|t|2", "{name}");
        }
    }
}
