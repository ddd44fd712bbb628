//! One step of a migration as data: what it does, which lock it takes, what it costs. Pure.

use super::policy::CreateOptions;
use crate::model::ident::Ident;
use crate::model::pg_type::PgType;
use crate::model::table::{ColumnShape, TableShape};

/// A step and why it is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why, one sentence without a full stop.
    pub reason: String,
}

/// What a step does. Names are of the planned table unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Creates a schema.
    CreateSchema(Ident),
    /// Creates the table.
    CreateTable(Box<NewTable>),
    /// Adds a column, NOT NULL where its shape says so.
    AddColumn(ColumnShape),
    /// Lets a column take NULL.
    DropNotNull(Ident),
    /// Changes a column's type to one that holds every value of the old.
    SetType {
        /// The column.
        column: Ident,
        /// Its type so far.
        from: PgType,
        /// Its new type.
        to: PgType,
        /// Whether the table is written anew.
        rewrites: bool,
    },
    /// Adds a label to an enum type.
    AddEnumLabel {
        /// The enum.
        ty: PgType,
        /// The label.
        label: String,
    },
    /// Drops a constraint.
    DropConstraint(Ident),
    /// Sets the table's comment.
    CommentTable(String),
    /// Sets a column's comment.
    CommentColumn {
        /// The column.
        column: Ident,
        /// The text.
        comment: String,
    },
}

/// A table to create.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTable {
    /// Columns and key.
    pub shape: TableShape,
    /// How.
    pub options: CreateOptions,
}

/// The strongest lock that a step takes on the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// None that anyone could wait for: the relation is new or only a catalog row changes.
    None,
    /// Blocks other DDL and VACUUM, not reads or writes.
    ShareUpdateExclusive,
    /// Blocks everything, also reads.
    AccessExclusive,
}

impl Lock {
    /// The lock in the words of the Postgres manual.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}

impl Action {
    /// The step in words, for an error: "adding column x".
    pub fn words(&self) -> String {
        match self {
            Self::CreateSchema(schema) => format!("creating schema {schema}"),
            Self::CreateTable(_) => "creating it".to_owned(),
            Self::AddColumn(column) => format!("adding column {}", column.name),
            Self::DropNotNull(column) => format!("dropping NOT NULL of column {column}"),
            Self::SetType { column, to, .. } => format!("changing column {column} to {to}"),
            Self::AddEnumLabel { ty, label } => format!("adding label {label:?} to enum {ty}"),
            Self::DropConstraint(name) => format!("dropping constraint {name}"),
            Self::CommentTable(_) => "commenting on it".to_owned(),
            Self::CommentColumn { column, .. } => format!("commenting on column {column}"),
        }
    }

    /// The strongest lock it takes on an existing relation.
    pub fn lock(&self) -> Lock {
        match self {
            Self::CreateSchema(_) | Self::CreateTable(_) | Self::AddEnumLabel { .. } => Lock::None,
            Self::CommentTable(_) | Self::CommentColumn { .. } => Lock::ShareUpdateExclusive,
            Self::AddColumn(_) | Self::DropNotNull(_) | Self::SetType { .. } | Self::DropConstraint(_) => {
                Lock::AccessExclusive
            }
        }
    }

    /// Whether Postgres writes the whole table anew.
    pub fn rewrites(&self) -> bool {
        matches!(self, Self::SetType { rewrites: true, .. })
    }

    /// Whether it reads the whole table.
    pub fn scans(&self) -> bool {
        self.rewrites()
    }

    /// Whether Postgres refuses to run it inside a transaction.
    pub fn own_transaction(&self) -> bool {
        false
    }
}
