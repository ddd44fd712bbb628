//! What clients of SQL protocols ask a database about itself: its name, schemas, relations and keys. Nothing about rows.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::ingest::error::Error;
use crate::ingest::guard::permit::Permit;
use crate::model::ident::TableName;

/// A database that describes itself. Schemas that are not the clients' are never named.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The connected database.
    async fn database(&self, permit: &Permit) -> Result<Database, Error>;

    /// Names of schemas, ordered; `like` is a pattern of SQL's LIKE.
    async fn schemas(&self, permit: &Permit, like: Option<&str>) -> Result<Vec<String>, Error>;

    /// A page of relations that the role may read or fill, ordered by schema and name.
    async fn relations(&self, permit: &Permit, asked: &RelationsRequest) -> Result<Vec<Relation>, Error>;

    /// The columns of primary keys, ordered by table and place in the key.
    async fn primary_keys(&self, permit: &Permit, of: &NamedTable) -> Result<Vec<PrimaryKeyColumn>, Error>;

    /// The columns of foreign keys between two tables, either of which may be left open.
    async fn foreign_keys(&self, permit: &Permit, between: &KeysRequest) -> Result<Vec<ForeignKeyColumn>, Error>;
}

/// The connected database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Where tables without a schema are looked for.
    pub schema: Option<String>,
}

/// A table that is asked about, in one schema or in any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedTable {
    /// Its schema; `None` for any.
    pub schema: Option<String>,
    /// Its name; `None` for any.
    pub table: Option<String>,
}

/// Which foreign keys are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysRequest {
    /// The table that is pointed to.
    pub to: NamedTable,
    /// The table that the key is of.
    pub from: NamedTable,
}

/// Which relations are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelationsRequest {
    /// Pattern of the schema's name.
    pub schema_like: Option<String>,
    /// Pattern of the relation's name.
    pub name_like: Option<String>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<RelationType>,
    /// Continue behind this one.
    pub after: Option<TableName>,
    /// Most relations in the answer.
    pub limit: u32,
}

/// A relation with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its name, with its schema.
    pub name: TableName,
    /// What it is.
    pub kind: RelationType,
}

/// What has rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationType {
    /// A table, partitioned or not.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table of another server.
    ForeignTable,
}

impl RelationType {
    /// All of them, ordered by their words.
    pub const ALL: [Self; 4] = [Self::ForeignTable, Self::MaterializedView, Self::Table, Self::View];

    /// As drivers call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::ForeignTable => "FOREIGN TABLE",
        }
    }
}

/// One column of a primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKeyColumn {
    /// The table, with its schema.
    pub table: TableName,
    /// The column.
    pub column: String,
    /// Its place in the key, from 1.
    pub sequence: i32,
    /// The constraint.
    pub key: String,
}

/// One column of a foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKeyColumn {
    /// The table that is pointed to, with its schema.
    pub to: TableName,
    /// Its column.
    pub to_column: String,
    /// The table that the key is of, with its schema.
    pub from: TableName,
    /// Its column.
    pub from_column: String,
    /// The column's place in the key, from 1.
    pub sequence: i32,
    /// The constraint.
    pub key: String,
    /// The constraint that it points to, where there is one.
    pub to_key: Option<String>,
    /// What an update of the row that is pointed to does.
    pub on_update: KeyRule,
    /// What its deletion does.
    pub on_delete: KeyRule,
}

/// What happens to a row whose key changes in the table that it points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// It goes along.
    Cascade,
    /// The change is refused at once.
    Restrict,
    /// Its columns become NULL.
    SetNull,
    /// The change is refused when it is checked.
    NoAction,
    /// Its columns get their defaults.
    SetDefault,
}
