//! What a program is told of a failure beside its sentence: SQLSTATE, table, column, constraint, row. A table is always said as
//! `schema.table`, and where Postgres names one, that one counts.

use tokio_postgres::error::DbError;

use super::{CopyPlace, Error};
use crate::codec::encode::PlanError;
use crate::ingest::error::Facts;

impl Error {
    pub(super) fn db(&self) -> Option<&DbError> {
        self.postgres()?.as_db_error()
    }

    pub(super) fn facts(&self) -> Facts {
        match self {
            Error::TooManyRejects { table, bad, .. } => bad.facts(table),
            Error::NotReplayable { source } => source.facts(),
            Error::Read(error) => error.facts(),
            Error::Cell { table, row, cell, .. } => Facts {
                row: Some(*row),
                ..of(table, Some(cell.column.to_string()))
            },
            Error::Statement { table, row, place, .. } => Facts {
                row: *row,
                ..self.of_server(table.clone(), place.as_ref())
            },
            Error::Renew { table, .. } => self.of_server(Some(table.clone()), None),
            Error::Catalog(error) => self.of_server(error.table().map(ToString::to_string), None),
            Error::Migrate(error) => {
                let (table, column) = error.place();
                let said = self.of_server(table.map(ToString::to_string), None);
                Facts {
                    reason: error.reason(),
                    column: said.column.or_else(|| column.map(ToString::to_string)),
                    ..said
                }
            }
            Error::CommitUnknown { table, .. } => Facts {
                reason: Some("COMMIT_UNKNOWN"),
                ..of(table, None)
            },
            Error::Schema(problems) => Facts {
                column: problems
                    .0
                    .iter()
                    .find_map(|problem| problem.column())
                    .map(str::to_owned),
                ..Facts::default()
            },
            _ => self.of_refusal().unwrap_or_else(|| self.of_server(None, None)),
        }
    }

    /// What refusals of ours are about.
    fn of_refusal(&self) -> Option<Facts> {
        Some(match self {
            Error::Plan { table, source } => {
                let pairs = match source {
                    PlanError::Pairs(pairs) => pairs.as_slice(),
                    PlanError::ColumnCount { .. } => &[],
                };
                of(table, pairs.first().map(|pair| pair.column.to_string()))
            }
            Error::Unfit { table, column, .. } => of(table, column.clone()),
            Error::Denied { table, .. } => of(table, None),
            Error::NoColumn { table, column } => Facts {
                sqlstate: Some("42703".to_owned()),
                ..of(table, Some(column.clone()))
            },
            Error::NoTable { table } | Error::Absent { table } => Facts {
                sqlstate: Some("42P01".to_owned()),
                ..of(table, None)
            },
            Error::Present { table } => Facts {
                sqlstate: Some("42P07".to_owned()),
                ..of(table, None)
            },
            Error::RowsLost { table, .. }
            | Error::Suppressed { table, .. }
            | Error::Dropped { table }
            | Error::Changed { table } => of(table, None),
            _ => return None,
        })
    }

    /// What the server named, and the table that we know of where it named none.
    fn of_server(&self, table: Option<String>, place: Option<&CopyPlace>) -> Facts {
        let Some(db) = self.db() else {
            return Facts {
                table,
                ..Facts::default()
            };
        };
        let named = db
            .schema()
            .zip(db.table())
            .map(|(schema, table)| format!("{schema}.{table}"));
        Facts {
            sqlstate: Some(db.code().code().to_owned()),
            table: named.or(table),
            column: db.column().or_else(|| place?.column.as_deref()).map(str::to_owned),
            constraint: db.constraint().map(str::to_owned),
            row: None,
            reason: None,
        }
    }
}

fn of(table: &str, column: Option<String>) -> Facts {
    Facts {
        table: Some(table.to_owned()),
        column,
        ..Facts::default()
    }
}
