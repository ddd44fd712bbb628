//! What is different between the table that a stream wants and the one that is there. Pure, and without judgement:
//! what may be done about a difference is `plan`'s business.

use super::found::{Found, FoundColumn, FoundKey, FoundTable, FoundTrigger, RelationKind};
use super::names;
use super::partition::{self, Partition};
use super::policy::Policy;
use super::rules::{self, Fit};
use crate::model::ident::Ident;
use crate::model::options::TypeProfile;
use crate::model::pg_type::PgType;
use crate::model::table::{ColumnShape, TableShape};

/// Whether the encoder can write stream column `n` into a column of that type, value by value; the error says why not.
pub type Accepts<'a> = dyn Fn(usize, &PgType) -> Result<(), String> + Sync + 'a;

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The schema does not exist.
    CreateSchema,
    /// The table does not exist.
    CreateTable,
    /// A column does not exist.
    AddColumn(ColumnShape),
    /// A column forbids NULL that the stream declares nullable, or does not carry (`absent`) though nothing fills it.
    ForbidsNull {
        /// The column.
        column: Ident,
        /// Whether the stream lacks it.
        absent: bool,
    },
    /// A column's type does not take the stream's values as it is.
    Type(TypeChange),
    /// No unique index is exactly over the wanted key.
    NoKey {
        /// Wanted key columns.
        wanted: Vec<Ident>,
        /// The primary key that is there.
        found: Option<FoundKey>,
    },
    /// A unique column without a unique constraint.
    NotUnique(Ident),
    /// A unique constraint of ours that the stream no longer declares.
    UniqueNoMore {
        /// Its column.
        column: Ident,
        /// Its name.
        constraint: Ident,
    },
    /// The table has no comment, the stream brings one.
    NoComment(String),
    /// A column has no comment, the stream brings one.
    NoColumnComment {
        /// The column.
        column: Ident,
        /// The text.
        comment: String,
    },
    /// A partition that should be ready is not there.
    NoPartition(Partition),
    /// CloudQuery's index for deleting stale rows is missing, or a failed build left it invalid.
    NoPerformanceIndex {
        /// Name it should have.
        name: Ident,
        /// Whether an invalid one of that name is there.
        invalid: bool,
    },
}

/// A column whose type does not take the stream's values as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeChange {
    /// The column.
    pub column: Ident,
    /// Its type.
    pub from: PgType,
    /// The type that the stream would create.
    pub wanted: PgType,
    /// What the widening table says.
    pub fit: Fit,
    /// `Ok` where the encoder writes into the column all the same and checks each value; else its reason.
    pub as_it_is: Result<(), String>,
}

/// All differences, in the order in which they should be dealt with.
pub fn diff(wanted: &TableShape, found: &Found, policy: &Policy, accepts: Option<&Accepts<'_>>) -> Vec<Change> {
    let Some(table) = &found.table else {
        let schema = (!found.schema.exists).then_some(Change::CreateSchema);
        let mut changes: Vec<Change> = schema.into_iter().chain([Change::CreateTable]).collect();
        changes.extend(partitions(found, policy));
        changes.extend(performance_index(wanted, found, policy));
        return changes;
    };
    let mut changes = Vec::new();
    changes.extend(absent_columns(wanted, table));
    for (n, column) in wanted.columns.iter().enumerate() {
        match table.column(&column.name) {
            None => changes.push(Change::AddColumn(column.clone())),
            Some(there) => changes.extend(column_changes(n, column, there, table, policy, accepts)),
        }
    }
    changes.extend(key_change(wanted, table, policy));
    changes.extend(unique_changes(wanted, table, policy));
    changes.extend(comments(wanted, table));
    changes.extend(partitions(found, policy));
    changes.extend(performance_index(wanted, found, policy));
    changes
}

fn absent_columns<'a>(wanted: &'a TableShape, table: &'a FoundTable) -> impl Iterator<Item = Change> + 'a {
    let filled = table.triggers.iter().any(FoundTrigger::may_fill_columns);
    let absent = table
        .columns
        .iter()
        .filter(|column| wanted.column(&column.name).is_none());
    absent
        .filter(move |column| !filled && !column.fills_itself())
        .map(|column| Change::ForbidsNull {
            column: column.name.clone(),
            absent: true,
        })
}

fn column_changes(
    n: usize,
    column: &ColumnShape,
    there: &FoundColumn,
    table: &FoundTable,
    policy: &Policy,
    accepts: Option<&Accepts<'_>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let fit = rules::fit(&column.ty, &there.ty, policy.profile);
    let encodes = match accepts {
        Some(accepts) => accepts(n, &there.ty),
        None if fit == Fit::Holds => Ok(()),
        None => Err(format!("a stream column of type {} does not fit", column.ty)),
    };
    if fit != Fit::Holds || encodes.is_err() {
        changes.push(Change::Type(TypeChange {
            column: column.name.clone(),
            from: there.ty.clone(),
            wanted: column.ty.clone(),
            fit,
            as_it_is: encodes,
        }));
    }
    if column.nullable && !there.accepts_null() && !table.in_primary_key(&column.name) && there.identity.is_none() {
        changes.push(Change::ForbidsNull {
            column: column.name.clone(),
            absent: false,
        });
    }
    changes
}

