//! A transformer on the published SDK between the source and pgflight: tables under other names, a column less, a column more.

use serde_json::json;

use super::programs::{cli, program};
use super::{Plan, Scene};

/// The configuration of a plan with the transformer in between.
fn between(scene: &Scene, plan: &Plan) -> String {
    let place = json!({"registry": "grpc", "path": scene.server.address().to_string(), "transformers": ["loud"]});
    let transformer = json!({"kind": "transformer", "spec": {
        "name": "loud", "registry": "local", "path": program("transformer"), "version": "v1.0.0",
        "spec": {"prefix": "moved_", "drop": "hardware", "shout": "label"},
    }});
    format!("{}\n---\n{transformer}", scene.config_of(plan, &place))
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn what_a_transformer_makes_of_tables_and_rows_is_written_and_its_stale_rows_go() {
    for scene in Scene::of_every_version().await {
        let plan = |orders, revision| Plan::new(json!({"write_mode": "overwrite-delete-stale"}), orders, revision);
        for (orders, revision) in [(4, 1), (2, 2)] {
            let config = between(&scene, &plan(orders, revision));
            let text = cli("sync", &config).await.unwrap_or_else(|text| panic!("{text}"));
            assert!(text.contains("Sync completed successfully"), "{text}");
        }
        let tables = "select string_agg(relname, ' ' order by relname) from pg_class where relkind = 'r' and relname like '%peers%'";
        assert_eq!(
            scene.database.value(tables).await,
            "moved_peers_items moved_peers_notes moved_peers_orders moved_peers_types"
        );
        let columns = scene.columns("moved_peers_orders").await;
        assert!(
            !columns.iter().any(|column| column.starts_with("hardware")),
            "{columns:?}"
        );
        assert_eq!(columns.last().map(String::as_str), Some("label_loud text"));
        let rows = "select count(*), bool_and(label_loud = translate(upper(label), 'üï', 'ÜÏ')), min(substring(label from 'revision (.)')) \
                    from moved_peers_orders";
        assert_eq!(scene.database.value(rows).await, "4|t|2");
        assert_eq!(scene.count("moved_peers_notes").await, "8");
    }
}
