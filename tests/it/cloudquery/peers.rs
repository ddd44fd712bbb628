//! The real CLI and the real `test` source against pgflight, compared with what the Go `postgresql` destination makes of the
//! same source in a second database.
//!
//! The three programs are looked for in the directory `PGFLIGHT_CLOUDQUERY_PEERS` (`cloudquery`, `cq-source-test`,
//! `cq-destination-postgresql`). Where it is not set when the tests are built, these tests are listed as ignored with that
//! reason, and never as passed.

use std::path::PathBuf;

use super::real::{finish, recorded, start};
use crate::support::database::Database;
use crate::support::server::Server;

fn peer(name: &str) -> PathBuf {
    let directory = std::env::var("PGFLIGHT_CLOUDQUERY_PEERS").expect("PGFLIGHT_CLOUDQUERY_PEERS names a directory");
    let path = PathBuf::from(directory).join(name);
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

/// Options of one sync.
#[derive(Clone, Copy, Debug)]
struct Sync<'a> {
    /// Lines of the destination's spec.
    destination: &'a str,
    /// Lines of the source's nested spec.
    source: &'a str,
    /// Lines of the source's spec.
    options: &'a str,
}

const PLAIN: Sync<'static> = Sync {
    destination: "write_mode: overwrite-delete-stale",
    source: "num_clients: 2\nnum_rows: 5\nnum_sub_rows: 3",
    options: "",
};

fn indented(lines: &str, by: usize) -> String {
    lines
        .lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}

fn config(sync: Sync<'_>, registry: &str, path: &str, uri: &str) -> String {
    format!(
        "kind: source\nspec:\n  name: test\n  path: {source}\n  registry: local\n  version: v4.0.0\n  tables: [\"*\"]\n  \
         skip_tables: [test_paid_table]\n  destinations: [target]\n{options}  spec:\n{nested}---\nkind: destination\nspec:\n  \
         name: target\n  path: {path}\n  registry: {registry}\n  version: v8.0.0\n{destination}  spec:\n    \
         connection_string: \"{uri}\"\n",
        source = peer("cq-source-test").display(),
        options = indented(sync.options, 2),
        nested = indented(sync.source, 4),
        destination = indented(sync.destination, 2),
    )
}

/// Runs the CLI of `PGFLIGHT_CLOUDQUERY_PEERS`.
async fn cli(command: &str, config: &str) -> Result<String, String> {
    finish(start(&peer("cloudquery"), command, config)).await
}

/// The same for a command that must work; what it prints.
async fn run(command: &str, config: &str) -> String {
    cli(command, config)
        .await
        .unwrap_or_else(|text| panic!("{command} of\n{config}\n{text}"))
}

/// Two databases: one that the Go destination writes, one that pgflight writes.
struct Pair {
    go: Database,
    ours: Database,
    server: Server,
}

impl Pair {
    async fn create() -> Self {
        let (go, ours) = (Database::create().await, Database::create().await);
        let server = Server::start(&ours).await;
        Self { go, ours, server }
    }

    fn go_config(&self, sync: Sync<'_>) -> String {
        config(
            sync,
            "local",
            &peer("cq-destination-postgresql").display().to_string(),
            self.go.uri(),
        )
    }

    fn our_config(&self, sync: Sync<'_>) -> String {
        self.our_config_for(sync, &self.ours)
    }

    fn our_config_for(&self, sync: Sync<'_>, database: &Database) -> String {
        config(sync, "grpc", &self.server.address().to_string(), database.uri())
    }

    async fn run(&self, command: &str, sync: Sync<'_>) {
        for config in [self.go_config(sync), self.our_config(sync)] {
            run(command, &config).await;
        }
    }

    /// Columns, types, nullability, constraints and indexes are equal.
    async fn assert_same_shape(&self) {
        for statement in [
            "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull from pg_attribute a \
             join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' \
             and a.attnum > 0 and not a.attisdropped order by c.relname, a.attnum",
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint \
             where connamespace = 'public'::regnamespace order by 1, 2",
            "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2",
        ] {
            let (go, ours) = (self.go.lines(statement).await, self.ours.lines(statement).await);
            assert!(
                !go.is_empty() || !statement.contains("attname"),
                "the Go destination made tables"
            );
            assert_eq!(ours, go);
        }
    }

    /// Rows are equal but for ids, times and what is random in the source.
    async fn assert_same_rows(&self) {
        let tables =
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1";
        for table in self.go.lines(tables).await {
            let columns = format!(
                "select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped \
                 and attname not in ('_cq_id', '_cq_parent_id', '_cq_sync_time', '_cq_sync_group_id', 'sync_id', \
                 'sync_duration_ms', 'durations_per_table_ms', 'destination_path', 'destination_version') and attname !~ 'uuid'"
            );
            let columns = self.go.lines(&columns).await;
            // The test data of the source are random but for their form, so the form is compared.
            let form = |column: &String| match table == "test_testdata_table" {
                true => {
                    format!("regexp_replace(regexp_replace(\"{column}\"::text, '[0-9]+', '0', 'g'), '[a-f]', 'x', 'g')")
                }
                false => format!("\"{column}\"::text"),
            };
            let list: Vec<String> = columns.iter().map(form).collect();
            let statement = format!("select {} from \"{table}\" order by 1, 2, 3, 4", list.join(", "));
            assert_eq!(
                self.ours.lines(&statement).await,
                self.go.lines(&statement).await,
                "{table}"
            );
        }
    }

