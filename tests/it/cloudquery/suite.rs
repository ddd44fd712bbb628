//! The plugin SDK's writer test suite, written anew from what it does: every write is a Write call of its own with one
//! message, what is read back is compared exactly, value by value and in the Arrow types that were written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::client::{Cq, SECOND, T, all_of, delete_records, delete_stale, equals, insert, key, migrate, schema};
use super::generator::{self, rows};
use super::start;

/// All rows of a table in the order of `id`, as one batch.
pub(super) async fn read_sorted(cq: &mut Cq, schema: &SchemaRef) -> RecordBatch {
    let batches = cq.read(schema).await;
    for batch in &batches {
        for (read, wanted) in batch.schema().fields().iter().zip(schema.fields()) {
            assert_eq!((read.name(), read.data_type()), (wanted.name(), wanted.data_type()));
        }
    }
    let read = concat_batches(
        schema,
        batches
            .iter()
            .map(|batch| batch.clone().with_schema(Arc::clone(schema)).expect("the same types"))
            .collect::<Vec<_>>()
            .iter(),
    );
    let read = read.expect("batches of one schema");
    let id = read.column_by_name("id").expect("every table has an id");
    let order = sort_to_indices(id, None, None).expect("numbers can be sorted");
    take_record_batch(&read, &order).expect("rows that exist")
}

/// Compares column by column, so that a failure names the column.
pub(super) fn assert_rows(read: &RecordBatch, wanted: &RecordBatch) {
    assert_eq!(read.num_rows(), wanted.num_rows());
    for (at, field) in wanted.schema().fields().iter().enumerate() {
        assert_eq!(read.column(at), wanted.column(at), "column {}", field.name());
    }
}

