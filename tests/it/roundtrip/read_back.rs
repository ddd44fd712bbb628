//! What was loaded, read back in small batches: as the types that were sent, and as the types that a reader gets who asks
//! for nothing, which are written again.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{concat, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use futures::TryStreamExt;
use pgflight::codec::encode::{CopyPlan, EncodeOptions};
use pgflight::config::{Config, ProcessSource};
use pgflight::ingest::guard::{Guard, Guarded};
use pgflight::ingest::ports::ReadRequest;
use pgflight::model::caller::Caller;
use pgflight::model::ident::{Ident, TableName};
use pgflight::model::pg_type::PgType;
use pgflight::model::table::TargetColumn;
use pgflight::postgres::load::PgDestination;
use serde_json::json;

use super::column::Column;
use super::{Case, differing, load};
use crate::support::database::Database;

/// The way that DoGet reads, without its messages: these have a size of their own.
pub(super) struct Reader {
    destination: Guarded,
}

impl Reader {
    pub(super) fn new(database: &Database) -> Self {
        let config = Config::from_json(&json!({"connection_string": database.uri()})).expect("a configuration");
        Self {
            destination: Guard::default().over(Arc::new(
                PgDestination::new(&config, &ProcessSource).expect("a configuration of a destination"),
            )),
        }
    }

    /// The table in batches of about `max_batch_bytes`: exactly as `schema`, or `columns` as they come.
    async fn read(&self, table: &str, what: What, max_batch_bytes: usize) -> (RecordBatch, usize) {
        let table = TableName::bare(Ident::new(table).expect("a short name"));
        let mut request = ReadRequest {
            max_batch_bytes,
            ..ReadRequest::all(table)
        };
        match what {
            What::Exactly(schema) => request.schema = Some(schema),
            What::Columns(columns) => request.columns = Some(columns),
        }
        let reader = self.destination.read(&Caller::anonymous(), request).await;
        let reader = reader.unwrap_or_else(|error| panic!("{error}"));
        let batches: Result<Vec<RecordBatch>, _> = reader.batches.try_collect().await;
        let batches = batches.unwrap_or_else(|error| panic!("{error}"));
        (in_order(&reader.schema, &batches), batches.len())
    }

    /// Compares what is read with what was sent; the number of batches in which it came.
    pub(super) async fn read_back(&self, database: &Database, case: &Case, max_batch_bytes: usize) -> usize {
        let batches = self.as_sent(case, max_batch_bytes).await;
        self.as_it_comes(database, case, max_batch_bytes).await;
        batches
    }

    async fn as_sent(&self, case: &Case, max_batch_bytes: usize) -> usize {
        let number = Arc::new(Field::new("n", DataType::Int64, true));
        let asked = asked(&case.sent);
        let fields = asked.iter().map(|(_, field, _)| Arc::new(field.clone()));
        let schema = Schema::new(fields.chain([number]).collect::<Fields>());
        let (read, batches) = self
            .read("loaded", What::Exactly(Arc::new(schema)), max_batch_bytes)
            .await;
        for ((at, _, sent), read) in asked.iter().zip(read.columns()) {
            assert_same(
                read,
                sent,
                &format!("seed {}: {} in c{at}", case.seed, case.kinds[*at].name()),
            );
        }
        batches
    }

    async fn as_it_comes(&self, database: &Database, case: &Case, max_batch_bytes: usize) {
        let by_default = case.sent[0].iter().enumerate().filter(|(_, column)| column.by_default);
        let kept: Vec<usize> = by_default.map(|(at, _)| at).collect();
        let names: Vec<String> = kept.iter().map(|at| format!("c{at}")).chain(["n".to_owned()]).collect();
        let (read, _) = self.read("loaded", What::Columns(names.clone()), max_batch_bytes).await;
        let mut targets: Vec<TargetColumn> = kept.iter().map(|at| case.targets[*at].clone()).collect();
        targets.push(TargetColumn {
            name: Ident::new("n").expect("a short name"),
            ty: PgType::Int8,
            nullable: true,
        });
        let plan = CopyPlan::new(&read.schema(), &targets, &EncodeOptions::default());
        let plan = plan.unwrap_or_else(|error| panic!("seed {}: what was read cannot be written: {error}", case.seed));
        let table = format!("again ({})", names.join(", "));
        load(database, &table, &plan, &read, 0, 5_000).await;
        for (at, target) in kept.iter().zip(&targets) {
            let differing = differing(database, "again", "expected", target).await;
            let kind = case.kinds[*at].name();
            assert!(
                differing.is_empty(),
                "seed {}: {kind} in {} written again: {differing:?}",
                case.seed,
                target.ty
            );
        }
        let (again, _) = self.read("again", What::Columns(names), max_batch_bytes).await;
        for (name, (again, read)) in read
            .schema()
            .fields()
            .iter()
            .zip(again.columns().iter().zip(read.columns()))
        {
            assert_same(
                again,
                read,
                &format!("seed {}: {name} written and read again", case.seed),
            );
        }
    }
}

enum What {
    Exactly(SchemaRef),
    Columns(Vec<String>),
}

/// Number, field and values of each column that can be asked for as it was sent.
pub(crate) fn asked(sent: &[Vec<Column>]) -> Vec<(usize, Field, ArrayRef)> {
    let columns = 0..sent[0].len();
    let asked = columns.filter_map(|at| {
        let (field, _) = sent[0][at].asked.as_ref()?;
        let pieces: Vec<&dyn arrow::array::Array> = sent
            .iter()
            .filter_map(|columns| columns[at].asked.as_ref().map(|(_, array)| array.as_ref()))
            .collect();
        let whole = concat(&pieces).expect("pieces of one type");
        Some((at, field.clone().with_name(format!("c{at}")), whole))
    });
    asked.collect()
}

/// All rows by their numbers, which are the last column: Postgres puts a small row into a page that has room for it.
pub(crate) fn in_order(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    let whole = concat_batches(schema, batches).expect("batches of one schema");
    let numbers = whole.columns().last().expect("a column of numbers");
    let order = sort_to_indices(numbers, None, None).expect("numbers have an order");
    take_record_batch(&whole, &order).expect("an order of the rows")
}

/// Fails where two arrays differ, with the first row that does.
pub(crate) fn assert_same(found: &ArrayRef, expected: &ArrayRef, what: &str) {
    if found == expected {
        return;
    }
    assert_eq!(found.data_type(), expected.data_type(), "{what}");
    assert_eq!(found.len(), expected.len(), "{what}");
    let row = (0..found.len()).find(|row| found.slice(*row, 1) != expected.slice(*row, 1));
    let row = row.unwrap_or(0);
    panic!(
        "{what}: row {row} is {:?} and not {:?}",
        found.slice(row, 1),
        expected.slice(row, 1)
    );
}