    async fn assert_same(&self) {
        self.assert_same_shape().await;
        self.assert_same_rows().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn syncs_of_every_write_mode_make_what_the_go_destination_makes() {
    for mode in ["overwrite-delete-stale", "overwrite", "append"] {
        let pair = Pair::create().await;
        let destination = format!("write_mode: {mode}\nsend_sync_summary: true");
        let first = Sync {
            destination: &destination,
            ..PLAIN
        };
        // In the second sync with fewer rows: stale ones go, or stay, or double.
        for source in [first.source, "num_clients: 1\nnum_rows: 3\nnum_sub_rows: 2"] {
            pair.run("sync", Sync { source, ..first }).await;
            pair.assert_same().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn syncs_of_every_other_option_make_what_the_go_destination_makes() {
    for (destination, source, options) in [
        (
            "write_mode: overwrite-delete-stale\nmigrate_mode: forced",
            PLAIN.source,
            "",
        ),
        (
            "write_mode: overwrite\npk_mode: cq-id-only",
            PLAIN.source,
            "deterministic_cq_id: true",
        ),
        (
            "write_mode: overwrite\nsync_group_id: \"group-{{YEAR}}\"\nsend_sync_summary: true",
            PLAIN.source,
            "",
        ),
        (
            "write_mode: append\nsync_group_id: \"group-{{YEAR}}\"",
            PLAIN.source,
            "",
        ),
    ] {
        let pair = Pair::create().await;
        for _ in 0..2 {
            let sync = Sync {
                destination,
                source,
                options,
            };
            pair.run("sync", sync).await;
            pair.assert_same().await;
        }
    }
}

/// The CLI hands inserts to a goroutine and deletions not, so that a deletion can overtake the rows that it is about; then
/// they stay, whatever the destination. Syncs are repeated until the deletion came last for both.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn deleted_records_are_gone_as_with_the_go_destination() {
    let pair = Pair::create().await;
    let source = "num_clients: 1\nnum_rows: 4\nnum_sub_rows: 2\ndelete_records: [1, 2]";
    let sync = Sync {
        destination: "write_mode: overwrite",
        source,
        options: "",
    };
    for (config, database) in [(pair.go_config(sync), &pair.go), (pair.our_config(sync), &pair.ours)] {
        let mut left = String::new();
        for _ in 0..8 {
            run("sync", &config).await;
            left = database
                .value("select string_agg(resource_id::text, ',' order by resource_id) from test_some_table")
                .await;
            if left == "3,4" {
                break;
            }
        }
        assert_eq!(left, "3,4");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn migrate_test_connection_and_validate_config_work() {
    let pair = Pair::create().await;
    pair.run("migrate", PLAIN).await;
    pair.assert_same().await;
    pair.run("test-connection", PLAIN).await;
    pair.run("validate-config", PLAIN).await;
    for (command, part, wrong, reason) in [
        (
            "validate-config",
            "connection_string:",
            "batch_size: 0\n    connection_string:",
            "batch_size",
        ),
        (
            "test-connection",
            pair.ours.name(),
            "no_such_database",
            "UNKNOWN_DATABASE",
        ),
    ] {
        let config = pair.our_config(PLAIN).replace(part, wrong);
        let text = cli(command, &config).await.expect_err("the configuration is wrong");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn databases_change_hands_between_the_destinations_without_a_migration() {
    let pair = Pair::create().await;
    let ours = pair.our_config_for(PLAIN, &pair.go);
    let files = "select string_agg(relname || relfilenode, ',' order by relname) from pg_class \
                 where relnamespace = 'public'::regnamespace";
    run("sync", &pair.go_config(PLAIN)).await;
    let made = pair.go.value(files).await;
    for config in [&ours, &pair.go_config(PLAIN), &ours] {
        run("sync", config).await;
        assert_eq!(pair.go.value(files).await, made, "no table or index was made anew");
        assert_eq!(pair.go.value("select count(*) from test_some_table").await, "10");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn the_binary_works_as_a_local_plugin() {
    let database = Database::create().await;
    let config = config(PLAIN, "local", env!("CARGO_BIN_EXE_pgflight"), database.uri());
    let text = run("sync", &config).await;
    assert!(
        !text.contains("failed with") && !text.contains("unknown level"),
        "{text}"
    );
    assert_eq!(database.value("select count(*) from test_some_table").await, "10");
    for command in ["validate-config", "test-connection"] {
        run(command, &config).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_peers), ignore = "NOT RUN: no Go destination here")]
async fn what_was_recorded_is_what_the_go_destination_makes() {
    recorded::check(&peer("cq-destination-postgresql")).await;
}
