//! Everything about a load that does not change while it runs: which statements, which encoder, which staging table.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::merge::{Merge, copy_into};
use super::patience::Patience;
use super::reject::RejectPlan;
use super::stale::unusable;
use super::unchanged;
use crate::ingest::request::LoadOptions;
use crate::model::ident::{Ident, TableName};
use crate::model::options::WriteMode;
use crate::postgres::copy::CopyPlan;
use crate::postgres::embed::note::NotePlan;
use crate::postgres::error::Error;
use crate::postgres::migrate::VerifiedTable;

/// Column that names a row's source, as CloudQuery has it.
pub(super) const SOURCE_COLUMN: &str = "_cq_source_name";
/// Column with the time of the sync that wrote a row.
pub(super) const TIME_COLUMN: &str = "_cq_sync_time";

/// How rows reach the table.
#[derive(Debug)]
pub(super) struct Plan {
    /// Target, with schema.
    pub(super) table: TableName,
    /// OID of the target.
    pub(super) oid: u32,
    /// COPY into the table.
    pub(super) direct: CopyInto,
    /// The way through a staging table, where rows do not just go in.
    pub(super) stage: Option<Stage>,
    /// Whether what is staged replaces the table's contents instead of being merged.
    pub(super) replaces: bool,
    /// Whether the table was empty when the load began: then rows may go in directly for as long as no key is there twice.
    pub(super) starts_empty: bool,
    /// Settings of each transaction, e.g. `set local lock_timeout = 1000; `.
    pub(super) settings: String,
    /// Fails where the table is not the one of this plan any more; see [`super::unchanged`].
    pub(super) unchanged: String,
    /// Longest waits for a lock.
    pub(super) lock_waits: LockLimits,
    /// Longest wait for an answer.
    pub(super) patience: Patience,
    /// What is noted about rows whose texts are embedded.
    pub(super) notes: Option<NotePlan>,
    /// What is done with bad rows, where they do not fail the load.
    pub(super) rejects: Option<RejectPlan>,
}

impl Plan {
    /// Waits for the vectors of what was committed, where that is configured.
    pub(super) async fn settled(&self) -> Result<(), Error> {
        match &self.notes {
            Some(notes) => notes.settled().await,
            None => Ok(()),
        }
    }
}

/// `lock_timeout` of a load's transactions, in milliseconds; 0 means without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockLimits {
    normal: u128,
}

/// Longest wait of rows that go straight into a keyed table, for another transaction that has rows of their keys.
///
/// They come in the stream's order, so two such loads that waited for each other would deadlock, and dozens of them in
/// storms that Postgres breaks up one victim a second. The way through a staging table sorts by key and may wait.
const DIRECT_WAIT: Duration = Duration::from_millis(100);

impl LockLimits {
    pub(super) fn new(normal: Duration) -> Self {
        Self {
            normal: normal.as_millis(),
        }
    }

    /// The statement that rows going straight in need before them.
    pub(super) fn shorten(self) -> String {
        let direct = match self.normal {
            0 => DIRECT_WAIT.as_millis(),
            normal => normal.min(DIRECT_WAIT.as_millis()),
        };
        format!("set local lock_timeout = {direct}")
    }

    /// The statement that takes it back.
    pub(super) fn restore(self) -> String {
        format!("set local lock_timeout = {}", self.normal)
    }
}

/// One COPY target.
#[derive(Debug)]
pub(super) struct CopyInto {
    /// How batches become COPY data.
    pub(super) plan: CopyPlan,
    /// The COPY statement.
    pub(super) sql: String,
    /// The relation that it names.
    pub(super) relation: Ident,
}

/// The way through a staging table.
#[derive(Debug)]
pub(super) struct Stage {
    /// COPY into it; rows carry their position.
    pub(super) copy: CopyInto,
    /// Its DDL, and the statements that empty it into the target.
    pub(super) merge: Merge,
    /// Whether it must go with the transaction, because a pooler gives the session to others then.
    pub(super) ends_with_transaction: bool,
}

/// What the table was found to be.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) table: &'a VerifiedTable,
    pub(super) is_empty: bool,
    pub(super) settings: String,
    pub(super) lock_waits: LockLimits,
    pub(super) patience: Patience,
    pub(super) transaction_pooler: bool,
}

