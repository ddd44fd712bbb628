//! Keys of tables in the schemas that Flight SQL has for them. Pure.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::sql::UpdateDeleteRules;

use crate::ingest::ports::catalog::{ForeignKeyColumn, KeyRule, PrimaryKeyColumn};
use crate::model::ident::{Ident, TableName};

/// The schema of primary keys.
pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("key_name", true),
    ]))
}

/// The schema of foreign keys, from whichever side they are asked for.
pub(super) fn foreign_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// Primary keys of a database.
pub(super) fn primary(database: &str, keys: &[PrimaryKeyColumn]) -> Result<RecordBatch, ArrowError> {
    let sequences = keys.iter().map(|key| key.sequence);
    let columns = vec![
        texts(keys.iter().map(|_| Some(database))),
        texts(keys.iter().map(|key| schema(&key.table))),
        texts(keys.iter().map(|key| Some(key.table.name.as_str()))),
        texts(keys.iter().map(|key| Some(key.column.as_str()))),
        Arc::new(Int32Array::from_iter_values(sequences)) as ArrayRef,
        texts(keys.iter().map(|key| Some(key.key.as_str()))),
    ];
    RecordBatch::try_new(primary_schema(), columns)
}

/// Foreign keys of a database.
pub(super) fn foreign(database: &str, keys: &[ForeignKeyColumn]) -> Result<RecordBatch, ArrowError> {
    let catalogs = || texts(keys.iter().map(|_| Some(database)));
    let sequences = keys.iter().map(|key| key.sequence);
    let columns = vec![
        catalogs(),
        texts(keys.iter().map(|key| schema(&key.to))),
        texts(keys.iter().map(|key| Some(key.to.name.as_str()))),
        texts(keys.iter().map(|key| Some(key.to_column.as_str()))),
        catalogs(),
        texts(keys.iter().map(|key| schema(&key.from))),
        texts(keys.iter().map(|key| Some(key.from.name.as_str()))),
        texts(keys.iter().map(|key| Some(key.from_column.as_str()))),
        Arc::new(Int32Array::from_iter_values(sequences)) as ArrayRef,
        texts(keys.iter().map(|key| Some(key.key.as_str()))),
        texts(keys.iter().map(|key| key.to_key.as_deref())),
        Arc::new(UInt8Array::from_iter_values(keys.iter().map(|key| rule(key.on_update)))),
        Arc::new(UInt8Array::from_iter_values(keys.iter().map(|key| rule(key.on_delete)))),
    ];
    RecordBatch::try_new(foreign_schema(), columns)
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn schema(table: &TableName) -> Option<&str> {
    table.schema.as_ref().map(Ident::as_str)
}

fn rule(rule: KeyRule) -> u8 {
    let rule = match rule {
        KeyRule::Cascade => UpdateDeleteRules::Cascade,
        KeyRule::Restrict => UpdateDeleteRules::Restrict,
        KeyRule::SetNull => UpdateDeleteRules::SetNull,
        KeyRule::NoAction => UpdateDeleteRules::NoAction,
        KeyRule::SetDefault => UpdateDeleteRules::SetDefault,
    };
    rule as u8
}
