//! What the catalog says about a table, as pure data: the planner's input and the ground of a verified table.
//!
//! Filled by `postgres::catalog`; nothing here reads anything.

mod watchers;

use crate::model::by_name::ByName;
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::model::table::Collation;

pub use watchers::{FoundReference, FoundRule, FoundTrigger, RowCommand, RowTrigger};

/// Everything that one catalog read brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The name asked for, with the schema it was looked for in.
    pub name: TableName,
    /// The schema of that name.
    pub schema: FoundSchema,
    /// The relation, if there is one of that name.
    pub table: Option<FoundTable>,
    /// The server and our role on it.
    pub server: ServerFacts,
}

/// The schema a table was looked for in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSchema {
    /// Its name.
    pub name: Ident,
    /// Whether there is one.
    pub exists: bool,
    /// Whether our role may look up names in it.
    pub can_use: bool,
    /// Whether our role may create relations in it.
    pub can_create: bool,
}

/// The server and our role on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`, e.g. 180004.
    pub version: u32,
    /// The connected database.
    pub database: String,
    /// The role that statements run as.
    pub role: String,
    /// First existing schema of `search_path`.
    pub current_schema: Option<Ident>,
    /// Setting `TimeZone` of the session.
    pub time_zone: String,
    /// The server's date in UTC as `2026-01-02`, for partitions made ahead.
    pub today: String,
    /// Whether the server is a standby, which takes no writes.
    pub in_recovery: bool,
    /// Whether the session takes no writes, on a standby or by `default_transaction_read_only`.
    pub read_only: bool,
    /// Whether our role may create schemas.
    pub can_create_schema: bool,
    /// Whether our role may create temporary tables.
    pub can_create_temporary: bool,
}

/// What kind of relation bears the table's name (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table (also a partition or an inheritance child).
    Table,
    /// The parent of a partitioned table.
    Partitioned,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    Foreign,
    /// A sequence, an index, a composite type: something that rows are never written to.
    NotATable(char),
}

impl RelationKind {
    /// The kind in words, for messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::Partitioned => "a partitioned table",
            Self::View => "a view",
            Self::MaterializedView => "a materialized view",
            Self::Foreign => "a foreign table",
            Self::NotATable('S') => "a sequence",
            Self::NotATable('i' | 'I') => "an index",
            Self::NotATable('c') => "a composite type",
            Self::NotATable(_) => "no table",
        }
    }
}

/// A relation as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundTable {
    /// Name of the relation.
    pub name: Ident,
    /// OID of the relation.
    pub oid: u32,
    /// What it is.
    pub kind: RelationKind,
    /// Columns that were not dropped, in the order of their numbers.
    pub columns: Vec<FoundColumn>,
    /// For [`Self::column`].
    pub by_name: ByName,
    /// Unique indexes, with the constraint over them where there is one.
    pub keys: Vec<FoundKey>,
    /// All indexes, unique or not.
    pub indexes: Vec<FoundIndex>,
    /// Names of exclusion constraints (`ON CONFLICT DO UPDATE` cannot use them).
    pub exclusions: Vec<Ident>,
    /// Tables whose foreign keys point here.
    pub referenced_by: Vec<String>,
    /// Whether it is a partition of another table.
    pub is_partition: bool,
    /// Whether other tables inherit from it or are its partitions.
    pub has_children: bool,
    /// Whether it was created `OF` a composite type, so that its columns cannot change.
    pub is_typed: bool,
    /// Whether it is unlogged.
    pub is_unlogged: bool,
    /// Partition key as Postgres prints it.
    pub partition_key: Option<String>,
    /// Columns of the partition key (expressions are not among them).
    pub partition_columns: Vec<Ident>,
    /// Names of its direct partitions.
    pub partitions: Vec<Ident>,
    /// Comment.
    pub comment: Option<String>,
    /// Owner.
    pub owner: String,
    /// What our role may do.
    pub rights: Rights,
    /// Triggers that are not internal.
    pub triggers: Vec<FoundTrigger>,
    /// Whether row level security applies to our role here.
    pub row_security: bool,
    /// Rewrite rules (COPY does not carry them out, INSERT does).
    pub rules: Vec<FoundRule>,
    /// Commands that Postgres refuses, because a publication sends what they change and the table has no replica identity.
    pub unidentified: Vec<RowCommand>,
    /// Triggers that see each row, also those of partitions.
    pub row_triggers: Vec<RowTrigger>,
    /// Foreign keys that point to it, to its partitions or children, or from there to a table that it is a part of.
    pub references: Vec<FoundReference>,
    /// `pg_class.reltuples`, -1 before the first vacuum or analyze.
    pub estimated_rows: f64,
}

/// What our role may do with a relation.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one privilege of Postgres, independent of the others"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether our role has the owner's rights, which all DDL needs.
    pub owner: bool,
    /// SELECT on the table or on some column, which is what counting its rows needs.
    pub look: bool,
    /// DELETE on the table.
    pub delete: bool,
    /// TRUNCATE on the table.
    pub truncate: bool,
}

/// What our role may do with a column, granted for it or for the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRights {
    /// INSERT.
    pub insert: bool,
    /// SELECT.
    pub select: bool,
    /// UPDATE.
    pub update: bool,
}

