//! The shape of a table as pure data: what a stream wants, in Postgres terms.
//!
//! Building a shape from an Arrow schema is `model::wanted`'s business, reading one from a catalog that of
//! `postgres::catalog`; nothing here does either.

use super::by_name::ByName;
use super::ident::Ident;
use super::pg_type::PgType;

/// The table that a stream wants to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Columns in stream order; never empty, names unique.
    pub columns: Vec<ColumnShape>,
    /// Primary key columns in order; empty where the stream names none.
    pub primary_key: Vec<Ident>,
    /// Name of the primary key's constraint, from `cq:extension:constraint_name`; Postgres' own choice where none is given.
    pub primary_key_name: Option<Ident>,
    /// Comment of the table, from `cq:table_description` or `pgflight.comment`.
    pub comment: Option<String>,
    /// For [`Self::column`].
    pub by_name: ByName,
}

/// One wanted column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnShape {
    /// Name.
    pub name: Ident,
    /// Type to create where the column does not exist.
    pub ty: PgType,
    /// Whether NULL may occur.
    pub nullable: bool,
    /// Whether a unique constraint is wanted on this column alone.
    pub unique: bool,
    /// Comment of the column.
    pub comment: Option<String>,
}

/// A column of an existing table that rows can be written to: what the encoder is planned against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// Name.
    pub name: Ident,
    /// The column's real type.
    pub ty: PgType,
    /// Whether the column accepts NULL.
    pub nullable: bool,
}

/// A collation, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collation {
    /// Schema.
    pub schema: Ident,
    /// Name.
    pub name: Ident,
}

impl Collation {
    /// As it stands in SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.name.quoted())
    }
}

impl TableShape {
    /// The wanted column of that name.
    pub fn column(&self, name: &Ident) -> Option<&ColumnShape> {
        self.by_name.find(&self.columns, name, |column| &column.name)
    }
}
