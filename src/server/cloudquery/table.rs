//! What a CloudQuery schema says about its table: name and key, from `cq:*` metadata. Pure.

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::ingest::error::RequestError;
use crate::model::ident::{Ident, MAX_IDENT_BYTES, TableName};

/// Schema metadata: the table's name; the only key that must be there.
const TABLE_NAME: &str = "cq:table_name";
/// Field metadata: whether the column belongs to the primary key.
const PRIMARY_KEY: &str = "cq:extension:primary_key";

/// A table as a message describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CqTable {
    /// Its name.
    pub(super) name: TableName,
    /// Its columns, with all metadata.
    pub(super) schema: SchemaRef,
    /// Whether rows are matched by a key. The protocol has no write mode: a key means overwrite, none means append.
    pub(super) has_key: bool,
}

impl CqTable {
    /// Reads the metadata.
    ///
    /// # Errors
    /// No name, or one that is none.
    pub(super) fn new(schema: SchemaRef) -> Result<Self, RequestError> {
        let name = schema.metadata().get(TABLE_NAME).filter(|name| !name.is_empty());
        let Some(name) = name else {
            return Err(RequestError::Malformed(format!(
                "the schema has no metadata {TABLE_NAME:?}, so its table is not known ({})",
                column_names(&schema)
            )));
        };
        let name = table_name(name)?;
        let has_key = schema.fields().iter().any(|field| is_key(field));
        Ok(Self { name, schema, has_key })
    }
}

/// A table name as Postgres would keep it: cut to 63 bytes, as it cuts the names that the Go plugin sends, but never
/// inside a character.
///
/// # Errors
/// The name is empty or has a NUL byte.
pub(super) fn table_name(name: &str) -> Result<TableName, RequestError> {
    identifier("table", name).map(TableName::bare)
}

/// A column name, cut in the same way.
///
/// # Errors
/// The name is empty or has a NUL byte.
pub(super) fn column_name(name: &str) -> Result<Ident, RequestError> {
    identifier("column", name)
}

fn identifier(what: &'static str, name: &str) -> Result<Ident, RequestError> {
    let kept = name.get(..name.floor_char_boundary(MAX_IDENT_BYTES)).unwrap_or(name);
    Ident::new(kept).map_err(|source| RequestError::Name { what, source })
}

/// Whether the column belongs to the primary key.
pub(super) fn is_key(field: &Field) -> bool {
    field.metadata().get(PRIMARY_KEY).is_some_and(|value| value == "true")
}

fn column_names(schema: &Schema) -> String {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .take(8)
        .collect();
    format!("{} columns: {}", schema.fields().len(), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn schema(name: Option<&str>, key: Option<&str>) -> SchemaRef {
        let mut field = Field::new("id", DataType::Int64, false);
        if let Some(key) = key {
            field = field.with_metadata(HashMap::from([(PRIMARY_KEY.to_owned(), key.to_owned())]));
        }
        let metadata = name.map(|name| (TABLE_NAME.to_owned(), name.to_owned()));
        Arc::new(Schema::new_with_metadata(
            vec![field],
            metadata.into_iter().collect::<HashMap<_, _>>(),
        ))
    }

    #[test]
    fn the_name_is_required_and_a_key_means_overwrite() {
        let error = CqTable::new(schema(None, None)).unwrap_err().to_string();
        assert!(
            error.contains("\"cq:table_name\"") && error.contains("1 columns: id"),
            "{error}"
        );
        assert!(!CqTable::new(schema(Some("t"), None)).unwrap().has_key);
        assert!(!CqTable::new(schema(Some("t"), Some("false"))).unwrap().has_key);
        let table = CqTable::new(schema(Some("Odd \"name\""), Some("true"))).unwrap();
        assert!(table.has_key);
        assert_eq!(table.name.quoted(), "\"Odd \"\"name\"\"\"");
    }

    #[test]
    fn long_names_are_cut_as_postgres_cuts_them() {
        let long = "é".repeat(40);
        assert_eq!(table_name(&long).unwrap().name.as_str(), "é".repeat(31));
        assert!(table_name("a\0b").unwrap_err().to_string().contains("NUL"));
    }
}
