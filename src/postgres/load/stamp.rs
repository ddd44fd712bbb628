//! Tells by one text whether a table is still what it was when it was planned for, whatever about it was changed. Unlike
//! [`super::unchanged`], which knows the types of the columns only, it lets a plan be used again that was made long before.
//!
//! It is read before the table is looked at, so that a change between the two makes it outdated and never the plan; and held against
//! the catalog again before COMMIT, when the table is locked against changes.

use std::time::Instant;

use tokio_postgres::types::Type;

use super::named::Named;
use super::unchanged::MARK;
use crate::model::ident::{Ident, TableName};
use crate::postgres::error::Error;
use crate::postgres::pool::{Ask, Session};
use crate::postgres::queries;
use crate::sql::Sql;

/// The statement's name in a session.
pub(super) const NAME: &str = "pgflight_same";

/// What a table is, by the versions of its rows in the catalog.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    /// The table as it was asked for.
    schema: Option<Ident>,
    name: Ident,
    text: String,
    /// Before it was read.
    pub(super) read: Instant,
    /// Whether there are publications, which may keep rows from being updated.
    pub(super) published: bool,
}

impl Stamp {
    /// Reads it; `None` where the table is none that a stamp tells all about.
    pub(super) async fn read(session: &Session, table: &TableName) -> Result<Option<Self>, Error> {
        let read = Instant::now();
        let (schema, name) = (table.schema.as_ref().map(Ident::as_str), table.name.as_str());
        let asked = session
            .ask(queries::CATALOG_STAMP, &[(&schema, Type::TEXT), (&name, Type::TEXT)])
            .await;
        let rows = asked.map_err(|error| Error::statement(format!("looking at {table}"), error))?;
        Ok(rows.first().map(|row| Self {
            schema: table.schema.clone(),
            name: table.name.clone(),
            text: row.get("stamp"),
            read,
            published: row.get("published"),
        }))
    }

    /// Whether it is of the same table in the same state.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// The statement that fails, with the words that `unchanged::is_mark` knows, where the table is not what it was.
    pub(super) fn check(&self, is_known: bool) -> String {
        let arguments = Sql::new("(")
            .when(self.schema.as_ref(), |sql, schema| sql.literal(schema.as_str()))
            .when(self.schema.is_none().then_some(()), |sql, ()| sql.then("null"))
            .then(", ")
            .literal(self.name.as_str())
            .then(", ")
            .literal(&self.text)
            .then(")");
        match is_known {
            true => format!("execute {NAME}{}", arguments.as_str()),
            false => {
                let text = statement("it.schema", "it.name", "it.stamp");
                format!(
                    "{text} from (values {}) as it (schema, name, stamp)",
                    arguments.as_str()
                )
            }
        }
    }
}

/// The statement as a session learns it.
pub(super) fn named(text: &str) -> Named<'_> {
    Named {
        name: NAME,
        parameters: "text, text, text",
        text,
    }
}

/// Its text for parameters of these names.
pub(super) fn statement(schema: &str, name: &str, stamp: &str) -> String {
    let look = queries::without_comments(queries::CATALOG_STAMP);
    let look = look.replace("$1", schema).replace("$2", name);
    format!(
        "select case when (select now.stamp from ({look}) as now) operator(pg_catalog.=) {stamp}::pg_catalog.text then null \
         else pg_catalog.quote_ident('{MARK}')::pg_catalog.regclass end"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(schema: Option<&str>, name: &str) -> Stamp {
        Stamp {
            schema: schema.map(|schema| Ident::new(schema).unwrap()),
            name: Ident::new(name).unwrap(),
            text: "1/2".to_owned(),
            read: Instant::now(),
            published: false,
        }
    }

    #[test]
    fn names_reach_the_statement_as_literals() {
        assert_eq!(stamp(None, "t").check(true), "execute pgflight_same(null, 't', '1/2')");
        assert_eq!(
            stamp(Some("it's"), "t").check(true),
            "execute pgflight_same('it''s', 't', '1/2')"
        );
        let whole = stamp(Some("s"), "t").check(false);
        assert!(
            whole.ends_with("from (values ('s', 't', '1/2')) as it (schema, name, stamp)"),
            "{whole}"
        );
        assert!(!whole.contains('$') && !whole.contains("--"), "{whole}");
    }
}
