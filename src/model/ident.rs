//! Postgres identifiers. The only road by which a name reaches SQL text.
//!
//! An [`Ident`] is 1 to 63 bytes of UTF-8 without NUL, kept exactly as given (Postgres would silently cut a longer
//! name, so a longer one is an error here, never a truncation). Rendering always quotes, so case, reserved words and
//! punctuation survive. Shortening rules for over-long names are the migration planner's business, not this file's.

use std::fmt;

/// Longest identifier in bytes: `NAMEDATALEN - 1` of every stock Postgres build.
pub const MAX_IDENT_BYTES: usize = 63;

/// A validated Postgres identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

/// Why a text cannot be a Postgres identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    /// The name has no characters.
    #[error("a name is empty; Postgres names have 1 to 63 bytes")]
    Empty,
    /// The name holds a NUL byte, which no Postgres text can carry.
    #[error("the name {name:?} contains a NUL byte, which Postgres cannot store; remove it")]
    Nul {
        /// The name as it came.
        name: String,
    },
    /// The name is longer than Postgres keeps.
    #[error("the name {name:?} has {bytes} bytes; Postgres keeps at most 63, so shorten it")]
    TooLong {
        /// The name as it came.
        name: String,
        /// Its length in bytes.
        bytes: usize,
    },
}

impl Ident {
    /// Checks `name` and keeps it as it is.
    pub fn new(name: impl Into<String>) -> Result<Self, IdentError> {
        let name = name.into();
        if name.is_empty() {
            return Err(IdentError::Empty);
        }
        if name.contains('\0') {
            return Err(IdentError::Nul { name });
        }
        if name.len() > MAX_IDENT_BYTES {
            let bytes = name.len();
            return Err(IdentError::TooLong { name, bytes });
        }
        Ok(Self(name))
    }

    /// The name as given, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in double quotes with inner quotes doubled, ready for SQL.
    pub fn quoted(&self) -> String {
        let mut out = String::with_capacity(self.0.len() + 2);
        out.push('"');
        for c in self.0.chars() {
            if c == '"' {
                out.push('"');
            }
            out.push(c);
        }
        out.push('"');
        out
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted())
    }
}

impl TryFrom<&str> for Ident {
    type Error = IdentError;
    fn try_from(name: &str) -> Result<Self, IdentError> {
        Self::new(name)
    }
}

/// A table as a client names it: with a schema, or to be found in the server's default schema.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableName {
    /// Schema; `None` means the configured default, else the first of `search_path`.
    pub schema: Option<Ident>,
    /// Table name.
    pub name: Ident,
}

impl TableName {
    /// A table in the default schema.
    pub fn bare(name: Ident) -> Self {
        Self { schema: None, name }
    }

    /// A table in a named schema.
    pub fn qualified(schema: Ident, name: Ident) -> Self {
        Self {
            schema: Some(schema),
            name,
        }
    }

    /// The same table with `schema` filled in where none was given.
    pub fn or_schema(&self, schema: &Ident) -> Self {
        Self {
            schema: Some(self.schema.clone().unwrap_or_else(|| schema.clone())),
            name: self.name.clone(),
        }
    }

    /// Quoted for SQL: `"s"."t"`, or `"t"` without a schema.
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", schema.quoted(), self.name.quoted()),
            None => self.name.quoted(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_doubles_inner_quotes_and_keeps_everything_else() {
        let ident = Ident::new("Robert\"); drop table x; --").unwrap();
        assert_eq!(ident.quoted(), "\"Robert\"\"); drop table x; --\"");
    }

    #[test]
    fn a_name_is_refused_when_empty_too_long_or_with_nul() {
        assert_eq!(Ident::new(""), Err(IdentError::Empty));
        assert_eq!(Ident::new("a\0b"), Err(IdentError::Nul { name: "a\0b".into() }));
        let long = "é".repeat(32);
        assert_eq!(
            Ident::new(long.clone()),
            Err(IdentError::TooLong { name: long, bytes: 64 })
        );
        assert_eq!(Ident::new("é".repeat(31) + "a").unwrap().as_str().len(), 63);
    }

    #[test]
    fn a_table_name_is_qualified_only_where_a_schema_is_known() {
        let table = TableName::bare(Ident::new("t").unwrap());
        assert_eq!(table.quoted(), "\"t\"");
        assert_eq!(table.or_schema(&Ident::new("S").unwrap()).quoted(), "\"S\".\"t\"");
    }
}