fn id() -> Field {
    Field::new("id", DataType::Int64, false)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn pairs(schema: &SchemaRef, ids: &[i64], names: &[&str]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(names.to_vec())),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).expect("two columns")
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_basic() {
    let (_database, _server, mut cq) = start().await;
    let schema = schema("cq_upsert_basic", vec![id(), key(text("name"))]);
    cq.put(vec![migrate(&schema)]).await;
    let row = pairs(&schema, &[1], &["foo"]);
    for _ in 0..2 {
        cq.put(vec![insert(&row)]).await;
        assert_rows(&read_sorted(&mut cq, &schema).await, &row);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_all_overwrites_with_null() {
    let (_database, _server, mut cq) = start().await;
    let mut fields = generator::fields();
    fields.push(key(Field::new("name", DataType::Utf8, false)));
    let schema = schema("cq_upsert_all", fields);
    cq.put(vec![migrate(&schema)]).await;
    for nulls in [false, true] {
        let written = rows(&schema, 0..10, nulls);
        cq.put(vec![insert(&written)]).await;
        assert_rows(&read_sorted(&mut cq, &schema).await, &written);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_of_duplicate_keys_keeps_the_last_row() {
    let (_database, _server, mut cq) = start().await;
    let schema = schema("cq_upsert_duplicate", vec![key(id()), text("name")]);
    cq.put(vec![migrate(&schema)]).await;
    let names: Vec<String> = (0..10).map(|n| format!("foo{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cq.put(vec![insert(&pairs(&schema, &[1; 10], &names))]).await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &pairs(&schema, &[1], &["foo9"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_basic() {
    let (_database, _server, mut cq) = start().await;
    let schema = schema("cq_insert_basic", vec![id(), text("name")]);
    cq.put(vec![migrate(&schema)]).await;
    let row = pairs(&schema, &[1], &["foo"]);
    cq.put(vec![insert(&row)]).await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &row);
    cq.put(vec![insert(&row)]).await;
    assert_rows(
        &read_sorted(&mut cq, &schema).await,
        &pairs(&schema, &[1, 1], &["foo", "foo"]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn insert_all() {
    let (_database, _server, mut cq) = start().await;
    let schema = generator::test_table("cq_insert_all");
    assert_eq!(schema.fields().len(), 77);
    cq.put(vec![migrate(&schema)]).await;
    let (first, second) = (rows(&schema, 0..10, false), rows(&schema, 10..20, true));
    cq.put(vec![insert(&first)]).await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &first);
    cq.put(vec![insert(&second)]).await;
    let both = concat_batches(&schema, [&first, &second]).expect("one schema");
    assert_rows(&read_sorted(&mut cq, &schema).await, &both);
}

/// The table's columns, then source and sync time.
fn with_source(name: &str, mut fields: Vec<Field>) -> SchemaRef {
    if let Some(first) = fields.first_mut() {
        *first = key(first.clone());
    }
    fields.push(text("_cq_source_name"));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    fields.push(Field::new("_cq_sync_time", utc, true));
    schema(name, fields)
}

fn synced(schema: &SchemaRef, ids: std::ops::Range<i64>, nulls: bool, source: &str, micros: i64) -> RecordBatch {
    let count = usize::try_from(ids.end - ids.start).expect("a count");
    let mut columns = rows(schema, ids, nulls).columns().to_vec();
    let last = columns.len();
    columns[last - 2] = Arc::new(StringArray::from(vec![source; count]));
    columns[last - 1] = Arc::new(TimestampMicrosecondArray::from(vec![micros; count]).with_timezone("UTC"));
    RecordBatch::try_new(Arc::clone(schema), columns).expect("the same columns")
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_stale_keeps_rows_of_the_sync_itself() {
    let (_database, _server, mut cq) = start().await;
    let schema = with_source("cq_delete_stale_basic", vec![id()]);
    cq.put(vec![migrate(&schema)]).await;
    let old = synced(&schema, 0..1, false, "test", T);
    cq.put(vec![insert(&old)]).await;
    cq.put(vec![delete_stale("cq_delete_stale_basic", "test", T)]).await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &old);
    let new = synced(&schema, 1..2, false, "test", T + SECOND);
    cq.put(vec![insert(&new)]).await;
    cq.put(vec![delete_stale("cq_delete_stale_basic", "other source", T + SECOND)])
        .await;
    assert_eq!(read_sorted(&mut cq, &schema).await.num_rows(), 2);
    cq.put(vec![delete_stale("cq_delete_stale_basic", "test", T + SECOND)])
        .await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_stale_all() {
    let (_database, _server, mut cq) = start().await;
    let schema = with_source("cq_delete_stale_all", generator::fields());
    cq.put(vec![migrate(&schema)]).await;
    let old = synced(&schema, 0..10, false, "test", T);
    cq.put(vec![insert(&old)]).await;
    cq.put(vec![delete_stale("cq_delete_stale_all", "test", T)]).await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &old);
    let new = synced(&schema, 10..20, true, "test", T + SECOND);
    cq.put(vec![insert(&new)]).await;
    assert_eq!(read_sorted(&mut cq, &schema).await.num_rows(), 20);
    cq.put(vec![delete_stale("cq_delete_stale_all", "test", T + SECOND)])
        .await;
    assert_rows(&read_sorted(&mut cq, &schema).await, &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_records_basic() {
    let (_database, _server, mut cq) = start().await;
    let schema = schema("cq_delete_record", vec![id()]);
    cq.put(vec![migrate(&schema)]).await;
    cq.put(vec![insert(&rows(&schema, 0..1, false))]).await;
    for (value, left) in [(1, 1), (0, 0)] {
        let condition = all_of(vec![equals("id", Arc::new(Int64Array::from(vec![value])))]);
        cq.put(vec![delete_records("cq_delete_record", vec![condition], &[])])
            .await;
        assert_eq!(read_sorted(&mut cq, &schema).await.num_rows(), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_records_without_conditions_deletes_all() {
    let (_database, _server, mut cq) = start().await;
    let schema = generator::test_table("cq_delete_all");
    cq.put(vec![migrate(&schema)]).await;
    for first in [0, 1] {
        cq.put(vec![insert(&rows(&schema, first..first + 1, false))]).await;
        cq.put(vec![delete_records("cq_delete_all", vec![], &[])]).await;
        assert_eq!(read_sorted(&mut cq, &schema).await.num_rows(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_every_type_can_be_deleted_by_their_value() {
    let (database, _server, mut cq) = start().await;
    let schema = generator::test_table("every_type");
    cq.put(vec![migrate(&schema)]).await;
    let written = rows(&schema, 1..3, false);
    let mut left = 0;
    for (at, field) in schema.fields().iter().enumerate() {
        // Values that are the same in both rows, and types whose text is no key.
        if matches!(field.data_type(), DataType::List(_) | DataType::Struct(_)) || field.name() == "interval_month" {
            continue;
        }
        cq.put(vec![delete_records("every_type", vec![], &[])]).await;
        cq.put(vec![insert(&written)]).await;
        let predicate = super::client::equals_field(
            field.as_ref().clone().with_nullable(true),
            written.column(at).slice(0, 1),
        );
        cq.put(vec![delete_records("every_type", vec![all_of(vec![predicate])], &[])])
            .await;
        assert_eq!(
            database.lines("select id from every_type").await,
            ["2"],
            "by column {}",
            field.name()
        );
        left += 1;
    }
    assert_eq!(left, 37);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_tables_read_as_no_rows() {
    let (_database, _server, mut cq) = start().await;
    let schema: Arc<Schema> = generator::test_table("cq_empty");
    cq.put(vec![migrate(&schema)]).await;
    assert_eq!(read_sorted(&mut cq, &schema).await.num_rows(), 0);
}
