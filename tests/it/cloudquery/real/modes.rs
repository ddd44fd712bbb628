//! Syncs of the real CLI in every write mode, key mode and with sync groups: tables, keys and rows.

use serde_json::json;

use super::programs::cli_with;
use super::schemas::{FRONT, every_type, orders};
use super::tables::{OF_THE_CLI, ignored};
use super::{Plan, Scene};

/// What the source's own keys amount to.
const KEYS: [&str; 6] = [
    "peers_items__cq_id_key unique _cq_id",
    "peers_items_pkey primary account,number,position",
    "peers_notes_pkey primary _cq_id",
    "peers_orders__cq_id_key unique _cq_id",
    "peers_orders_pkey primary account,number",
    "peers_types__cq_id_key unique _cq_id",
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn overwrite_delete_stale_leaves_the_rows_of_the_last_sync_in_every_type() {
    let scene = Scene::create().await;
    let plan = |count, revision| {
        Plan::new(json!({"write_mode": "overwrite-delete-stale"}), count, revision)
            .spec(json!({"create_performance_indexes": true}))
    };
    scene.sync(&plan(7, 1)).await;
    assert_eq!(scene.columns("peers_orders").await, orders(&FRONT));
    assert_eq!(scene.columns("peers_types").await, every_type());
    let mut keys: Vec<String> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    keys.push("peers_types_pkey primary id".to_owned());
    let tables = ["peers_items", "peers_notes", "peers_orders", "peers_types"];
    keys.extend(tables.map(|table| format!("{table}_cqpi index _cq_source_name,_cq_sync_time")));
    keys.sort();
    assert_eq!(scene.keys().await, keys);
    scene.assert_rows(&[1], &ignored()).await;
    scene.sync(&plan(4, 2)).await;
    scene.assert_rows(&[2], &ignored()).await;
    let source = "select string_agg(distinct _cq_source_name, ','), count(distinct _cq_sync_time) from peers_notes";
    assert_eq!(scene.database.value(source).await, "peers|1");
    assert_eq!(
        scene
            .database
            .value("select obj_description('peers_orders'::regclass)")
            .await,
        "Orders of every account"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn overwrite_replaces_rows_by_key_and_keeps_the_others() {
    let scene = Scene::create().await;
    let destination = json!({"write_mode": "overwrite"});
    scene.sync(&Plan::new(destination.clone(), 5, 1)).await;
    scene.sync(&Plan::new(destination, 3, 2)).await;
    let revisions =
        "select string_agg(distinct number || ':' || substring(label from 'revision (.)'), ' ') from peers_orders";
    assert_eq!(scene.database.value(revisions).await, "0:2 1:2 2:2 3:1 4:1");
    assert_eq!(scene.count("peers_orders").await, "10");
    assert_eq!(scene.count("peers_items").await, "20");
    assert_eq!(scene.count("peers_types").await, "10");
    assert_eq!(
        scene.count("peers_notes").await,
        "32",
        "rows without a key of their own are new every time"
    );
    let tables = "select string_agg(conname, ' ' order by conname) from pg_constraint where contype = 'p' and connamespace = \
                  'public'::regnamespace";
    assert_eq!(
        scene.database.value(tables).await,
        "peers_items_pkey peers_notes_pkey peers_orders_pkey peers_types_pkey"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn append_keeps_every_row_of_every_sync_and_no_key() {
    let scene = Scene::create().await;
    for revision in [1, 2] {
        scene
            .sync(&Plan::new(json!({"write_mode": "append"}), 4, revision))
            .await;
    }
    assert_eq!(scene.columns("peers_orders").await, orders(&FRONT), "NOT NULL stays");
    assert_eq!(scene.keys().await, Vec::<String>::new());
    scene.assert_rows(&[1, 2], &ignored()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn deterministic_ids_with_the_id_as_the_only_key_are_the_same_in_every_sync() {
    let scene = Scene::create().await;
    let destination = json!({"write_mode": "overwrite", "pk_mode": "cq-id-only"});
    let plan = |revision| Plan::new(destination.clone(), 4, revision).source(json!({"deterministic_cq_id": true}));
    scene.sync(&plan(1)).await;
    let keys =
        ["peers_items", "peers_notes", "peers_orders", "peers_types"].map(|t| format!("{t}_pkey primary _cq_id"));
    assert_eq!(
        scene.keys().await,
        keys,
        "the unique constraint and the key are one index"
    );
    // Now ids are known too, so they are compared.
    scene.assert_rows(&[1], &OF_THE_CLI).await;
    let ids = "select string_agg(_cq_id::text, ',' order by account, number) from peers_orders";
    let before = scene.database.value(ids).await;
    scene.sync(&plan(2)).await;
    assert_eq!(scene.database.value(ids).await, before);
    assert_eq!(scene.count("peers_orders").await, "8");
    let orphans =
        "select count(*) from peers_items i left join peers_orders o on o._cq_id = i._cq_parent_id where o is null";
    assert_eq!(scene.database.value(orphans).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_only_key_can_become_the_id_without_force() {
    let scene = Scene::create().await;
    scene.sync(&Plan::new(json!({"write_mode": "overwrite"}), 3, 1)).await;
    let moved = json!({"write_mode": "overwrite", "pk_mode": "cq-id-only"});
    scene.sync(&Plan::new(moved, 3, 2)).await;
    let key = "select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where contype = 'p' and \
               conrelid = 'peers_orders'::regclass";
    assert_eq!(
        scene.database.value(key).await,
        "peers_orders_pkey PRIMARY KEY (_cq_id)"
    );
    assert_eq!(
        scene.count("peers_orders").await,
        "12",
        "random ids: rows of both syncs"
    );
    scene.assert_rows(&[1, 2], &ignored()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn sync_groups_are_part_of_the_key_and_summaries_are_written() {
    let scene = Scene::create().await;
    let destination =
        |group: &str| json!({"write_mode": "overwrite", "sync_group_id": group, "send_sync_summary": true});
    scene.sync(&Plan::new(destination("one"), 3, 1)).await;
    scene.sync(&Plan::new(destination("one"), 3, 2)).await;
    scene.sync(&Plan::new(destination("two-{{YEAR}}"), 3, 3)).await;
    let front = [FRONT[0], FRONT[1], "_cq_sync_group_id text!"];
    assert_eq!(scene.columns("peers_orders").await, orders(&front));
    let keys = scene.keys().await;
    let expected = [
        "peers_orders_pkey primary _cq_sync_group_id,account,number",
        "cloudquery_sync_summaries_pkey primary _cq_sync_group_id",
    ];
    for key in expected {
        assert!(keys.iter().any(|found| found == key), "{key} among {keys:?}");
    }
    let groups = "select regexp_replace(_cq_sync_group_id, '20\\d\\d', 'year'), count(*), \
                  min(substring(label from 'revision (.)')) from peers_orders group by 1 order by 1";
    assert_eq!(scene.database.lines(groups).await, ["one|6|2", "two-year|6|3"]);
    let summaries = "select resources, source_errors, destination_errors, source_name, destination_name, \
                     resources_per_table->>'peers_items', 'peers_notes' = any (source_tables) \
                     from cloudquery_sync_summaries order by _cq_sync_group_id";
    let summary = "36|0|0|peers|target|12|t";
    assert_eq!(scene.database.lines(summaries).await, [summary, summary]);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn sync_groups_and_summaries_append() {
    let scene = Scene::create().await;
    let destination = json!({"write_mode": "append", "sync_group_id": "g", "send_sync_summary": true});
    for revision in [1, 2] {
        scene.sync(&Plan::new(destination.clone(), 2, revision)).await;
    }
    scene.assert_rows(&[1, 2], &ignored()).await;
    assert_eq!(scene.count("cloudquery_sync_summaries").await, "2");
    assert_eq!(scene.keys().await, Vec::<String>::new());
    assert_eq!(
        scene
            .database
            .value("select string_agg(distinct _cq_sync_group_id, ',') from peers_types")
            .await,
        "g"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn shards_of_a_sync_together_leave_what_one_sync_leaves() {
    for scene in Scene::of_every_version().await {
        for (orders, revision) in [(4, 1), (3, 2)] {
            for shard in ["1/2", "2/2"] {
                let plan = Plan::new(json!({"write_mode": "overwrite-delete-stale"}), orders, revision);
                // Each of them writes its own file of what it sent.
                let config = scene.config(&plan);
                let text = cli_with("sync", &config, &["--shard", shard]).await;
                let text = text.unwrap_or_else(|text| panic!("{text}"));
                assert!(text.contains("Sync completed successfully"), "{text}");
            }
        }
        let rows = "select account || ' ' || count(*) || ' ' || min(substring(label from 'revision (.)')) || ' ' || \
                    count(distinct _cq_source_name) from peers_orders group by account order by 1";
        assert_eq!(scene.database.lines(rows).await, ["first 3 2 1", "second 3 2 1"]);
        let sources = "select string_agg(distinct _cq_source_name, ' ' order by _cq_source_name) from peers_orders";
        assert_eq!(scene.database.value(sources).await, "peers_1_2 peers_2_2");
        assert_eq!(scene.count("peers_items").await, "12");
        assert_eq!(scene.count("peers_types").await, "6");
    }
}
