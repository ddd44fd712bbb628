//! Everything about a load that does not change while it runs: which statements, which encoder, which staging table.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::commits::Commits;
use super::left_out::Suppression;
use super::patience::Patience;
use super::reject::RejectPlan;
use super::stamp::Stamp;
use super::unchanged;
use super::waiting::Waiting;
use crate::codec::encode::CopyPlan;
use crate::ingest::request::LoadOptions;
use crate::model::ident::{Ident, TableName};
use crate::model::options::WriteMode;
use crate::model::table::Collation;
use crate::planner::merge::{Merge, copy_into};
use crate::planner::parts::{Part, parts};
use crate::planner::{LockWaits, VerifiedTable};
use crate::postgres::embed::note::NotePlan;
use crate::postgres::error::Error;

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
    /// Whether the table was empty when the load began: then rows may go in directly for as long as no key is there twice.
    pub(super) starts_empty: bool,
    /// Settings of each transaction, e.g. `set local lock_timeout = 1000; `.
    pub(super) settings: String,
    /// Fails where the table is not the one of this plan any more; see [`super::unchanged`].
    pub(super) unchanged: String,
    /// What tells how a transaction ended, unless a stream's row does.
    pub(super) commits: Option<Commits>,
    /// Longest waits for a lock.
    pub(super) lock_waits: LockLimits,
    /// Longest wait for an answer.
    pub(super) patience: Patience,
    /// What is noted about rows whose texts are embedded.
    pub(super) notes: Option<NotePlan>,
    /// What is done with rows that triggers leave out.
    pub(super) suppression: Suppression,
    /// What is done with bad rows, where they do not fail the load.
    pub(super) rejects: Option<RejectPlan>,
    /// What the table was when it was planned for, where nothing else decides whether the plan fits.
    pub(super) stamp: Option<Stamp>,
    /// Puts that wait for the commit of another one, where they may be written together.
    pub(super) waiting: Option<Waiting>,
}

impl Plan {
    /// Whether what is staged replaces the table's contents.
    pub(super) fn replaces(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.move_by == Move::Swap)
    }

    /// Whether rows that are sent a second time change nothing.
    pub(super) fn is_repeatable(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.move_by == Move::Merge)
    }

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

/// A single wait for a lock is the option's; several of them make the ladder. A migration never waits without limit.
pub(super) fn lock_waits(option: Option<Duration>) -> LockWaits {
    let default = LockWaits::default();
    let limit = option.filter(|limit| !limit.is_zero());
    LockWaits {
        hold: limit.map_or(default.hold, |limit| limit.min(default.hold)),
        ..default
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
    /// Its name.
    pub(super) name: Ident,
    /// COPY into it, in as many parts as it has; rows carry their position.
    pub(super) copies: Vec<CopyInto>,
    /// Its DDL, and the statements that empty it into the target.
    pub(super) merge: Merge,
    /// How it is emptied.
    pub(super) move_by: Move,
}

/// How rows leave the staging table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Upserted by their key.
    Merge,
    /// In the place of all rows that are there.
    Swap,
    /// Beside the rows that are there.
    Insert,
}

impl Move {
    /// What is being done, for messages.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Merge => "merging rows into",
            Self::Swap | Self::Insert => "filling",
        }
    }
}

/// What the table was found to be.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) table: &'a VerifiedTable,
    /// The key that the stream names, by an option or its metadata; empty where it names none.
    pub(super) key: &'a [Ident],
    pub(super) is_empty: bool,
    pub(super) settings: String,
    pub(super) commits: Option<Commits>,
    pub(super) lock_waits: LockLimits,
    pub(super) patience: Patience,
}

