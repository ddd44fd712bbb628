//! What a change of an existing table has to reckon with, as pure data. Read only when a plan depends on it, because
//! finding it out opens the relations themselves.

use crate::model::ident::{Ident, TableName};
use crate::sql::ServerText;

/// The closer look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Whether the table has no row.
    pub is_empty: bool,
    /// Size with indexes and TOAST, of all partitions.
    pub bytes: u64,
    /// The server's clock in UTC as `20260102T030405`, for the name of a table that is moved aside.
    pub stamp: String,
    /// Views over the table, also over other views, each after those it reads.
    pub views: Vec<View>,
    /// All indexes.
    pub indexes: Vec<IndexDefinition>,
    /// Privileges of others than the owner.
    pub grants: Vec<Grant>,
    /// What keeps a column's type from changing: generated columns, policies, triggers, functions.
    pub users: Vec<ColumnUser>,
    /// Check and foreign key constraints of the table itself.
    pub own_constraints: Vec<Ident>,
    /// Privileges on single columns.
    pub column_grants: Vec<(Ident, Grant)>,
    /// Triggers that are not internal.
    pub triggers: Vec<TriggerDefinition>,
    /// Whether row level security is on, or policies wait for it.
    pub row_security: bool,
    /// Whether rewrite rules exist.
    pub has_rules: bool,
    /// Publications that name the table.
    pub publications: Vec<Ident>,
    /// Direct partitions.
    pub partitions: Vec<PartitionPart>,
}

/// A trigger as Postgres prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerDefinition {
    /// Its name.
    pub name: Ident,
    /// `CREATE TRIGGER ...`.
    pub definition: ServerText,
    /// When it fires, where not in ordinary sessions only.
    pub state: Option<TriggerState>,
    /// Columns that it names.
    pub columns: Vec<Ident>,
}

/// When a trigger fires, if not in ordinary sessions only (`pg_trigger.tgenabled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerState {
    /// Always.
    Always,
    /// Only in replicas.
    Replica,
    /// Never.
    Disabled,
}

/// A direct partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionPart {
    /// Name with its schema.
    pub name: TableName,
    /// Whether it is an ordinary table, not partitioned itself and not foreign.
    pub is_table: bool,
    /// Its indexes.
    pub indexes: Vec<PartIndex>,
}

/// An index of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartIndex {
    /// Its name.
    pub name: Ident,
    /// Whether it is complete.
    pub valid: bool,
    /// The index of the partitioned table that it is a part of.
    pub part_of: Option<Ident>,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Name with its schema.
    pub name: TableName,
    /// Whether its rows are stored, so that re-creating it would mean computing them again.
    pub is_materialized: bool,
    /// Its query.
    pub definition: ServerText,
    /// Its `WITH (...)` options.
    pub options: Option<ServerText>,
    /// Its owner.
    pub owner: Ident,
    /// Whether our role has the owner's rights.
    pub is_owner: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Privileges of others than the owner.
    pub grants: Vec<Grant>,
    /// Columns of the table that it reads directly.
    pub columns: Vec<Ident>,
    /// Whether it has triggers, rules or column privileges, which its definition does not tell.
    pub has_more: bool,
}

impl View {
    /// Why it cannot be dropped and created again as it was; `None` where it can.
    pub fn keeps_from_recreating(&self) -> Option<&'static str> {
        if self.is_materialized {
            Some("is materialized")
        } else if self.has_more {
            Some("has triggers, rules or column privileges")
        } else if !self.is_owner {
            Some("belongs to another role")
        } else {
            None
        }
    }
}

/// An index as Postgres prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its name.
    pub name: Ident,
    /// `CREATE INDEX ...`.
    pub definition: ServerText,
    /// Whether a constraint owns it.
    pub of_constraint: bool,
    /// Columns that it, its expressions or its predicate read.
    pub columns: Vec<Ident>,
}

/// One privilege of one role on a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role; `None` is PUBLIC.
    pub role: Option<Ident>,
    /// The privilege's key word.
    pub privilege: &'static str,
    /// Whether the role may pass it on.
    pub grantable: bool,
}

/// Something that reads a column and keeps its type from changing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnUser {
    /// The column.
    pub column: Ident,
    /// What it is, as Postgres describes it.
    pub what: String,
}

impl Depth {
    /// Views that read `column` directly, and all views over those.
    pub fn views_over<'a>(&'a self, column: &'a Ident) -> impl Iterator<Item = &'a View> {
        self.views.iter().filter(move |view| view.columns.contains(column))
    }
}
