//! How failures are made that are made in many places. No words for the client beyond what is given.

use super::Error;
use crate::model::ident::{Ident, TableName};

impl Error {
    /// A failed statement.
    pub fn statement(doing: impl Into<String>, source: tokio_postgres::Error) -> Self {
        Self::Statement {
            doing: doing.into(),
            table: None,
            row: None,
            place: None,
            blocked: String::new(),
            source,
        }
    }

    /// The failed statement was about this table, which has its schema.
    #[must_use]
    pub fn of(mut self, about: &TableName) -> Self {
        if let Self::Statement { table, .. } = &mut self {
            table.get_or_insert_with(|| about.to_string());
        }
        self
    }

    /// Our role lacks a privilege on this table. `does` says what for, as `replace empties`.
    pub fn lacks(table: &TableName, role: &str, privilege: &str, does: &str) -> Self {
        let grantee = Ident::new(role).map_or_else(|_| "<role>".to_owned(), |role| role.quoted());
        Self::Denied {
            table: table.to_string(),
            why: format!(
                "{does} {table}, and role {role} may not; run: GRANT {privilege} ON {} TO {grantee}",
                table.quoted()
            ),
        }
    }

    /// What is asked for cannot be done with this table.
    pub fn unfit(table: &TableName, why: impl Into<String>) -> Self {
        Self::Unfit {
            table: table.to_string(),
            column: None,
            why: why.into(),
        }
    }
}
