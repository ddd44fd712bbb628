//! A table that was found to take a stream's rows: the only kind of table that the loader accepts. Pure.

use super::found::{
    Found, FoundColumn, FoundKey, FoundTable, FoundTrigger, Identity, RelationKind, Rights, RowCommand,
};
use crate::model::ident::{Ident, TableName};
use crate::model::loading::Loading;
use crate::model::pg_type::PgType;
use crate::model::table::{Collation, TableShape, TargetColumn};

/// A column as `pg_attribute` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// Its number.
    pub attnum: i16,
    /// Its name.
    pub name: Ident,
    /// OID of its type.
    pub type_id: u32,
    /// Modifier of its type.
    pub modifier: i32,
}

/// A table that takes the stream's rows. Only this module can make one, so that no load can skip the check.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedTable {
    name: TableName,
    oid: u32,
    columns: Vec<TargetColumn>,
    table: FoundTable,
    created: bool,
}

impl VerifiedTable {
    /// `None` where a wanted column is missing, which a plan that is empty excludes.
    pub(crate) fn new(wanted: &TableShape, found: &Found, created: bool) -> Option<Self> {
        let table = found.table.clone()?;
        let columns = wanted
            .columns
            .iter()
            .map(|column| {
                let there = table.column(&column.name)?;
                Some(TargetColumn {
                    name: there.name.clone(),
                    ty: there.ty.clone(),
                    nullable: there.accepts_null(),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            name: found.name.clone(),
            oid: table.oid,
            columns,
            table,
            created,
        })
    }

    /// Name with its schema.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// OID of the relation.
    pub fn oid(&self) -> u32 {
        self.oid
    }

    /// The columns that the stream writes, in stream order, with the types they have.
    pub fn columns(&self) -> &[TargetColumn] {
        &self.columns
    }

    /// What the columns that the stream writes are to the catalog, by their numbers.
    pub fn column_types(&self) -> Vec<ColumnType> {
        let there = self.columns.iter().filter_map(|column| self.table.column(&column.name));
        let mut types: Vec<ColumnType> = there
            .map(|there| ColumnType {
                attnum: there.attnum,
                name: there.name.clone(),
                type_id: there.type_id.0,
                modifier: there.type_id.1,
            })
            .collect();
        types.sort_by_key(|column| column.attnum);
        types
    }

    /// Whether this call created the table.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Columns of the primary key in its order; empty without one.
    pub fn primary_key(&self) -> Vec<Ident> {
        self.table.primary_key().map(FoundKey::column_names).unwrap_or_default()
    }

    /// The unique index that `ON CONFLICT (columns)` finds.
    pub fn conflict_index(&self, columns: &[Ident]) -> Option<&Ident> {
        self.table.conflict_key(columns).map(|key| &key.name)
    }

    /// Columns of this key in which different texts may be equal, with the collation that says so.
    pub fn collations(&self, key: &[Ident]) -> Vec<(Ident, Collation)> {
        let of = |column: &Ident| Some((column.clone(), self.table.collation(key, column)?.clone()));
        key.iter().filter_map(of).collect()
    }

    /// Whether rows with NULL in these key columns meet each other there.
    pub fn matches_null(&self, columns: &[Ident]) -> bool {
        self.table.matches_null(columns)
    }

    /// Whether an upsert fires triggers also where it only inserts, which COPY does not.
    pub fn has_update_statement_triggers(&self) -> bool {
        self.table.triggers.iter().any(FoundTrigger::is_on_update_statement)
    }

    /// Whether all rows of that load must go in at once, because one may name another that comes later.
    pub fn collects_rows(&self, loading: &Loading) -> bool {
        self.table.collects_rows(loading)
    }

    /// The foreign keys to itself whose checks that load puts off to its end.
    pub fn deferred(&self, loading: &Loading) -> Vec<TableName> {
        let own = self
            .table
            .self_references()
            .filter(|_| self.table.defers_checks(loading));
        let mut names: Vec<TableName> = own
            .map(|reference| TableName::qualified(reference.schema.clone(), reference.name.clone()))
            .collect();
        names.dedup();
        names
    }

    /// Triggers that can leave out rows of that load.
    pub fn suppressors(&self, loading: &Loading) -> Vec<String> {
        self.table.suppressors(loading)
    }

    /// Whether a trigger leaves out updates that change nothing.
    pub fn leaves_out_redundant(&self) -> bool {
        let mut triggers = self.table.row_triggers.iter();
        triggers.any(|trigger| trigger.only_redundant && trigger.trigger.enabled)
    }

    /// Whether it is the parent of partitions.
    pub fn is_partitioned(&self) -> bool {
        self.table.kind == RelationKind::Partitioned
    }

    /// Whether it is a view that an INSTEAD OF trigger writes to (COPY works, `ON CONFLICT` and TRUNCATE do not).
    pub fn is_view(&self) -> bool {
        self.table.kind == RelationKind::View
    }

    /// Whether rows go to another server.
    pub fn is_foreign(&self) -> bool {
        self.table.kind == RelationKind::Foreign
    }

    /// Whether it is unlogged.
    pub fn is_unlogged(&self) -> bool {
        self.table.is_unlogged
    }

    /// Whether triggers fire on INSERT.
    pub fn has_insert_triggers(&self) -> bool {
        self.table.triggers.iter().any(FoundTrigger::is_on_insert)
    }

    /// Whether rewrite rules on INSERT exist, which COPY does not fire.
    pub fn has_insert_rules(&self) -> bool {
        self.table.rule_on(RowCommand::Insert).is_some()
    }

    /// Whether other tables inherit from it or are its partitions.
    pub fn has_children(&self) -> bool {
        self.table.has_children
    }

    /// Tables whose foreign keys point here, so that TRUNCATE and a swap would fail.
    pub fn referenced_by(&self) -> &[String] {
        &self.table.referenced_by
    }

    /// Whether the stream carries a `GENERATED ALWAYS AS IDENTITY` column: `INSERT .. SELECT` then needs
    /// `OVERRIDING SYSTEM VALUE` (COPY takes the values as they are).
    pub fn needs_overriding(&self) -> bool {
        self.columns.iter().any(|column| {
            self.table
                .column(&column.name)
                .is_some_and(|there| there.identity == Some(Identity::Always))
        })
    }

    /// Whether our role may read it, and update, delete or truncate it.
    pub fn rights(&self) -> Rights {
        self.table.rights
    }

    /// The type of any column of the table, also of those that the stream does not carry.
    pub fn column_type(&self, name: &Ident) -> Option<&PgType> {
        self.table.column(name).map(|column| &column.ty)
    }

    /// Every column that the table has and that can be read, in table order.
    pub fn all_columns(&self) -> Vec<TargetColumn> {
        let column = |there: &FoundColumn| TargetColumn {
            name: there.name.clone(),
            ty: there.ty.clone(),
            nullable: there.accepts_null(),
        };
        self.table.columns.iter().map(column).collect()
    }
}
