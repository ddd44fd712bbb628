//! Sources on the published SDKs of other languages, which the real CLI syncs into pgflight.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::programs::cli;
use super::{Scene, documents};
use crate::support::javascript;
use crate::support::process::free_address;
use crate::support::python::Python;

/// A source that serves; ended when dropped.
struct Source {
    child: Child,
    address: String,
}

impl Source {
    fn serve(mut command: Command) -> Self {
        let address = free_address().to_string();
        let child = command
            .args(["serve", "--address", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the source starts");
        let source = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(&source.address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the source does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        source
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Syncs that many rows from the source.
async fn sync(scene: &Scene, source: &Source, rows: u32, revision: u32, mode: &str) {
    let config = documents(&[
        json!({"kind": "source", "spec": {
            "name": "other", "registry": "grpc", "path": source.address, "tables": ["*"], "destinations": ["target"],
            "spec": {"rows": rows, "revision": revision},
        }}),
        json!({"kind": "destination", "spec": {
            "name": "target", "registry": "grpc", "path": scene.server.address().to_string(), "write_mode": mode,
            "spec": {"connection_string": scene.database.uri()},
        }}),
    ]);
    let text = cli("sync", &config).await.unwrap_or_else(|text| panic!("{text}"));
    assert!(text.contains("Sync completed successfully"), "{text}");
}

/// Rows that are there and should not be, and the other way round. `columns` are expressions over the number of a row, for a row
/// that has values; every third has none in the columns after the first three.
async fn differences(scene: &Scene, table: &str, rows: u32, revision: u32, columns: &[(&str, &str)]) -> Vec<String> {
    let first = [
        ("id", "id::bigint".to_owned()),
        ("revision", format!("{revision}::bigint")),
        (
            "identity",
            "('00000000-0000-4000-8000-' || lpad(id::text, 12, '0'))::uuid".to_owned(),
        ),
    ];
    let rest = columns
        .iter()
        .map(|(name, value)| (*name, format!("case when id % 3 <> 0 then {value} end")));
    let (names, values): (Vec<&str>, Vec<String>) = first.into_iter().chain(rest).unzip();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let found = format!("select {} from {table}", quoted.join(", "));
    let expected = format!("select {} from generate_series(1, {rows}) as id", values.join(", "));
    scene
        .database
        .lines(&format!(
            "select 'found' as what, x.* from (({found}) except all ({expected})) x union all \
             select 'missing', y.* from (({expected}) except all ({found})) y"
        ))
        .await
}

const VALUES: [(&str, &str); 4] = [
    ("name", r#"'row ' || id || ', "quoted" \ ünïcode 🐟'"#),
    ("ratio", "id::float8 / 7"),
    ("even", "id % 2 = 0"),
    (
        "document",
        r#"jsonb_build_object('z', '[1, 2.5, null, "<&>"]'::jsonb, 'n', id)"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(all(cloudquery_cli, node)),
    ignore = "NOT RUN: no Go for tests/peers/go, or no Node.js 20 for tests/peers/javascript"
)]
async fn a_source_on_the_javascript_sdk_is_synced_row_by_row_and_its_stale_rows_go() {
    let source = Source::serve(javascript::source());
    for scene in Scene::of_every_version().await {
        let more = [
            ("at", "timestamp '2024-02-29 23:59:58.123'"),
            ("tags", r#"array['a,b', '', 'c"d', id::text]"#),
        ];
        let values: Vec<_> = VALUES.into_iter().chain(more).collect();
        sync(&scene, &source, 7, 1, "overwrite-delete-stale").await;
        sync(&scene, &source, 4, 2, "overwrite-delete-stale").await;
        assert_eq!(
            differences(&scene, "js_parents", 4, 2, &values).await,
            Vec::<String>::new()
        );
        assert_eq!(scene.count("js_children").await, "8");
        sync(&scene, &source, 5, 3, "overwrite").await;
        assert_eq!(
            differences(&scene, "js_parents", 5, 3, &values).await,
            Vec::<String>::new()
        );
        let keys = "select string_agg(pg_get_constraintdef(oid), ' ' order by 1) from pg_constraint where contype = 'p' \
                    and conrelid::regclass::text like 'js%'";
        let keys = scene.database.value(keys).await;
        assert!(
            keys.contains("(id)") && keys.contains("(parent, \"position\")"),
            "{keys}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn a_source_on_the_python_sdk_is_synced_row_by_row_and_its_stale_rows_go() {
    let source = Source::serve(Python::pinned().command("cloudquery_source.py"));
    for scene in Scene::of_every_version().await {
        let more = [
            ("at", "timestamp '2024-02-29 23:59:58.123456'"),
            ("day", "date '2024-02-29'"),
            ("raw", "'\\x00ff'::bytea || set_byte('\\x00', 0, id)"),
        ];
        let values: Vec<_> = VALUES.into_iter().chain(more).collect();
        sync(&scene, &source, 7, 1, "overwrite-delete-stale").await;
        sync(&scene, &source, 4, 2, "overwrite-delete-stale").await;
        assert_eq!(
            differences(&scene, "py_parents", 4, 2, &values).await,
            Vec::<String>::new()
        );
        assert_eq!(scene.count("py_children").await, "8");
        sync(&scene, &source, 5, 3, "overwrite").await;
        assert_eq!(
            differences(&scene, "py_parents", 5, 3, &values).await,
            Vec::<String>::new()
        );
    }
}
