//! One step of a migration as data: what it does, which lock it takes, what it costs. Pure.

use super::depth::{Grant, TriggerState, View};
use super::partition::Partition;
use super::policy::CreateOptions;
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::{Collation, ColumnShape, TableShape};
use crate::sql::ServerText;

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
    /// Creates a partition of the table.
    CreatePartition(Partition),
    /// Adds a column, NOT NULL where its shape says so.
    AddColumn(ColumnShape),
    /// Lets a column take NULL.
    DropNotNull(Ident),
    /// Locks the table against everyone, so that a check holds until the change that follows.
    LockTable,
    /// Ends the migration when a value of the column would not survive the way to the type and back.
    CheckConvertible {
        /// The column.
        column: Ident,
        /// The type.
        to: PgType,
    },
    /// Changes a column's type.
    SetType(SetType),
    /// Adds a label to an enum type.
    AddEnumLabel {
        /// The enum.
        ty: PgType,
        /// The label.
        label: String,
    },
    /// Adds the primary key.
    AddPrimaryKey {
        /// Name of the constraint; Postgres' own choice without one.
        name: Option<Ident>,
        /// Its columns.
        columns: Vec<Ident>,
    },
    /// Adds a unique constraint over one column, named by Postgres.
    AddUnique(Ident),
    /// Makes a finished unique index a constraint of the same name.
    AddUniqueUsing(Ident),
    /// Drops a constraint.
    DropConstraint(Ident),
    /// Builds an index.
    CreateIndex {
        /// Its name.
        name: Ident,
        /// Its columns.
        columns: Vec<Ident>,
        /// Whether it is unique.
        unique: bool,
        /// Whether writers go on while it is built.
        concurrently: bool,
    },
    /// Creates the index of a partitioned table without those of its partitions, which follow one by one.
    CreateIndexOnly {
        /// Its name.
        name: Ident,
        /// Its columns.
        columns: Vec<Ident>,
    },
    /// Builds a partition's part of an index beside the writers.
    CreatePartIndex {
        /// The partition.
        partition: TableName,
        /// Its name.
        name: Ident,
        /// Its columns.
        columns: Vec<Ident>,
    },
    /// Drops a partition's index that a failed build left.
    DropPartIndex {
        /// The partition.
        partition: TableName,
        /// Its name.
        name: Ident,
    },
    /// Makes a partition's index a part of the table's.
    AttachIndex {
        /// The table's index.
        index: Ident,
        /// The partition.
        partition: TableName,
        /// Its index.
        part: Ident,
    },
    /// Drops an index that a failed build left.
    DropIndex {
        /// Its name.
        name: Ident,
        /// Whether it may wait for readers without blocking them.
        concurrently: bool,
    },
    /// Re-creates an index of the table that was moved aside.
    RecreateIndex(ServerText),
    /// Re-creates a trigger of the table that was moved aside.
    RecreateTrigger(ServerText),
    /// Sets when a trigger fires.
    SetTrigger {
        /// Its name.
        name: Ident,
        /// When.
        state: TriggerState,
    },
    /// Grants a privilege on one column.
    GrantColumn {
        /// The column.
        column: Ident,
        /// What to whom.
        grant: Grant,
    },
    /// Sets the table's comment.
    CommentTable(String),
    /// Sets a column's comment.
    CommentColumn {
        /// The column.
        column: Ident,
        /// The text.
        comment: String,
    },
    /// Renames the table.
    RenameTable(Ident),
    /// Renames an index (and its constraint) of the table, so that its name is free.
    RenameIndex {
        /// Its name.
        from: Ident,
        /// Its new name.
        to: Ident,
    },
    /// Drops the table with its rows.
    DropTable,
    /// Drops a view that is created again later on.
    DropView(TableName),
    /// Creates a view as it was.
    CreateView(Box<View>),
    /// Gives a relation to a role.
    SetOwner {
        /// The table or view.
        relation: TableName,
        /// The role.
        owner: Ident,
    },
    /// Grants a privilege on a relation.
    Grant {
        /// The table or view.
        relation: TableName,
        /// What to whom.
        grant: Grant,
    },
    /// Sets a view's comment.
    CommentView {
        /// The view.
        view: TableName,
        /// The text.
        comment: String,
    },
}

/// A change of a column's type.
#[derive(Clone, Debug, PartialEq)]
pub struct SetType {
    /// The column.
    pub column: Ident,
    /// Its type so far.
    pub from: PgType,
    /// Its new type.
    pub to: PgType,
    /// Whether the table is written anew.
    pub rewrites: bool,
    /// Whether values go through their text form, because there is no lossless cast.
    pub through_text: bool,
    /// The collation that the column keeps.
    pub collation: Option<Collation>,
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
    /// Blocks writes, not reads.
    Share,
    /// Blocks everything, also reads.
    AccessExclusive,
}

