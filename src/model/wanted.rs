//! From an Arrow schema, its metadata and the stream's options to the table that the stream wants. Pure.
//!
//! All problems of a schema are reported at once, each naming its column. Types come from a function that the caller
//! passes (`model::type_map::default_type` in the service), so that this file knows no type map.
//!
//! Metadata that is honoured: CloudQuery's `cq:extension:primary_key`, `cq:extension:unique`,
//! `cq:extension:constraint_name`, `cq:table_description`, and ours: `pgflight.primary_key` (schema: column names, as a
//! JSON array or separated by commas; field: `true`), `pgflight.unique` (field), `pgflight.comment` (schema and field).

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use arrow::datatypes::{Field, Metadata, Schema};

use super::by_name::ByName;
use super::ident::{Ident, IdentError, MAX_IDENT_BYTES};
use super::options::{ColumnTypes, TypeProfile};
use super::pg_type::PgType;
use super::table::{ColumnShape, TableShape};

/// Most columns that Postgres allows in a table (`MaxHeapAttributeNumber`).
pub const MAX_COLUMNS: usize = 1600;

/// What is chosen outside the schema.
#[derive(Clone, Debug, Default)]
pub struct WantedOptions {
    /// The profile decides what happens to names that are too long: native refuses them, `cloudquery` cuts them to 63
    /// bytes (as the Go plugin does, but never inside a character).
    pub profile: TypeProfile,
    /// Key columns by the stream's options; wins over the schema's metadata. An empty list means no key.
    pub primary_key: Option<Vec<String>>,
    /// Types by the stream's options; they win over the schema's metadata and the type map.
    pub column_types: ColumnTypes,
}

/// Everything that makes a schema unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SchemaProblems(pub Vec<SchemaProblem>);

impl fmt::Display for SchemaProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One reason why a schema cannot become a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaProblem {
    /// The schema has no fields.
    #[error("the schema has no columns; send at least one")]
    NoColumns,
    /// More columns than a table can have.
    #[error("the schema has {count} columns; Postgres allows {MAX_COLUMNS} in a table")]
    TooManyColumns {
        /// Number of fields.
        count: usize,
    },
    /// A field's name cannot be a column's name.
    #[error("column {position}: {reason}")]
    Name {
        /// Position of the field, from 1.
        position: usize,
        /// What is wrong with it.
        reason: IdentError,
    },
    /// Two fields have the same name.
    #[error("columns {first} and {second} are both named {name:?}; rename one")]
    Duplicate {
        /// The name.
        name: String,
        /// Position of the first, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// Two fields have the same name once both were cut to what Postgres keeps.
    #[error(
        "columns {first:?} and {second:?} are the same in their first 63 bytes, {short:?}, which is all that Postgres keeps; rename one"
    )]
    SameWhenCut {
        /// The first name.
        first: String,
        /// The second name.
        second: String,
        /// What both become.
        short: String,
    },
    /// A system column's name.
    #[error("column {name:?} has the name of a Postgres system column; rename it")]
    SystemColumn {
        /// The name.
        name: String,
    },
    /// A field's type has no Postgres type.
    #[error("column {column:?}: {reason}")]
    Type {
        /// The field's name.
        column: String,
        /// Why, in the type map's words.
        reason: String,
    },
    /// A type was asked for a column that is not among the fields.
    #[error(
        "option \"column_types\" names the column {name:?}, which the stream does not have; its columns are {columns}"
    )]
    UnknownTyped {
        /// The name.
        name: String,
        /// The fields' names.
        columns: String,
    },
    /// A key column is not among the fields.
    #[error("key column {name:?} is not a column of the stream; its columns are {columns}")]
    UnknownKey {
        /// The name.
        name: String,
        /// The fields' names.
        columns: String,
    },
    /// A key column is named twice.
    #[error("key column {name:?} is named twice")]
    RepeatedKey {
        /// The name.
        name: String,
    },
    /// The value of `pgflight.primary_key` or `cq:extension:constraint_name` was not understood.
    #[error("schema metadata {key:?}: {reason}")]
    Metadata {
        /// The metadata's key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl SchemaProblem {
    /// The column that it is about, where that is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Duplicate { name, .. }
            | Self::SystemColumn { name }
            | Self::UnknownTyped { name, .. }
            | Self::UnknownKey { name, .. }
            | Self::RepeatedKey { name }
            | Self::Type { column: name, .. }
            | Self::SameWhenCut { first: name, .. } => Some(name),
            Self::NoColumns | Self::TooManyColumns { .. } | Self::Name { .. } | Self::Metadata { .. } => None,
        }
    }
}

/// Names of columns that every table has already (`pg_attribute` rows with negative numbers).
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// The table that a stream of this schema wants.
///
/// # Errors
/// All problems of the schema at once.
pub fn wanted_table<E: fmt::Display>(
    schema: &Schema,
    options: &WantedOptions,
    type_of: &dyn Fn(&Field) -> Result<PgType, E>,
) -> Result<TableShape, SchemaProblems> {
    let mut problems = Vec::new();
    let count = schema.fields().len();
    if count == 0 {
        problems.push(SchemaProblem::NoColumns);
    } else if count > MAX_COLUMNS {
        problems.push(SchemaProblem::TooManyColumns { count });
    }
    let mut columns: Vec<ColumnShape> = Vec::with_capacity(count);
    let mut seen = Seen::default();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = column_name(field.name(), options.profile)
            .map_err(|reason| SchemaProblem::Name {
                position: index + 1,
                reason,
            })
            .and_then(|name| seen.insert(name, field.name(), index + 1));
        let ty = type_of(field).map_err(|error| SchemaProblem::Type {
            column: field.name().clone(),
            reason: error.to_string(),
        });
        match (name, ty) {
            (Ok(name), Ok(ty)) => columns.push(column(name, ty, field)),
            (name, ty) => problems.extend(name.err().into_iter().chain(ty.err())),
        }
    }
    let unknown = options
        .column_types
        .columns()
        .filter(|name| schema.column_with_name(name).is_none());
    problems.extend(unknown.map(|name| SchemaProblem::UnknownTyped {
        name: name.to_owned(),
        columns: field_names(schema),
    }));
    let primary_key = key_columns(schema, options, &mut problems);
    let primary_key_name = constraint_name(schema, &mut problems);
    if !problems.is_empty() {
        return Err(SchemaProblems(problems));
    }
    for column in columns.iter_mut().filter(|column| primary_key.contains(&column.name)) {
        column.nullable = false;
    }
    let comment = text(schema.metadata(), &["pgflight.comment", "cq:table_description"]);
    Ok(TableShape {
        columns,
        primary_key,
        primary_key_name,
        comment,
        by_name: ByName::default(),
    })
}

