//! One schema over all inputs of a load, or a sentence that says which file and column does not fit.
//!
//! Pure. Columns must agree in name and type; their order may differ (the first input's order is used), and a column
//! may be NULL if it may be NULL in any input. Nothing is converted.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema that holds both, or why there is none.
pub(super) fn merge(first: &Schema, other: &Schema) -> Result<Schema, String> {
    let names = |schema: &Schema| {
        schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect::<Vec<_>>()
    };
    let difference = name_difference(&names(first), &names(other));
    if !difference.is_empty() {
        return Err(difference);
    }
    let mut fields = Vec::with_capacity(first.fields().len());
    for field in first.fields() {
        let Ok(theirs) = other.field_with_name(field.name()) else {
            continue;
        };
        if !field.data_type().equals_datatype(theirs.data_type()) {
            return Err(format!(
                "the column {:?} is {} there and {} here",
                field.name(),
                field.data_type(),
                theirs.data_type()
            ));
        }
        let extension = |field: &Field| field.extension_type_name().map(str::to_owned);
        if extension(field) != extension(theirs) {
            let shown = |field: &Field| extension(field).unwrap_or_else(|| field.data_type().to_string());
            return Err(format!(
                "the column {:?} is {} there and {} here",
                field.name(),
                shown(field),
                shown(theirs)
            ));
        }
        fields.push(
            field
                .as_ref()
                .clone()
                .with_nullable(field.is_nullable() || theirs.is_nullable()),
        );
    }
    Ok(Schema::new(fields).with_metadata(first.metadata().clone()))
}

/// In words, which names only one side has; empty if the sets are equal.
pub(super) fn name_difference(there: &[String], here: &[String]) -> String {
    let only = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|name| !b.contains(name))
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (missing, extra) = (only(there, here), only(here, there));
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) if there.len() != here.len() => "a column name occurs more than once".to_owned(),
        (true, true) => String::new(),
        (false, true) => format!("it lacks {missing}"),
        (true, false) => format!("it also has {extra}"),
        (false, false) => format!("it lacks {missing} and also has {extra}"),
    }
}

/// `batch` with the columns of `schema`, which came out of [`merge`] with the batch's own schema.
pub(super) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if Arc::ptr_eq(batch.schema_ref(), schema) {
        return Ok(batch.clone());
    }
    let theirs = batch.schema_ref();
    let in_order = theirs.fields().len() == schema.fields().len()
        && theirs
            .fields()
            .iter()
            .zip(schema.fields())
            .all(|(a, b)| a.name() == b.name());
    let columns = if in_order {
        batch.columns().to_vec()
    } else {
        let column = |field: &Arc<Field>| {
            theirs
                .index_of(field.name())
                .map(|index| Arc::clone(batch.column(index)))
        };
        schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(
            fields
                .iter()
                .map(|(name, kind, null)| Field::new(*name, kind.clone(), *null))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn order_may_differ_and_null_in_one_file_is_null_for_all() {
        let first = schema(&[("a", DataType::Int64, false), ("b", DataType::Utf8, false)]);
        let other = schema(&[("b", DataType::Utf8, true), ("a", DataType::Int64, false)]);
        let both = merge(&first, &other).unwrap();
        assert_eq!(
            both,
            schema(&[("a", DataType::Int64, false), ("b", DataType::Utf8, true)])
        );
    }

    #[test]
    fn a_difference_is_told_with_the_column() {
        let first = schema(&[("a", DataType::Int64, false)]);
        let other = schema(&[("a", DataType::Utf8, false)]);
        assert_eq!(
            merge(&first, &other).unwrap_err(),
            "the column \"a\" is Int64 there and Utf8 here"
        );
        let other = schema(&[("A", DataType::Int64, false)]);
        assert_eq!(merge(&first, &other).unwrap_err(), "it lacks \"a\" and also has \"A\"");
    }
}
