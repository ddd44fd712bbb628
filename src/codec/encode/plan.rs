//! Plans a stream once: one rule per column, chosen from the Arrow field and the target column's type.

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;

use super::EncodeOptions;
use super::batch::BoundBatch;
use super::column::Bind;
use super::error::{CellError, CellReason, PlanError, Refused, RefusedPair};
use super::registry;
use super::source::Source;
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;

/// How each column of a stream is encoded. Owned, shareable, and independent of any batch.
pub struct CopyPlan {
    pub(super) columns: Vec<PlannedColumn>,
    /// Columns that a batch has.
    fields: usize,
    pub(super) ordinal: bool,
}

pub(super) struct PlannedColumn {
    name: Ident,
    arrow: String,
    pg: String,
    /// Place in the batches.
    pub(super) at: usize,
    /// Why NULL is refused, where it is.
    pub(super) null: Option<CellReason>,
    pub(super) bind: Bind,
}

impl PlannedColumn {
    pub(super) fn error(&self, row: usize, reason: CellReason) -> CellError {
        CellError {
            column: self.name.clone(),
            row,
            arrow: self.arrow.clone(),
            pg: self.pg.clone(),
            reason,
        }
    }
}

impl std::fmt::Debug for CopyPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self
            .columns
            .iter()
            .map(|column| (&column.name, (&column.arrow, &column.pg)));
        f.debug_map().entries(columns).finish()
    }
}

impl CopyPlan {
    /// Plans `schema`, whose field `i` goes into `columns[i]`.
    ///
    /// # Errors
    /// [`PlanError::Pairs`] with every pair that has no exact encoding.
    pub fn new(schema: &Schema, columns: &[TargetColumn], options: &EncodeOptions) -> Result<Self, PlanError> {
        if schema.fields().len() != columns.len() {
            return Err(PlanError::ColumnCount {
                fields: schema.fields().len(),
                columns: columns.len(),
            });
        }
        let mut planned = Vec::with_capacity(columns.len());
        let mut refused = Vec::new();
        for (field, column) in schema.fields().iter().zip(columns) {
            let source = Source::of(field);
            match registry::plan(&source, &column.ty, options) {
                Ok(bind) => planned.push(PlannedColumn {
                    name: column.name.clone(),
                    arrow: source.to_string(),
                    pg: column.ty.to_string(),
                    at: planned.len() + refused.len(),
                    null: (!column.nullable || forbids_null(&column.ty)).then_some(CellReason::Null),
                    bind,
                }),
                Err(why) => refused.push(RefusedPair {
                    column: column.name.clone(),
                    arrow: source.to_string(),
                    pg: column.ty.to_string(),
                    why: match why {
                        Refused::NoRule => String::new(),
                        Refused::Because(reason) => format!(": {reason}"),
                    },
                }),
            }
        }
        if refused.is_empty() {
            Ok(Self {
                columns: planned,
                fields: columns.len(),
                ordinal: false,
            })
        } else {
            Err(PlanError::Pairs(refused))
        }
    }

    /// Appends one more `int8` field to every row: its position in the stream.
    #[must_use]
    pub fn with_ordinal(mut self) -> Self {
        self.ordinal = true;
        self
    }

    /// Encodes only these fields of each row.
    #[must_use]
    pub fn only(mut self, fields: &[usize]) -> Self {
        self.columns.retain(|column| fields.contains(&column.at));
        self
    }

    /// Refuses NULL in the columns that rows are matched by.
    #[must_use]
    pub fn matching_by(mut self, key: &[Ident]) -> Self {
        let matched = self.columns.iter_mut().filter(|column| key.contains(&column.name));
        for column in matched {
            column.null.get_or_insert(CellReason::NullInKey);
        }
        self
    }

    /// Checks a batch's arrays against the plan, one downcast per column.
    ///
    /// # Errors
    /// A [`CellError`] for row 0 where the batch does not have the planned types.
    pub fn bind<'a>(&'a self, batch: &'a RecordBatch) -> Result<BoundBatch<'a>, CellError> {
        if batch.num_columns() != self.fields {
            let reason = CellReason::WrongColumnCount {
                found: batch.num_columns(),
                expected: self.fields,
            };
            let Some(first) = self.columns.first() else {
                return BoundBatch::new(self, batch);
            };
            return Err(first.error(0, reason));
        }
        BoundBatch::new(self, batch)
    }
}

fn forbids_null(ty: &PgType) -> bool {
    match ty {
        PgType::Domain(domain) => domain.not_null || forbids_null(&domain.base),
        _ => false,
    }
}
