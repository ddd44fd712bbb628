//! Every Arrow type, unit, layout and extension, written through the server and read back through it: plain, with NULLs, all
//! NULL, sliced at an odd offset, empty, in several batches, at the ends of what the type holds.
//!
//! Each form is a table with a column of every kind. It is compared with the values that Postgres reads from text; it is
//! read as what was sent, which must be equal; and what a reader gets who asks for nothing is written to a second table, in
//! which the same must be.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde_json::json;
use tonic::Code;

use super::{exactly, get_batches};
use crate::roundtrip::column::{Column, Draw, Nulls};
use crate::roundtrip::kinds::{Kind, schema};
use crate::roundtrip::read_back::{asked, assert_same, in_order};
use crate::roundtrip::{differing, expect, targets};
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::flight::{Flight, command, path};
use crate::support::server::Server;

const ROWS: usize = 24;

/// The columns of each batch.
type Batches = Vec<Vec<Column>>;

fn columns(kinds: &[Kind], mut draw: Draw, rows: usize) -> Vec<Column> {
    kinds.iter().map(|kind| kind.make(&mut draw, rows)).collect()
}

fn slices(columns: &[Column], start: usize, rows: usize) -> Vec<Column> {
    columns.iter().map(|column| column.slice(start, rows)).collect()
}

/// Every form of a table, by name.
fn forms(kinds: &[Kind]) -> Vec<(&'static str, Batches)> {
    let with_nulls = columns(kinds, Draw::new(2), ROWS);
    let plain = Draw::new(1).with_nulls(Nulls::None);
    vec![
        ("plain", vec![columns(kinds, plain, ROWS)]),
        ("nulls", vec![with_nulls.clone()]),
        (
            "all_null",
            vec![columns(kinds, Draw::new(3).with_nulls(Nulls::All), ROWS)],
        ),
        ("sliced", vec![slices(&with_nulls, 3, ROWS - 8)]),
        ("empty", vec![slices(&with_nulls, 5, 0)]),
        (
            "several",
            vec![
                slices(&with_nulls, 1, 7),
                slices(&with_nulls, 8, 0),
                slices(&with_nulls, 9, 13),
            ],
        ),
        ("extremes", vec![columns(kinds, Draw::new(4).only_extremes(), ROWS)]),
    ]
}

/// The columns, and the numbers of the rows behind them.
fn numbered(columns: &[Column], first: usize) -> RecordBatch {
    let rows = columns[0].texts.len();
    let numbers: Int64Array = (first..first + rows).map(|row| Some(row as i64)).collect();
    let arrays = columns.iter().map(|column| column.array.clone());
    let arrays = arrays.chain([Arc::new(numbers) as ArrayRef]).collect();
    let batch = RecordBatch::try_new(with_number(schema(columns).fields().iter().cloned()), arrays);
    batch.expect("columns of one length")
}

fn with_number(fields: impl Iterator<Item = Arc<Field>>) -> SchemaRef {
    let number = Arc::new(Field::new("n", DataType::Int64, true));
    Arc::new(Schema::new(fields.chain([number]).collect::<Fields>()))
}

async fn read(server: &Server, ticket: serde_json::Value) -> RecordBatch {
    let (schema, batches) = get_batches(server, ticket)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    in_order(&schema, &batches)
}

struct Bench<'a> {
    database: &'a Database,
    server: &'a Server,
    kinds: &'a [Kind],
}

