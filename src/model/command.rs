//! What can be asked of a table besides taking rows: migrate it, delete stale rows, delete records. Pure data.
//!
//! The CloudQuery door and the Flight actions of the same names build these; `postgres` carries them out. Meanings are
//! those of CloudQuery's plugin protocol, so that both doors mean the same.

use std::time::{Duration, SystemTime};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::ident::{Ident, TableName};
use super::loading::Loading;
use super::options::{MigrateMode, MigrateRules, TypeProfile};

/// Make a table fit a schema.
#[derive(Clone, Debug)]
pub struct MigrateCommand {
    /// The table.
    pub table: TableName,
    /// The schema, with its metadata.
    pub schema: SchemaRef,
    /// How far the table may be changed.
    pub mode: MigrateMode,
    /// What may be done besides.
    pub rules: MigrateRules,
    /// `Some`: exactly what such a load would do before its first row. `None`: the table shall have the key,
    /// and each column shall hold every value of the schema's type, whatever the encoder could fit into it one by one.
    pub for_load: Option<Loading>,
    /// Longest single wait for a lock; zero and `None` leave the choice to the engine.
    pub lock_timeout: Option<Duration>,
    /// Which types new columns get, and whose rules about keys apply.
    pub profile: TypeProfile,
    /// Key columns; the schema's metadata decides where there are none.
    pub primary_key: Option<Vec<String>>,
    /// Whether CloudQuery's index for the deletion of stale rows is wanted.
    pub performance_indexes: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Delete the rows of a source that are older than a sync.
///
/// A row goes where `_cq_source_name` equals `source_name` and `_cq_sync_time` is strictly before `sync_time`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteStale {
    /// The table.
    pub table: TableName,
    /// The source.
    pub source_name: String,
    /// Start of the sync whose rows stay.
    pub sync_time: SystemTime,
}

/// Delete rows by their values, and the rows below them.
#[derive(Clone, Debug)]
pub struct DeleteRecords {
    /// The table.
    pub table: TableName,
    /// Conditions that must all hold; without any, every row goes.
    pub groups: Vec<PredicateGroup>,
    /// Tables with rows below the deleted ones, parents before children.
    pub relations: Vec<Relation>,
}

impl DeleteRecords {
    /// Every table that rows may go from.
    pub fn tables(&self) -> Vec<TableName> {
        let below = self.relations.iter().map(|relation| relation.table.clone());
        below.chain([self.table.clone()]).collect()
    }
}

/// Conditions of which one must hold, or all.
#[derive(Clone, Debug)]
pub struct PredicateGroup {
    /// Whether one is enough.
    pub joiner: Joiner,
    /// The conditions; never empty.
    pub predicates: Vec<Predicate>,
}

/// How the conditions of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joiner {
    /// All must hold.
    All,
    /// One is enough.
    Any,
}

/// A column equals a value. NULL equals nothing.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The column.
    pub column: Ident,
    /// The value: one row of one column.
    pub value: RecordBatch,
}

/// A table whose rows hang below another's: their `_cq_parent_id` is the other row's `_cq_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The table below.
    pub table: TableName,
    /// The table above: the one that records are deleted from, or one that stands before in the list.
    pub parent: TableName,
}
