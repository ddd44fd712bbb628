//! What one read does, decided before any row: which columns, as which Arrow fields, through which decoders, and the list of
//! expressions that the query selects. Pure.
//!
//! Text can be asked for of every type: where the payload is not text, Postgres casts it, so that it is what Postgres prints.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::column::ColumnDecoder;
use super::fault::Refused;
use super::table::{BatchLimits, ReadColumn, TableDecoder};
use super::{registry, type_map};
use crate::model::extension::is_text;
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::suggest;
use crate::model::table::TargetColumn;

/// A read that is ready to start.
pub struct ReadPlan {
    schema: SchemaRef,
    columns: Vec<PlannedColumn>,
}

struct PlannedColumn {
    name: Ident,
    cast: Cast,
    read: ReadColumn,
}

/// What Postgres does to a column before it sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Nothing.
    None,
    /// `::text`.
    Text,
    /// `::text[]`.
    TextArray,
}

/// Why a read cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A column is not in the table.
    #[error("it has no column {name:?}{hint}")]
    NoColumn {
        /// The name asked for.
        name: String,
        /// Empty, or a guess at what was meant.
        hint: String,
    },
    /// A column was asked for twice.
    #[error("the column {name:?} is asked for twice")]
    Twice {
        /// The name asked for.
        name: String,
    },
    /// A schema and a column list that do not say the same.
    #[error("the columns asked for ({columns}) are not those of the schema asked for ({fields}), in the same order")]
    Contradiction {
        /// The list.
        columns: String,
        /// The schema's names.
        fields: String,
    },
    /// Types that do not go together, all of them.
    #[error("{}", .0.join("; "))]
    Pairs(Vec<String>),
}

impl PlanError {
    /// The column that it is about, where that is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::NoColumn { name, .. } | Self::Twice { name } => Some(name),
            Self::Contradiction { .. } | Self::Pairs(_) => None,
        }
    }
}