/// Decides how rows reach the table. `copy` plans the encoder for its columns.
pub(super) fn plan(
    target: Target<'_>,
    options: &LoadOptions,
    copy: impl Fn() -> Result<CopyPlan, Error>,
) -> Result<Plan, Error> {
    let (table, loading) = (target.table, options.loading());
    let (move_by, key) = way(&target, options);
    let unchanged = unchanged::check(table, table.conflict_index(&key));
    // A row without a value in its key would be another row each time that it is sent.
    let matched: &[Ident] = if table.matches_null(&key) { &[] } else { &key };
    let copy = || copy().map(|plan| plan.matching_by(matched));
    let direct = CopyInto {
        plan: copy()?,
        sql: copy_into(table.name(), table.columns()),
        relation: table.name().name.clone(),
    };
    let stage = move_by.map(|move_by| {
        let merge = merge(table, options, key.clone());
        let part = |part: &Part| {
            Ok::<_, Error>(CopyInto {
                plan: copy()?.only(&part.columns).with_ordinal(),
                sql: merge.copy_into_stage(part),
                relation: part.name.clone(),
            })
        };
        Ok::<_, Error>(Stage {
            copies: merge.parts.iter().map(part).collect::<Result<_, Error>>()?,
            name: stage_name(table, &merge.collations),
            merge,
            move_by,
        })
    });
    // A COPY checks each chunk by itself, fires no triggers on UPDATE, and cannot go to another server's keys safely.
    let takes_copy = !table.collects_rows(&loading) && !table.has_update_statement_triggers() && !table.is_foreign();
    Ok(Plan {
        table: table.name().clone(),
        oid: table.oid(),
        direct,
        starts_empty: target.is_empty && move_by == Some(Move::Merge) && takes_copy,
        stage: stage.transpose()?,
        settings: target.settings + &defer(&table.deferred(&loading)),
        unchanged,
        commits: target.commits,
        lock_waits: target.lock_waits,
        patience: target.patience,
        suppression: Suppression {
            triggers: table.suppressors(&loading),
            accepted: loading.accepts_suppressed,
        },
        notes: None,
        rejects: None,
        stamp: None,
        waiting: None,
    })
}

/// How rows leave the staging table, where they go through one, and the key that they are matched by.
fn way(target: &Target<'_>, options: &LoadOptions) -> (Option<Move>, Vec<Ident>) {
    let table = target.table;
    match options.write_mode {
        // COPY counts a row of a view as stored whatever its trigger did.
        WriteMode::Append if table.is_view() || table.collects_rows(&options.loading()) => {
            (Some(Move::Insert), Vec::new())
        }
        WriteMode::Append => (None, Vec::new()),
        WriteMode::Overwrite | WriteMode::OverwriteDeleteStale => (Some(Move::Merge), overwrite_key(target)),
        // Into a table that is empty and that nobody else can see, there is nothing to swap.
        WriteMode::Replace if table.created() => (None, Vec::new()),
        WriteMode::Replace => (Some(Move::Swap), Vec::new()),
    }
}

/// Puts the checks of these constraints off to the end of the transaction.
fn defer(constraints: &[TableName]) -> String {
    let names: Vec<String> = constraints.iter().map(TableName::quoted).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("set constraints {} deferred; ", names.join(", ")),
    }
}

/// What an overwrite matches rows by; planning has seen that a unique index is over it and that the stream carries it.
fn overwrite_key(target: &Target<'_>) -> Vec<Ident> {
    match target.key {
        [] => target.table.primary_key(),
        named => named.to_vec(),
    }
}

fn merge(table: &VerifiedTable, options: &LoadOptions, key: Vec<Ident>) -> Merge {
    let version = options.version_column.as_ref();
    let version = version.and_then(|name| table.columns().iter().find(|column| column.name.as_str() == name));
    let collations = table.collations(&key);
    Merge {
        table: table.name().clone(),
        columns: table.columns().to_vec(),
        key,
        // A trigger that leaves out updates which change nothing is no loss of rows.
        skip_unchanged: options.skip_unchanged || table.leaves_out_redundant(),
        counts_unchanged: !table.suppressors(&options.loading()).is_empty(),
        version: version.map(|column| column.name.clone()),
        overriding: table.needs_overriding(),
        parts: parts(&stage_name(table, &collations), table.columns()),
        collations,
    }
}

/// One staging table per target and list of columns, so that loads of one session never meet in it.
fn stage_name(table: &VerifiedTable, collations: &[(Ident, Collation)]) -> Ident {
    let mut hash = Sha256::new();
    hash.update(table.name().quoted());
    for column in table.columns() {
        hash.update(column.name.quoted());
        hash.update(column.ty.to_string());
    }
    for (column, collation) in collations {
        hash.update(column.quoted());
        hash.update(collation.quoted());
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
