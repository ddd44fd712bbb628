//! `pgvector_config` in the spec that the real CLI sends: rows of its source get their vectors.

use serde_json::json;

use super::{Plan, Scene};
use crate::support::embeddings::{Stub, drained, settings};

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn rows_of_a_source_are_embedded_as_the_spec_of_the_cli_says() {
    for scene in Scene::of_every_version().await {
        let stub = Stub::start(8).await;
        let mut vectors = settings(&stub, 8)["pgvector_config"].clone();
        vectors["tables"] = json!([{
            "source_table_name": "peers_orders", "target_table_name": "order_vectors",
            "embed_columns": ["label"], "metadata_columns": ["account", "number"],
        }]);
        let plan = |orders, revision| {
            Plan::new(json!({"write_mode": "overwrite-delete-stale"}), orders, revision)
                .spec(json!({"pgvector_config": vectors}))
        };
        scene.run("validate-config", &plan(3, 1)).await;
        let state = "select string_agg(distinct account || number, ' '), bool_and(chunk like 'order %'), \
                     string_agg(distinct substring(chunk from 'revision (.)'), ' '), count(embedding) >= 6 from order_vectors";
        scene.sync(&plan(3, 1)).await;
        drained(&scene.database).await;
        assert!(stub.requests() > 0);
        let first = scene.database.value(state).await;
        assert!(
            first.starts_with("first0 first1 first2 second0 second1 second2|"),
            "{first}"
        );
        scene.sync(&plan(2, 2)).await;
        drained(&scene.database).await;
        let second = scene.database.value(state).await;
        assert!(second.starts_with("first0 first1 second0 second1|"), "{second}");
        let of_rows = "select count(*) from order_vectors v left join peers_orders o using (_cq_id) where o is null";
        assert_eq!(scene.database.value(of_rows).await, "0");
    }
}