fn key_change(wanted: &TableShape, table: &FoundTable, policy: &Policy) -> Option<Change> {
    let key = &wanted.primary_key;
    let there = table.primary_key();
    // The Go plugin's move: a unique index over `_cq_id` is not enough, because the old key would still refuse rows.
    let moves =
        policy.is_cq_id_key(key) && there.is_some_and(|old| !old.columns.iter().flatten().any(|c| key.contains(c)));
    // Without a need for it, a key is a wish for new tables only.
    let lacks = !key.is_empty() && policy.needs_key && table.conflict_key(key).is_none();
    if !moves && !lacks {
        return None;
    }
    Some(Change::NoKey {
        wanted: key.clone(),
        found: table.primary_key().cloned(),
    })
}

fn unique_changes(wanted: &TableShape, table: &FoundTable, policy: &Policy) -> Vec<Change> {
    if !matches!(table.kind, RelationKind::Table | RelationKind::Partitioned) {
        return Vec::new();
    }
    let mut changes = Vec::new();
    for column in wanted
        .columns
        .iter()
        .filter(|column| table.column(&column.name).is_some())
    {
        let alone = std::slice::from_ref(&column.name);
        if column.unique && table.conflict_key(alone).is_none() {
            changes.push(Change::NotUnique(column.name.clone()));
        }
        // Only CloudQuery declares uniqueness on every column; elsewhere silence says nothing about a user's constraint.
        // (A constraint over the wanted key itself stays: rows may be matched by it.)
        if !column.unique && policy.profile == TypeProfile::Cloudquery && wanted.primary_key != alone {
            let ours = names::object_name(&table.name, Some(&column.name), "key");
            let dropped = table
                .keys
                .iter()
                .filter(|key| !key.is_primary && key.constraint.as_ref() == ours.as_ref());
            changes.extend(dropped.filter(|key| key.arbitrates(alone)).filter_map(|key| {
                let constraint = key.constraint.clone()?;
                Some(Change::UniqueNoMore {
                    column: column.name.clone(),
                    constraint,
                })
            }));
        }
    }
    changes
}

fn comments(wanted: &TableShape, table: &FoundTable) -> Vec<Change> {
    let mut changes = Vec::new();
    if let (Some(comment), None) = (&wanted.comment, &table.comment) {
        changes.push(Change::NoComment(comment.clone()));
    }
    for column in &wanted.columns {
        let silent = table.column(&column.name).is_some_and(|there| there.comment.is_none());
        if let (Some(comment), true) = (&column.comment, silent) {
            changes.push(Change::NoColumnComment {
                column: column.name.clone(),
                comment: comment.clone(),
            });
        }
    }
    changes
}

/// Partitions to create: all of a new table's, and of a table partitioned as asked for those not there by name.
fn partitions(found: &Found, policy: &Policy) -> Vec<Change> {
    let Some(by) = &policy.create.partition_by else {
        return Vec::new();
    };
    let there: &[Ident] = match &found.table {
        None => &[],
        Some(table) if matches!(&table.partition_columns[..], [only] if only.as_str() == by.column) => {
            &table.partitions
        }
        Some(_) => return Vec::new(),
    };
    partition::wanted(&found.name.name, by, &found.server.today, policy.create.storage())
        .into_iter()
        .filter(|partition| !there.contains(&partition.name))
        .map(Change::NoPartition)
        .collect()
}

/// The columns of CloudQuery's index for deleting stale rows.
pub(super) const STALE_COLUMNS: [&str; 2] = ["_cq_source_name", "_cq_sync_time"];

/// The name of CloudQuery's index for deleting stale rows, where the stream wants it.
pub(super) fn wants_performance_index(wanted: &TableShape, table: &Ident, policy: &Policy) -> Option<Ident> {
    let has = |name: &&str| wanted.columns.iter().any(|column| column.name.as_str() == *name);
    let wants = policy.performance_indexes && !wanted.primary_key.is_empty() && STALE_COLUMNS.iter().all(has);
    wants.then(|| names::performance_index(table)).flatten()
}

fn performance_index(wanted: &TableShape, found: &Found, policy: &Policy) -> Option<Change> {
    let name = wants_performance_index(wanted, &found.name.name, policy)?;
    let there = found
        .table
        .as_ref()
        .and_then(|table| table.indexes.iter().find(|index| index.name == name));
    match there {
        Some(index) if index.valid => None,
        there => Some(Change::NoPerformanceIndex {
            name,
            invalid: there.is_some(),
        }),
    }
}