impl Lock {
    /// The lock in the words of the Postgres manual.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
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
            Self::CreatePartition(partition) => format!("creating partition {}", partition.name),
            Self::AddColumn(column) => format!("adding column {}", column.name),
            Self::DropNotNull(column) => format!("dropping NOT NULL of column {column}"),
            Self::LockTable => "locking it".to_owned(),
            Self::CheckConvertible { column, to } => format!("checking that column {column} can become {to}"),
            Self::SetType(change) => format!("changing column {} to {}", change.column, change.to),
            Self::AddEnumLabel { ty, label } => format!("adding label {label:?} to enum {ty}"),
            Self::AddPrimaryKey { .. } => "adding its primary key".to_owned(),
            Self::AddUnique(column) => format!("making column {column} unique"),
            Self::AddUniqueUsing(name) => format!("making index {name} a constraint"),
            Self::DropConstraint(name) => format!("dropping constraint {name}"),
            Self::CreateIndex { name, .. } => format!("building index {name}"),
            Self::DropIndex { name, .. } => format!("dropping index {name}"),
            Self::CreateIndexOnly { name, .. } => format!("creating index {name}"),
            Self::CreatePartIndex { partition, name, .. } => format!("building index {name} of partition {partition}"),
            Self::DropPartIndex { partition, name } => format!("dropping index {name} of partition {partition}"),
            Self::AttachIndex { index, part, .. } => format!("making index {part} a part of {index}"),
            Self::RecreateIndex(_) => "re-creating an index".to_owned(),
            Self::RecreateTrigger(_) => "re-creating a trigger".to_owned(),
            Self::SetTrigger { name, .. } => format!("setting when trigger {name} fires"),
            Self::GrantColumn { column, .. } => format!("restoring the privileges on column {column}"),
            Self::CommentTable(_) => "commenting on it".to_owned(),
            Self::CommentColumn { column, .. } => format!("commenting on column {column}"),
            Self::RenameTable(to) => format!("moving it aside as {to}"),
            Self::RenameIndex { from, .. } => format!("renaming index {from}"),
            Self::DropTable => "dropping it".to_owned(),
            Self::DropView(view) => format!("dropping view {view}"),
            Self::CreateView(view) => format!("re-creating view {}", view.name),
            Self::SetOwner { relation, .. } => format!("restoring the owner of {relation}"),
            Self::Grant { relation, .. } => format!("restoring the privileges on {relation}"),
            Self::CommentView { view, .. } => format!("commenting on view {view}"),
        }
    }

    /// The strongest lock it takes on an existing relation.
    pub fn lock(&self) -> Lock {
        match self {
            Self::CreateSchema(_)
            | Self::CreateTable(_)
            | Self::AddEnumLabel { .. }
            | Self::RecreateIndex(_)
            | Self::RecreateTrigger(_)
            | Self::SetTrigger { .. }
            | Self::GrantColumn { .. }
            | Self::CreateView(_)
            | Self::CheckConvertible { .. } => Lock::None,
            Self::CommentTable(_)
            | Self::CommentColumn { .. }
            | Self::CommentView { .. }
            | Self::CreateIndex { concurrently: true, .. }
            | Self::DropIndex { concurrently: true, .. }
            | Self::CreatePartIndex { .. }
            | Self::DropPartIndex { .. }
            | Self::RenameIndex { .. }
            | Self::Grant { .. } => Lock::ShareUpdateExclusive,
            Self::CreateIndex {
                concurrently: false, ..
            }
            | Self::CreateIndexOnly { .. } => Lock::Share,
            _ => Lock::AccessExclusive,
        }
    }

    /// Whether Postgres writes the whole table anew.
    pub fn rewrites(&self) -> bool {
        matches!(self, Self::SetType(SetType { rewrites: true, .. }))
    }

    /// Whether it reads the whole table.
    pub fn scans(&self) -> bool {
        self.rewrites()
            || matches!(
                self,
                Self::CheckConvertible { .. }
                    | Self::AddPrimaryKey { .. }
                    | Self::AddUnique(_)
                    | Self::CreateIndex { .. }
                    | Self::CreatePartIndex { .. }
                    | Self::RecreateIndex(_)
            )
    }

    /// The same in a transaction, where writers wait for its end.
    pub fn in_transaction(&self) -> Option<Self> {
        let mut action = self.clone();
        match &mut action {
            Self::CreateIndex { concurrently, .. } | Self::DropIndex { concurrently, .. } => *concurrently = false,
            _ => return None,
        }
        Some(action)
    }

    /// Whether Postgres refuses to run it inside a transaction.
    pub fn own_transaction(&self) -> bool {
        matches!(
            self,
            Self::CreateIndex { concurrently: true, .. }
                | Self::DropIndex { concurrently: true, .. }
                | Self::CreatePartIndex { .. }
                | Self::DropPartIndex { .. }
        )
    }
}