impl Bench<'_> {
    async fn write(&self, form: &str, sent: &Batches) {
        let mut first = 0;
        let mut batches = Vec::new();
        let targets = targets(&sent[0]);
        for columns in sent {
            batches.push(numbered(columns, first));
            first += columns[0].texts.len();
        }
        let mut flight = Flight::connect(self.server).await;
        let put = flight.put(path(&[form]), &batches).await;
        put.unwrap_or_else(|error| panic!("{form}: {error:?}"));
        let expected = format!("{form}_expected");
        self.database
            .execute(&format!("create table {expected} (like {form})"))
            .await;
        let mut first = 0;
        for columns in sent {
            expect(self.database, &expected, &targets, columns, first).await;
            first += columns[0].texts.len() as i64;
        }
        self.compare(form, form, sent, 0..sent[0].len()).await;
    }

    /// Postgres' own comparison with what it read from text.
    async fn compare(&self, form: &str, table: &str, sent: &Batches, columns: impl Iterator<Item = usize>) {
        let targets = targets(&sent[0]);
        let mut wrong = Vec::new();
        for at in columns {
            let rows = differing(self.database, table, &format!("{form}_expected"), &targets[at]).await;
            if !rows.is_empty() {
                wrong.push(format!("{} into {}: {rows:?}", self.kinds[at].name(), targets[at].ty));
            }
        }
        assert!(wrong.is_empty(), "{table}:\n{}", wrong.join("\n"));
        let rows: usize = sent.iter().map(|columns| columns[0].texts.len()).sum();
        let counted = self.database.value(&format!("select count(*) from {table}")).await;
        assert_eq!(counted, rows.to_string(), "{table}");
    }

    async fn read_as_sent(&self, form: &str, sent: &Batches) {
        let asked = asked(sent);
        let schema = with_number(asked.iter().map(|(_, field, _)| Arc::new(field.clone())));
        let read = read(self.server, exactly(form, schema.as_ref().clone())).await;
        assert_eq!(read.schema(), schema, "{form}");
        for ((at, _, sent), read) in asked.iter().zip(read.columns()) {
            assert_same(read, sent, &format!("{form}: {}", self.kinds[*at].name()));
        }
    }

    /// What comes makes a second table, of which the same comes again.
    async fn read_as_it_comes(&self, form: &str, sent: &Batches) {
        let by_default = sent[0].iter().enumerate().filter(|(_, column)| column.by_default);
        let kept: Vec<usize> = by_default.map(|(at, _)| at).collect();
        let names: Vec<String> = kept.iter().map(|at| format!("c{at}")).chain(["n".to_owned()]).collect();
        let first = read(self.server, json!({"table": form, "columns": names})).await;
        let again = format!("{form}_again");
        let mut flight = Flight::connect(self.server).await;
        let put = flight
            .put(command(json!({"table": again})), std::slice::from_ref(&first))
            .await;
        put.unwrap_or_else(|error| panic!("{again}: {error:?}"));
        let shape = |table: &str, names: &[String]| {
            format!(
                "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '{table}'::regclass \
                 and attname = any('{{{}}}') order by attnum",
                names.join(",")
            )
        };
        let created = self.database.lines(&shape(&again, &names)).await;
        assert_eq!(created, self.database.lines(&shape(form, &names)).await, "{again}");
        self.compare(form, &again, sent, kept.iter().copied()).await;
        let second = read(self.server, json!({"table": again})).await;
        assert_eq!(second.schema(), first.schema(), "{again}");
        for ((at, second), first) in kept.iter().zip(second.columns()).zip(first.columns()) {
            assert_same(second, first, &format!("{again}: {}", self.kinds[*at].name()));
        }
    }

    /// What a reader does not get without asking is refused, and never another value.
    async fn others_are_refused(&self, form: &str, sent: &Batches) {
        let others = sent[0].iter().enumerate().filter(|(_, column)| !column.by_default);
        for (at, _) in others {
            let refusal = get_batches(self.server, json!({"table": form, "columns": [format!("c{at}")]})).await;
            let refusal = refusal.expect_err("a value that the default type has no place for");
            assert_eq!(
                refusal.code(),
                Code::InvalidArgument,
                "{form}: {}: {refusal}",
                self.kinds[at].name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_arrow_type_is_read_back_in_every_form() {
    let kinds = Kind::all();
    let forms = forms(&kinds);
    for version in cluster::versions() {
        let cluster = Cluster::shared(*version);
        let is_newest = std::ptr::eq(cluster, Cluster::newest());
        let database = Database::create_in(cluster).await;
        database.execute("set timezone = 'UTC'").await;
        let server = Server::start(&database).await;
        let bench = Bench {
            database: &database,
            server: &server,
            kinds: &kinds,
        };
        for (form, sent) in &forms {
            // Forms are no matter of the server's version, values could be.
            if !is_newest && *form != "extremes" {
                continue;
            }
            bench.write(form, sent).await;
            bench.read_as_sent(form, sent).await;
            bench.read_as_it_comes(form, sent).await;
            if matches!(*form, "plain" | "extremes") {
                bench.others_are_refused(form, sent).await;
            }
        }
        server.stop().await;
    }
}