/// The column name that a field's name becomes: itself, or in the `cloudquery` profile its first 63 bytes.
///
/// # Errors
/// When the name is empty, has a NUL byte, or (native) is too long.
pub fn column_name(name: &str, profile: TypeProfile) -> Result<Ident, IdentError> {
    match profile {
        TypeProfile::Native => Ident::new(name),
        TypeProfile::Cloudquery => Ident::new(cut(name, MAX_IDENT_BYTES)),
    }
}

/// The longest prefix of at most `bytes` bytes that ends on a character boundary.
pub fn cut(name: &str, bytes: usize) -> &str {
    name.get(..name.floor_char_boundary(bytes)).unwrap_or(name)
}

/// The names so far, with the field and position each came from.
#[derive(Default)]
struct Seen(HashMap<Ident, (String, usize)>);

impl Seen {
    fn insert(&mut self, name: Ident, field: &str, position: usize) -> Result<Ident, SchemaProblem> {
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            return Err(SchemaProblem::SystemColumn { name: field.to_owned() });
        }
        match self.0.get(&name) {
            None => {
                self.0.insert(name.clone(), (field.to_owned(), position));
                Ok(name)
            }
            Some((earlier, first)) if earlier == field => Err(SchemaProblem::Duplicate {
                name: field.to_owned(),
                first: *first,
                second: position,
            }),
            Some((earlier, _)) => Err(SchemaProblem::SameWhenCut {
                first: earlier.clone(),
                second: field.to_owned(),
                short: name.as_str().to_owned(),
            }),
        }
    }
}

fn column(name: Ident, ty: PgType, field: &Field) -> ColumnShape {
    ColumnShape {
        name,
        ty,
        nullable: field.is_nullable(),
        unique: flag(field, &["pgflight.unique", "cq:extension:unique"]),
        comment: text(field.metadata(), &["pgflight.comment"]),
    }
}

fn flag(field: &Field, keys: &[&str]) -> bool {
    keys.iter()
        .any(|key| field.metadata().get(key).is_some_and(|value| value == "true"))
}

fn text(metadata: &Metadata, keys: &[&str]) -> Option<String> {
    // A NUL byte cannot be part of a statement; a comment is not worth failing a stream for.
    keys.iter()
        .filter_map(|key| metadata.get(key))
        .find(|value| !value.is_empty())
        .map(|value| value.replace('\0', ""))
}

/// Key columns, from the options, else the schema's metadata, else the fields' flags.
fn key_columns(schema: &Schema, options: &WantedOptions, problems: &mut Vec<SchemaProblem>) -> Vec<Ident> {
    let named = match (&options.primary_key, schema.metadata().get("pgflight.primary_key")) {
        (Some(named), _) => named.clone(),
        (None, Some(text)) => match named_in_metadata(text) {
            Ok(named) => named,
            Err(reason) => {
                problems.push(SchemaProblem::Metadata {
                    key: "pgflight.primary_key",
                    reason,
                });
                return Vec::new();
            }
        },
        (None, None) => schema
            .fields()
            .iter()
            .filter(|field| flag(field, &["pgflight.primary_key", "cq:extension:primary_key"]))
            .map(|field| field.name().clone())
            .collect(),
    };
    let mut key: Vec<Ident> = Vec::with_capacity(named.len());
    for name in named {
        let ident = column_name(&name, options.profile)
            .ok()
            .filter(|_| schema.fields().find(&name).is_some());
        match ident {
            None => problems.push(SchemaProblem::UnknownKey {
                name,
                columns: field_names(schema),
            }),
            Some(ident) if key.contains(&ident) => problems.push(SchemaProblem::RepeatedKey { name }),
            Some(ident) => key.push(ident),
        }
    }
    key
}

fn named_in_metadata(text: &str) -> Result<Vec<String>, String> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| format!("not a JSON array of column names: {error}"));
    }
    Ok(text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect())
}

/// At most this many names are listed in a message.
const NAMES_SHOWN: usize = 20;

fn field_names(schema: &Schema) -> String {
    let mut names: Vec<&str> = schema
        .fields()
        .iter()
        .take(NAMES_SHOWN)
        .map(|field| field.name().as_str())
        .collect();
    if schema.fields().len() > NAMES_SHOWN {
        names.push("...");
    }
    names.join(", ")
}

fn constraint_name(schema: &Schema, problems: &mut Vec<SchemaProblem>) -> Option<Ident> {
    const KEY: &str = "cq:extension:constraint_name";
    let name = schema.metadata().get(KEY).filter(|name| !name.is_empty())?;
    Ident::new(name.as_str())
        .map_err(|error| {
            problems.push(SchemaProblem::Metadata {
                key: KEY,
                reason: error.to_string(),
            })
        })
        .ok()
}