/// Decides how rows reach the table. `copy` plans the encoder for its columns.
pub(super) fn plan(
    target: Target<'_>,
    options: &LoadOptions,
    copy: impl Fn() -> Result<CopyPlan, Error>,
) -> Result<Plan, Error> {
    let table = target.table;
    let mode = options.write_mode;
    let merge = match mode {
        WriteMode::Append => None,
        WriteMode::Overwrite | WriteMode::OverwriteDeleteStale => {
            Some(merge(table, options, overwrite_key(table, options)?)?)
        }
        WriteMode::Replace => {
            check_replace(table)?;
            // Into a table that is empty and that nobody else can see, there is nothing to swap.
            (!table.created())
                .then(|| merge(table, options, Vec::new()))
                .transpose()?
        }
    };
    if mode == WriteMode::OverwriteDeleteStale {
        check_stale(table)?;
    }
    let key = merge.as_ref().and_then(|merge| table.conflict_index(&merge.key));
    let unchanged = unchanged::check(table, key);
    let stage = match merge {
        None => None,
        Some(merge) => Some(Stage {
            copy: CopyInto {
                plan: copy()?.with_ordinal(),
                sql: merge.copy_into_stage(),
                relation: merge.stage.clone(),
            },
            merge,
            ends_with_transaction: target.transaction_pooler,
        }),
    };
    Ok(Plan {
        table: table.name().clone(),
        oid: table.oid(),
        direct: CopyInto {
            plan: copy()?,
            sql: copy_into(table.name(), table.columns()),
            relation: table.name().name.clone(),
        },
        replaces: mode == WriteMode::Replace && stage.is_some(),
        // COPY fires no rewrite rules and cannot go to another server's keys safely.
        starts_empty: target.is_empty && mode != WriteMode::Replace && !table.has_insert_rules() && !table.is_foreign(),
        stage,
        settings: target.settings,
        unchanged,
        lock_waits: target.lock_waits,
        patience: target.patience,
        notes: None,
        rejects: None,
    })
}

fn overwrite_key(table: &VerifiedTable, options: &LoadOptions) -> Result<Vec<Ident>, Error> {
    let key = match &options.primary_key {
        Some(names) => names.iter().filter_map(|name| Ident::new(name.as_str()).ok()).collect(),
        None => table.primary_key(),
    };
    if key.is_empty() || !table.has_conflict_key(&key) {
        return Err(Error::NoKey {
            table: table.name().to_string(),
            why: format!(
                "overwrite needs a key, and {} has no primary key or unique index to match rows by; name its columns with the option primary_key, or use write_mode append",
                table.name()
            ),
        });
    }
    Ok(key)
}

fn merge(table: &VerifiedTable, options: &LoadOptions, key: Vec<Ident>) -> Result<Merge, Error> {
    Ok(Merge {
        table: table.name().clone(),
        columns: table.columns().to_vec(),
        key,
        skip_unchanged: options.skip_unchanged,
        version: version(table, options)?,
        overriding: table.needs_overriding(),
        stage: stage_name(table),
    })
}

fn version(table: &VerifiedTable, options: &LoadOptions) -> Result<Option<Ident>, Error> {
    let Some(name) = &options.version_column else {
        return Ok(None);
    };
    let column = table.columns().iter().find(|column| column.name.as_str() == name);
    match column {
        Some(column) => Ok(Some(column.name.clone())),
        None => Err(Error::Unfit {
            table: table.name().to_string(),
            column: Some(name.clone()),
            why: format!("version_column is {name:?}, and the stream has no such column"),
        }),
    }
}

/// TRUNCATE is how a table is emptied in an instant; where it cannot be used, say so before the first row.
fn check_replace(table: &VerifiedTable) -> Result<(), Error> {
    let name = table.name();
    if table.is_view() || table.is_foreign() {
        let why = format!("replace needs a table, and {name} is none; use write_mode append");
        return Err(Error::unfit(name, why));
    }
    if !table.referenced_by().is_empty() {
        let others = table.referenced_by().join(", ");
        let why = format!(
            "replace cannot empty {name}, because foreign keys of {others} point to it; use write_mode overwrite, or drop them first"
        );
        return Err(Error::unfit(name, why));
    }
    if !table.created() && !table.rights().truncate {
        return Err(lacks(table, "TRUNCATE", "replace empties"));
    }
    Ok(())
}

fn lacks(table: &VerifiedTable, privilege: &str, does: &str) -> Error {
    let (name, role) = (table.name(), table.role());
    Error::Denied {
        table: name.to_string(),
        why: format!(
            "{does} {name}, and role {role} may not; run: GRANT {privilege} ON {} TO {}, or use write_mode overwrite",
            name.quoted(),
            Ident::new(role).map_or_else(|_| "<role>".to_owned(), |role| role.quoted()),
        ),
    }
}

fn check_stale(table: &VerifiedTable) -> Result<(), Error> {
    if !table.created() && !table.rights().delete {
        return Err(lacks(table, "DELETE", "overwrite-delete-stale deletes rows of"));
    }
    match unusable(table.name(), |column| table.column_type(column)) {
        None => Ok(()),
        Some((column, what)) => Err(Error::Unfit {
            table: table.name().to_string(),
            column: Some(column.to_owned()),
            why: format!(
                "overwrite-delete-stale knows stale rows by the columns {SOURCE_COLUMN} and {TIME_COLUMN}, and {what}; send it with the rows, or use write_mode overwrite"
            ),
        }),
    }
}

/// One staging table per target and list of columns, so that loads of one session never meet in it.
fn stage_name(table: &VerifiedTable) -> Ident {
    let mut hash = Sha256::new();
    hash.update(table.name().quoted());
    for column in table.columns() {
        hash.update(column.name.quoted());
        hash.update(column.ty.to_string());
    }
    let digits: String = hash
        .finalize()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = format!("pgflight_stage_{digits}");
    Ident::new(name).unwrap_or_else(|_| unreachable!("39 ASCII characters are a name"))
}
