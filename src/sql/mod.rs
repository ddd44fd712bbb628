//! SQL text from typed parts: fixed words, identifiers, types, literals, and text that Postgres itself printed.
//!
//! There is no way to append an arbitrary string, so a name can only arrive quoted. Pure. What SQLSTATEs mean is [`state`].

pub mod state;

use std::fmt;

use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;

/// A statement being built, or a finished one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sql(String);

/// Text that came out of Postgres' own deparser (`pg_get_viewdef`, `pg_get_indexdef`, `pg_get_expr`): SQL already, with
/// every name quoted by the server. Made only of what `postgres::catalog` read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerText(String);

impl ServerText {
    /// Wraps what the server printed.
    pub fn from_server(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sql {
    /// Starts with fixed words.
    pub fn new(words: &'static str) -> Self {
        Self(words.to_owned())
    }

    /// Fixed words, as they are.
    #[must_use]
    pub fn then(mut self, words: &'static str) -> Self {
        self.0.push_str(words);
        self
    }

    /// A quoted identifier.
    #[must_use]
    pub fn ident(mut self, ident: &Ident) -> Self {
        self.0.push_str(&ident.quoted());
        self
    }

    /// Quoted identifiers, separated by commas.
    #[must_use]
    pub fn idents<'a>(self, idents: impl IntoIterator<Item = &'a Ident>) -> Self {
        self.list(idents, |sql, ident| sql.ident(ident))
    }

    /// A quoted, qualified table name.
    #[must_use]
    pub fn table(mut self, table: &TableName) -> Self {
        self.0.push_str(&table.quoted());
        self
    }

    /// A relation beside `table`, in the same schema: an index to drop or alter, a renamed table.
    #[must_use]
    pub fn beside(self, table: &TableName, name: &Ident) -> Self {
        let sibling = TableName {
            schema: table.schema.clone(),
            name: name.clone(),
        };
        self.table(&sibling)
    }

    /// A type as DDL names it.
    #[must_use]
    pub fn ty(mut self, ty: &PgType) -> Self {
        self.0.push_str(&ty.to_string());
        self
    }

    /// A string literal. Backslashes go into an `E''` literal, so that `standard_conforming_strings` does not matter.
    #[must_use]
    pub fn literal(mut self, text: &str) -> Self {
        if text.contains('\\') {
            self.0.push('E');
        }
        self.0.push('\'');
        for c in text.chars() {
            if matches!(c, '\'' | '\\') {
                self.0.push(c);
            }
            self.0.push(c);
        }
        self.0.push('\'');
        self
    }

    /// A whole number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// Text that Postgres printed.
    #[must_use]
    pub fn server(mut self, text: &ServerText) -> Self {
        self.0.push_str(text.as_str());
        self
    }

    /// Parts separated by commas.
    #[must_use]
    pub fn list<T>(mut self, items: impl IntoIterator<Item = T>, each: impl Fn(Self, T) -> Self) -> Self {
        for (n, item) in items.into_iter().enumerate() {
            if n > 0 {
                self.0.push_str(", ");
            }
            self = each(self, item);
        }
        self
    }

    /// `part` where there is something to say.
    #[must_use]
    pub fn when<T>(self, item: Option<T>, part: impl FnOnce(Self, T) -> Self) -> Self {
        match item {
            Some(item) => part(self, item),
            None => self,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(Sql::new("").literal("it's").as_str(), "'it''s'");
        assert_eq!(Sql::new("").literal("a\\'b").as_str(), "E'a\\\\''b'");
    }

    #[test]
    fn lists_are_separated_and_names_quoted() {
        let a = Ident::new("a").unwrap();
        let b = Ident::new("b\"").unwrap();
        let table = TableName::qualified(a.clone(), b.clone());
        let sql = Sql::new("x ").table(&table).then(" (").idents([&a, &b]).then(")");
        assert_eq!(sql.as_str(), "x \"a\".\"b\"\"\" (\"a\", \"b\"\"\")");
    }
}