impl std::fmt::Debug for ReadPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadPlan")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl ReadPlan {
    /// Plans a read of `table`: all columns, or those of `columns`, or exactly `wanted`.
    ///
    /// # Errors
    /// A column that is not there, or a field that a column cannot be read as.
    pub fn new(table: &[TargetColumn], columns: Option<&[String]>, wanted: Option<&Schema>) -> Result<Self, PlanError> {
        let fields: Vec<FieldRef> = match (wanted, columns) {
            (Some(wanted), columns) => {
                agree(columns, wanted)?;
                wanted.fields().iter().cloned().collect()
            }
            (None, Some(names)) => {
                let found = names.iter().map(|name| find(table, name).map(default_field));
                found.collect::<Result<_, _>>()?
            }
            (None, None) => table.iter().map(default_field).collect(),
        };
        let mut planned: Vec<PlannedColumn> = Vec::with_capacity(fields.len());
        let mut refused = Vec::new();
        for field in &fields {
            let column = find(table, field.name())?;
            if wanted.is_some() || columns.is_some() {
                let twice = planned.iter().any(|earlier| earlier.name == column.name);
                if twice {
                    return Err(PlanError::Twice {
                        name: field.name().clone(),
                    });
                }
            }
            match plan_column(column, field) {
                Ok(column) => planned.push(column),
                Err(reason) => refused.push(reason),
            }
        }
        if !refused.is_empty() {
            return Err(PlanError::Pairs(refused));
        }
        let metadata = wanted.map(|wanted| wanted.metadata().clone()).unwrap_or_default();
        Ok(Self {
            schema: Arc::new(Schema::new(fields).with_metadata(metadata)),
            columns: planned,
        })
    }

    /// Plans the reading of a statement's result, column by column: a name may come twice there.
    ///
    /// # Errors
    /// Types that cannot be read as they are.
    pub fn of_result(columns: &[(String, PgType)]) -> Result<Self, PlanError> {
        let (mut fields, mut planned, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (n, (name, ty)) in columns.iter().enumerate() {
            let field = type_map::field(name, ty, true);
            // What is selected is the statement; this name is never part of one.
            let name = Ident::new(format!("column {n}")).map_err(|error| PlanError::Pairs(vec![error.to_string()]))?;
            let column = TargetColumn {
                name,
                ty: ty.clone(),
                nullable: true,
            };
            match plan_column(&column, &field) {
                Ok(column) if column.cast == Cast::None => planned.push(column),
                Ok(_) => refused.push(format!(
                    "column {:?}: {ty} is read as text only; cast it in the statement",
                    field.name()
                )),
                Err(reason) => refused.push(reason),
            }
            fields.push(field);
        }
        match refused.is_empty() {
            true => Ok(Self {
                schema: Arc::new(Schema::new(fields)),
                columns: planned,
            }),
            false => Err(PlanError::Pairs(refused)),
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns to select, with what Postgres does to each.
    pub fn selected(&self) -> impl Iterator<Item = (&Ident, Cast)> {
        self.columns.iter().map(|column| (&column.name, column.cast))
    }

    /// The decoder of the rows.
    pub fn into_decoder(self, limits: BatchLimits) -> TableDecoder {
        let columns = self.columns.into_iter().map(|column| column.read).collect();
        TableDecoder::new(self.schema, columns, limits)
    }
}

fn default_field(column: &TargetColumn) -> FieldRef {
    Arc::new(type_map::field(column.name.as_str(), &column.ty, column.nullable))
}

fn agree(columns: Option<&[String]>, wanted: &Schema) -> Result<(), PlanError> {
    let fields: Vec<&str> = wanted.fields().iter().map(|field| field.name().as_str()).collect();
    match columns {
        Some(columns) if !columns.iter().eq(fields.iter()) => Err(PlanError::Contradiction {
            columns: columns.join(", "),
            fields: fields.join(", "),
        }),
        _ => Ok(()),
    }
}

fn find<'a>(table: &'a [TargetColumn], name: &str) -> Result<&'a TargetColumn, PlanError> {
    table
        .iter()
        .find(|column| column.name.as_str() == name)
        .ok_or_else(|| PlanError::NoColumn {
            name: name.to_owned(),
            hint: suggest::hint(name, table.iter().map(|column| column.name.as_str())),
        })
}

fn plan_column(column: &TargetColumn, field: &Field) -> Result<PlannedColumn, String> {
    let (cast, decoder) = plan_field(&column.ty, field).map_err(|refused| {
        format!(
            "column {:?}: {} cannot be read as {}{}",
            field.name(),
            column.ty,
            field.data_type(),
            registry::because(refused)
        )
    })?;
    Ok(PlannedColumn {
        name: column.name.clone(),
        cast,
        read: ReadColumn {
            pg: column.ty.to_string(),
            decoder,
        },
    })
}

type PlannedField = Result<(Cast, Box<dyn ColumnDecoder>), Refused>;

fn plan_field(ty: &PgType, field: &Field) -> PlannedField {
    match registry::plan(ty, field) {
        Ok(decoder) => Ok((Cast::None, decoder)),
        Err(Refused::NoRule) => with_cast(ty, field),
        Err(refused) => Err(refused),
    }
}

/// Text of anything, and lists of texts of arrays of anything, through Postgres' own casts.
fn with_cast(ty: &PgType, field: &Field) -> PlannedField {
    if is_text(field.data_type()) {
        return Ok((Cast::Text, registry::plan(&PgType::Text, field)?));
    }
    if matches!(ty, PgType::Array(_)) && innermost(field).is_some_and(is_text) {
        let texts = PgType::Array(Box::new(PgType::Text));
        return Ok((Cast::TextArray, registry::plan(&texts, field)?));
    }
    Err(Refused::NoRule)
}

fn innermost(field: &Field) -> Option<&DataType> {
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(innermost(item).unwrap_or(item.data_type()))
        }
        _ => None,
    }
}
