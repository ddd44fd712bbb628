//! What the database holds, compared with what the source wrote down as it sent it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Scene;
use crate::support::database::Database;

/// Columns whose values the source does not know: the CLI fills in the first three, and ids are random unless asked
/// otherwise.
pub(super) const OF_THE_CLI: [&str; 3] = ["_cq_sync_time", "_cq_source_name", "_cq_sync_group_id"];
pub(super) const RANDOM_IDS: [&str; 2] = ["_cq_id", "_cq_parent_id"];

pub(super) fn ignored() -> Vec<&'static str> {
    OF_THE_CLI.into_iter().chain(RANDOM_IDS).collect()
}

/// Rows by table, as JSON arrays for `jsonb_populate_recordset`.
pub(super) type Rows = BTreeMap<String, Vec<Value>>;

pub(super) fn rows_of(path: &Path) -> Rows {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = Rows::new();
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).expect("the source writes JSON");
        let table = line["table"].as_str().expect("a table").to_owned();
        rows.entry(table).or_default().push(line["row"].take());
    }
    rows
}

/// How rows that should be there and rows that are there compare.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) missing: Vec<String>,
    pub(super) unexpected: Vec<String>,
}

/// Compares a table's rows without the columns of `ignored`, each as often as it is there.
pub(super) async fn difference(database: &Database, table: &str, rows: &[Value], ignored: &[&str]) -> Difference {
    let columns = database
        .lines(&format!(
            "select quote_ident(attname) from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not \
             attisdropped and attname <> all ('{{{}}}') order by attnum",
            ignored.join(",")
        ))
        .await
        .join(", ");
    let expected = format!("select {columns} from jsonb_populate_recordset(null::{table}, $1::text::jsonb)");
    let found = format!("select {columns} from {table}");
    let text = Value::from(rows.to_vec()).to_string();
    let differing = async |one: &str, other: &str| -> Vec<String> {
        let statement =
            format!("select to_jsonb(x)::text from (({one}) except all ({other})) x where $1::text is not null");
        let rows = database.query(&statement, &[&text]).await;
        rows.iter().map(|row| row.get(0)).collect()
    };
    Difference {
        missing: differing(&expected, &found).await,
        unexpected: differing(&found, &expected).await,
    }
}

impl Scene {
    /// The database holds the rows of these syncs and no others.
    pub(super) async fn assert_rows(&self, revisions: &[u32], ignored: &[&str]) {
        let mut all = Rows::new();
        for revision in revisions {
            for (table, rows) in rows_of(&self.expected(&Value::from(*revision))) {
                all.entry(table).or_default().extend(rows);
            }
        }
        assert!(!all.is_empty(), "the source sent rows");
        for (table, rows) in all {
            let difference = difference(&self.database, &table, &rows, ignored).await;
            assert!(
                difference.missing.is_empty() && difference.unexpected.is_empty(),
                "{table}, {} rows sent: {difference:#?}",
                rows.len()
            );
        }
    }

    /// `column type`, with `!` for NOT NULL, in the table's order.
    pub(super) async fn columns(&self, table: &str) -> Vec<String> {
        self.database
            .lines(&format!(
                "select attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end \
                 from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped order by attnum"
            ))
            .await
    }

    /// Keys, unique constraints and indexes of all tables, by name.
    pub(super) async fn keys(&self) -> Vec<String> {
        self.database
            .lines(
                "select i.relname || ' ' || case when x.indisprimary then 'primary' when x.indisunique then 'unique' \
                 else 'index' end || ' ' || (select string_agg(a.attname, ',' order by k.n) from \
                 unnest(x.indkey) with ordinality k(attnum, n) join pg_attribute a on a.attrelid = x.indrelid and \
                 a.attnum = k.attnum) from pg_index x join pg_class i on i.oid = x.indexrelid \
                 where i.relnamespace = 'public'::regnamespace order by 1",
            )
            .await
    }

    pub(super) async fn count(&self, table: &str) -> String {
        self.database.value(&format!("select count(*) from {table}")).await
    }
}