/// A column as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundColumn {
    /// `pg_attribute.attnum`: has gaps where columns were dropped.
    pub attnum: i16,
    /// Name.
    pub name: Ident,
    /// Type with its modifier.
    pub ty: PgType,
    /// `pg_attribute.atttypid` and `atttypmod`, of which `ty` was made.
    pub type_id: (u32, i32),
    /// Whether the column itself has a NOT NULL constraint (its domain may have another).
    pub not_null: bool,
    /// Its collation, where that is not its type's.
    pub collation: Option<Collation>,
    /// Default expression as Postgres prints it; of a generated column its expression.
    pub default: Option<String>,
    /// Whether values are computed by Postgres.
    pub generated: Option<Generated>,
    /// Whether values come from an identity sequence.
    pub identity: Option<Identity>,
    /// Whether the column comes from a parent table.
    pub inherited: bool,
    /// What our role may do with it.
    pub rights: ColumnRights,
    /// Comment.
    pub comment: Option<String>,
}

/// How a generated column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// Computed on write.
    Stored,
    /// Computed on read (Postgres 18).
    Virtual,
}

/// How an identity column treats a value that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `GENERATED ALWAYS`: INSERT needs `OVERRIDING SYSTEM VALUE`, COPY takes the value.
    Always,
    /// `GENERATED BY DEFAULT`.
    ByDefault,
}

/// A unique index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Name of the index.
    pub name: Ident,
    /// Name of the constraint that it backs.
    pub constraint: Option<Ident>,
    /// Whether it is the primary key.
    pub is_primary: bool,
    /// Key columns in order; `None` stands for an expression.
    pub columns: Vec<Option<Ident>>,
    /// Whether it has neither a predicate nor an expression.
    pub plain: bool,
    /// Whether it is complete (`indisvalid`).
    pub valid: bool,
    /// Whether it is checked at once (not deferrable).
    pub immediate: bool,
    /// The nondeterministic collations of its columns, in their order; empty where all are compared by their bytes.
    pub collations: Vec<Option<Collation>>,
    /// Whether two NULLs are equal to it.
    pub nulls_not_distinct: bool,
}

/// Any index, for repairing what a failed concurrent build left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundIndex {
    /// Name.
    pub name: Ident,
    /// Whether it is complete.
    pub valid: bool,
}

impl FoundTable {
    /// The column of that name.
    pub fn column(&self, name: &Ident) -> Option<&FoundColumn> {
        self.by_name.find(&self.columns, name, |column| &column.name)
    }

    /// The primary key.
    pub fn primary_key(&self) -> Option<&FoundKey> {
        self.keys.iter().find(|key| key.is_primary)
    }

    /// Tables whose foreign keys keep it from being emptied, which are those of others only.
    pub fn held_by(&self) -> Vec<&str> {
        let others = self.references.iter().filter(|reference| !reference.within);
        let mut names: Vec<&str> = others.map(|reference| reference.from.as_str()).collect();
        names.dedup();
        names
    }

    /// The rule that is carried out instead of that command or beside it.
    pub fn rule_on(&self, event: RowCommand) -> Option<&FoundRule> {
        self.rules.iter().find(|rule| rule.event == event && rule.enabled)
    }

    /// The rule that keeps `ON CONFLICT` from the table: one that is disabled does, too.
    pub fn rule_against_upserts(&self) -> Option<&FoundRule> {
        self.rules.iter().find(|rule| rule.event != RowCommand::Delete)
    }

    /// Whether `name` is a column of the primary key, which cannot lose its NOT NULL.
    pub fn in_primary_key(&self, name: &Ident) -> bool {
        self.primary_key()
            .is_some_and(|key| key.columns.iter().flatten().any(|column| column == name))
    }

    /// Whether rows with NULL in these key columns meet each other there.
    pub fn matches_null(&self, columns: &[Ident]) -> bool {
        self.keys
            .iter()
            .any(|key| key.arbitrates(columns) && key.nulls_not_distinct)
    }

    /// A unique index that `ON CONFLICT (columns)` would infer: exactly these columns in any order.
    pub fn conflict_key(&self, columns: &[Ident]) -> Option<&FoundKey> {
        let mut usable: Vec<&FoundKey> = self.keys.iter().filter(|key| key.arbitrates(columns)).collect();
        usable.sort_by_key(|key| !key.is_primary);
        usable.first().copied()
    }
}

impl FoundTable {
    /// The collation by which `ON CONFLICT (columns)` compares one of them, where that finds different texts equal.
    pub fn collation(&self, columns: &[Ident], column: &Ident) -> Option<&Collation> {
        let keys = self.keys.iter().filter(|key| key.arbitrates(columns));
        let of_column =
            |(at, name): (&Option<Ident>, &Option<Collation>)| name.is_some() && at.as_ref() == Some(column);
        let mut collations = keys.flat_map(|key| key.columns.iter().zip(&key.collations));
        collations
            .find(|pair| of_column(*pair))
            .and_then(|(_, name)| name.as_ref())
    }
}

impl FoundKey {
    /// Whether `ON CONFLICT` over exactly these columns would choose this index.
    pub fn arbitrates(&self, columns: &[Ident]) -> bool {
        self.plain
            && self.valid
            && self.immediate
            && self.columns.len() == columns.len()
            && columns
                .iter()
                .all(|wanted| self.columns.iter().flatten().any(|column| column == wanted))
    }

    /// Names of its columns, expressions left out.
    pub fn column_names(&self) -> Vec<Ident> {
        self.columns.iter().flatten().cloned().collect()
    }
}

impl FoundColumn {
    /// Whether a row without a value for this column can be written.
    pub fn fills_itself(&self) -> bool {
        self.default.is_some() || self.generated.is_some() || self.identity.is_some() || self.accepts_null()
    }

    /// Whether NULL can be stored: neither the column nor its domain forbids it.
    pub fn accepts_null(&self) -> bool {
        !self.not_null && !domain_forbids_null(&self.ty)
    }
}

fn domain_forbids_null(ty: &PgType) -> bool {
    match ty {
        PgType::Domain(domain) => domain.not_null || domain_forbids_null(&domain.base),
        _ => false,
    }
}
