//! The CLI's other commands, pgflight as a plugin that the CLI starts, and the SDK's own test suite.

use std::process::Stdio;

use serde_json::json;

use super::programs::{cli, program};
use super::schemas::{FRONT, every_type, orders};
use super::tables::ignored;
use super::{Plan, Scene};

#[test]
fn without_go_the_script_says_so_and_builds_nothing() {
    let python = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("tests need python3");
    let python = String::from_utf8(python.stdout).expect("a path is text");
    for arguments in [&["check"][..], &[]] {
        let output = std::process::Command::new(python.trim())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cloudquery-peers"))
            .args(arguments)
            .env("PATH", "/nonexistent")
            .output()
            .expect("python3 starts");
        assert_eq!(output.status.code(), Some(69), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("no Go toolchain"),
            "{output:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_published_writer_suite_of_the_sdk_passes_in_full() {
    let scene = Scene::create().await;
    let output = tokio::process::Command::new(program("writer-suite"))
        .args([
            "-test.run",
            "^TestWriter$",
            "-test.v",
            "-test.count=1",
            "-test.timeout=300s",
        ])
        .env("PGFLIGHT_ADDRESS", scene.server.address().to_string())
        .env("NO_PROXY", "127.0.0.1,localhost")
        .current_dir(&scene.directory.0)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the suite starts");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    let ended = |how: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(how));
        lines.filter_map(|line| line.split_whitespace().next()).collect()
    };
    // What we do not declare safe is refused without force, and the suite has no case for a refusal.
    assert_eq!(
        ended("--- SKIP: "),
        [
            "TestWriter/TestMigrate/add_column_not_null_safe",
            "TestWriter/TestMigrate/change_column_safe",
            // The suite itself leaves out the forced one.
            "TestWriter/TestMigrate/double_migration#01",
        ],
        "{text}"
    );
    assert_eq!(ended("--- PASS: ").len(), 30, "{text}");
    assert_eq!(ended("--- FAIL: "), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn migrate_makes_the_tables_and_no_rows() {
    let scene = Scene::create().await;
    let plan = Plan::new(
        json!({"write_mode": "overwrite-delete-stale", "send_sync_summary": true}),
        3,
        1,
    );
    for _ in 0..2 {
        let text = scene.run("migrate", &plan).await;
        assert!(text.contains("Migration completed successfully"), "{text}");
    }
    assert_eq!(scene.columns("peers_orders").await, orders(&FRONT));
    assert_eq!(scene.columns("peers_types").await, every_type());
    for table in [
        "peers_items",
        "peers_notes",
        "peers_orders",
        "peers_types",
        "cloudquery_sync_summaries",
    ] {
        assert_eq!(scene.count(table).await, "0", "{table}");
    }
    // A sync may then leave the migration out.
    scene.sync(&plan).await;
    scene.assert_rows(&[1], &ignored()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn test_connection_says_what_is_wrong() {
    let scene = Scene::create().await;
    let plan = Plan::new(json!({}), 1, 1);
    scene.run("test-connection", &plan).await;
    let elsewhere = |uri: String| plan.clone().spec(json!({"connection_string": uri}));
    let uri = scene.database.uri();
    for (wrong, code) in [
        (
            elsewhere(uri.replace(scene.database.name(), "no_such_database")),
            "UNKNOWN_DATABASE",
        ),
        (elsewhere("postgres://nobody@127.0.0.1:9/x".to_owned()), "CONN_FAILED"),
        (
            elsewhere("postgres://u:p@no-such-host.invalid/x".to_owned()),
            "DNS_FAILED",
        ),
        (elsewhere("not a connection string".to_owned()), "INVALID_CONFIG"),
        (plan.clone().spec(json!({"batch_size": "many"})), "INVALID_SPEC"),
        (plan.clone().spec(json!({"aws_iam_auth": {}})), "INVALID_SPEC"),
        (
            plan.clone().spec(json!({"lakebase": {"endpoint": "e"}})),
            "INVALID_SPEC",
        ),
    ] {
        let text = scene.refused("test-connection", &wrong).await;
        assert!(text.contains(code), "{code} in {text}");
        assert!(!text.contains("u:p@"), "no password in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn validate_config_takes_the_go_plugins_spec_and_names_what_is_wrong() {
    let scene = Scene::create().await;
    let plan = Plan::new(json!({}), 1, 1);
    scene.run("validate-config", &plan).await;
    let of_the_go_plugin = json!({
        "pgx_log_level": "warn", "batch_size": 100, "batch_size_bytes": 1000, "batch_timeout": "1m30s",
        "create_performance_indexes": true, "retry_on_deadlock": 2, "pgvector_config": null,
    });
    scene.run("validate-config", &plan.clone().spec(of_the_go_plugin)).await;
    for (key, value) in [
        ("batch_size", json!(0)),
        ("batch_size", json!("many")),
        ("batch_timeout", json!("")),
        ("connection_string", json!("")),
        ("pgx_log_level", json!(null)),
        ("no_such_key", json!(1)),
    ] {
        let text = scene
            .refused("validate-config", &plan.clone().spec(json!({key: value})))
            .await;
        assert!(text.contains(key), "{key} = {value}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_cli_starts_and_stops_the_binary_as_a_plugin() {
    let scene = Scene::create().await;
    let local = json!({"registry": "local", "path": env!("CARGO_BIN_EXE_pgflight")});
    let plan = Plan::new(
        json!({"write_mode": "overwrite-delete-stale", "send_sync_summary": true}),
        4,
        1,
    );
    let config = scene.config_of(&plan, &local);
    for command in ["validate-config", "test-connection", "migrate", "sync"] {
        let text = cli(command, &config)
            .await
            .unwrap_or_else(|text| panic!("{command}: {text}"));
        for complaint in ["failed with", "unknown level", "level\":\"unknown"] {
            assert!(!text.contains(complaint), "{command}: {text}");
        }
    }
    scene.assert_rows(&[1], &ignored()).await;
    let counted = "select destination_errors, destination_warnings from cloudquery_sync_summaries";
    assert_eq!(
        scene.database.value(counted).await,
        "0|0",
        "the CLI counts levels of our log lines"
    );
    // A source that keeps its state here reaches the plugin's socket.
    let state = json!({"table_name": "peers_state", "connection": "@@plugins.target.connection"});
    let config = scene.config_of(&plan.source(json!({"backend_options": state})), &local);
    cli("sync", &config).await.unwrap_or_else(|text| panic!("{text}"));
    assert_eq!(scene.database.value("select value from peers_state").await, "1");
}

/// The rest of this family runs on the newest version; here on the oldest.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn the_real_programs_do_the_same_on_the_oldest_version_of_postgres() {
    let oldest = crate::support::cluster::versions()[0];
    let families = [
        "modes::",
        "sync::",
        "ending::",
        "commands::the",
        "commands::m",
        "commands::test",
    ];
    let mut command = std::process::Command::new(std::env::current_exe().expect("the test program"));
    command.args(families.map(|family| format!("cloudquery::real::{family}")));
    command
        .args(["--skip", "the_real_programs_do", "--test-threads", "2"])
        .env("PGFLIGHT_TEST_PG", oldest.to_string());
    let run = tokio::task::spawn_blocking(move || command.output()).await;
    let run = run.expect("a thread").expect("the test program starts");
    let out = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "PostgreSQL {oldest}\n{out}\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(!out.contains(" 0 passed"), "{out}");
}
