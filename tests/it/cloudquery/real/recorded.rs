//! What the Go `postgresql` destination made of syncs of our source, recorded in `tests/golden/cloudquery`, and pgflight
//! held against it: the Go destination itself cannot be had everywhere, since no module proxy serves a version of it.
//!
//! A recording is the DDL of the tables in one file and their rows as JSON in another. The test `what_was_recorded_is_what_
//! the_go_destination_makes` compares it with the real one where there is one, and writes it anew with PGFLIGHT_REWRITE_GOLDEN=1.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::programs::cli;
use super::tables::{Rows, difference, ignored, rows_of};
use super::{Plan, Scene};
use crate::support::database::Database;

/// Columns, keys and indexes as statements that make them.
const SHAPE: &str = "\
    select statement from (
        select 1 as place, relname, '' as name, format('create table %I (%s);', relname, string_agg(
                   format('%I %s', attname, format_type(atttypid, atttypmod)) || case when attnotnull then ' not null' else '' end,
                   ', ' order by attnum)) as statement
            from pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0 and not attisdropped
            where relnamespace = 'public'::regnamespace and relkind = 'r' group by relname
        union all
        select 2, conrelid::regclass::text, conname,
               format('alter table %s add constraint %I %s;', conrelid::regclass, conname, pg_get_constraintdef(oid))
            from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
        union all
        select 3, tablename, indexname, indexdef || ';' from pg_indexes where schemaname = 'public'
            and not exists (select from pg_constraint where conname = indexname and connamespace = 'public'::regnamespace)
    ) as statements order by relname, place, name";

/// The statement that gives a table's rows as JSON: values as their text, because a JSON number would lose digits.
const ROWS: &str = "\
    select format('select (jsonb_object(array[%s], array[%s]) || jsonb_build_object(%s))::text from %s order by 1',
                  string_agg(quote_literal(attname), ', ') filter (where atttypid <> 'jsonb'::regtype),
                  string_agg(quote_ident(attname) || '::text', ', ') filter (where atttypid <> 'jsonb'::regtype),
                  string_agg(quote_literal(attname) || ', ' || quote_ident(attname), ', ') filter (where atttypid = 'jsonb'::regtype),
                  min(attrelid::regclass::text))
    from pg_attribute where attnum > 0 and not attisdropped and attrelid";

/// Times and versions of a sync, which no two runs share.
const SUMMARIES: &str = "cloudquery_sync_summaries";

/// Syncs that were recorded, one after the other into one database.
struct Case {
    name: &'static str,
    destination: Value,
    spec: Value,
    source: Value,
    /// Rows of the table with every type, some 50 kB each.
    types: u32,
    /// Orders per account, and the revision of their labels.
    syncs: &'static [(u32, u32)],
}

fn cases() -> Vec<Case> {
    let case = |name, destination, syncs| Case {
        name,
        destination,
        spec: json!({}),
        source: json!({}),
        types: 0,
        syncs,
    };
    vec![
        Case {
            spec: json!({"create_performance_indexes": true}),
            types: 1,
            ..case(
                "overwrite-delete-stale",
                json!({"write_mode": "overwrite-delete-stale", "send_sync_summary": true}),
                &[(3, 1), (2, 2)],
            )
        },
        case("append", json!({"write_mode": "append"}), &[(1, 1), (1, 2)]),
        case(
            "sync-group",
            json!({"write_mode": "overwrite", "sync_group_id": "a"}),
            &[(1, 1)],
        ),
        Case {
            source: json!({"deterministic_cq_id": true}),
            types: 1,
            ..case(
                "cq-id-only",
                json!({"write_mode": "overwrite", "pk_mode": "cq-id-only", "migrate_mode": "forced"}),
                &[(1, 1), (1, 2)],
            )
        },
    ]
}

impl Case {
    fn plan(&self, (orders, revision): (u32, u32)) -> Plan {
        Plan::new(self.destination.clone(), orders, revision)
            .rows(json!({"types": self.types}))
            .spec(self.spec.clone())
            .source(self.source.clone())
    }

    fn file(&self, kind: &str) -> PathBuf {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cloudquery");
        golden.join(format!("{}.{kind}", self.name))
    }

    fn shape(&self) -> String {
        std::fs::read_to_string(self.file("sql")).expect("tests/golden/cloudquery has every case")
    }

    /// The database holds what was recorded: the same tables, and the same rows apart from ids and times.
    async fn assert_recorded(&self, database: &Database) {
        assert_eq!(shape(database).await, self.shape(), "{}", self.name);
        for (table, rows) in rows_of(&self.file("jsonl")) {
            let difference = difference(database, &table, &rows, &ignored()).await;
            assert!(
                difference.missing.is_empty() && difference.unexpected.is_empty(),
                "{}: {table}: {difference:#?}",
                self.name
            );
        }
    }

    /// Makes the recorded database.
    async fn restore(&self, database: &Database) {
        database.execute(&self.shape()).await;
        for (table, rows) in rows_of(&self.file("jsonl")) {
            let insert =
                format!("insert into {table} select * from jsonb_populate_recordset(null::{table}, $1::text::jsonb)");
            database.query(&insert, &[&Value::from(rows).to_string()]).await;
        }
    }

    async fn record(&self, database: &Database) {
        let mut lines = String::new();
        for table in tables(database).await {
            let rows = database.value(&format!("{ROWS} = '{table}'::regclass")).await;
            for row in database.lines(&rows).await {
                let row: Value = serde_json::from_str(&row).expect("Postgres writes JSON");
                lines.push_str(&format!("{}\n", json!({"table": table, "row": row})));
            }
        }
        std::fs::write(self.file("sql"), shape(database).await).expect("tests/golden can be written to");
        std::fs::write(self.file("jsonl"), lines).expect("tests/golden can be written to");
    }
}

async fn shape(database: &Database) -> String {
    database.lines(SHAPE).await.join("\n") + "\n"
}

async fn tables(database: &Database) -> Vec<String> {
    let tables = format!(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> \
         '{SUMMARIES}' order by 1"
    );
    database.lines(&tables).await
}

/// Compares the recordings with what the real destination makes now.
pub(in super::super) async fn check(destination: &Path) {
    let place = json!({"registry": "local", "path": destination});
    for case in cases() {
        let scene = Scene::create().await;
        for sync in case.syncs {
            let config = scene.config_of(&case.plan(*sync), &place);
            cli("sync", &config)
                .await
                .unwrap_or_else(|text| panic!("{config}\n{text}"));
        }
        if std::env::var_os("PGFLIGHT_REWRITE_GOLDEN").is_some() {
            case.record(&scene.database).await;
        }
        case.assert_recorded(&scene.database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn syncs_make_what_the_go_destination_made_of_them() {
    for case in cases() {
        let scene = Scene::create().await;
        for sync in case.syncs {
            scene.sync(&case.plan(*sync)).await;
        }
        case.assert_recorded(&scene.database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for tests/peers/go")]
async fn databases_that_the_go_destination_made_are_taken_over_as_they_are() {
    let files = "select string_agg(relname || relfilenode, ',' order by relname) from pg_class \
                 where relnamespace = 'public'::regnamespace";
    for case in cases() {
        let scene = Scene::create().await;
        case.restore(&scene.database).await;
        case.assert_recorded(&scene.database).await;
        let made = scene.database.value(files).await;
        let mut expected: Rows = rows_of(&case.file("jsonl"));
        let before = expected.remove("peers_orders").map_or(0, |rows| rows.len());
        let sync = (2, 3);
        scene.sync(&case.plan(sync)).await;
        assert_eq!(
            scene.database.value(files).await,
            made,
            "{}: nothing was made anew",
            case.name
        );
        assert_eq!(shape(&scene.database).await, case.shape(), "{}", case.name);
        let new = "select count(*) from peers_orders where label ~ 'revision 3'";
        assert_eq!(
            scene.database.value(new).await,
            "4",
            "{}: two orders of two accounts",
            case.name
        );
        let all = match case.name {
            // Rows of earlier syncs go where they are stale, and are overwritten where their keys are the same.
            "append" => before + 4,
            _ => 4,
        };
        assert_eq!(scene.count("peers_orders").await, all.to_string(), "{}", case.name);
    }
}
