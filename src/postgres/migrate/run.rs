//! Carries out plans: turn lock, fresh look, steps with bounded waits, second look, commit. Decides nothing about shapes.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};
use tracing::Instrument;

use super::begin::begin;
use super::error::{self, Blocker, MigrateError};
use super::locks::{blockers, is_lock_timeout, jitter, set_lock_timeout, take_turn, turn_key};
use super::request::MigrateRequest;
use super::{after, report};
use crate::model::ident::TableName;
use crate::model::migration::MigrationReport;
use crate::planner::VerifiedTable;
use crate::planner::ddl;
use crate::planner::found::Found;
use crate::planner::plan::{Input, NoPlan, Plan, plan};
use crate::planner::policy::{ForcedStrategy, Policy};
use crate::planner::step::{Action, Step};
use crate::planner::waits::{LockWaits, setting};
use crate::postgres::catalog;
use crate::postgres::pool::{Ask, Begin};
use crate::telemetry::spans;

/// How often a migration starts over because others changed the same table.
const RACES: usize = 8;

type Done = (VerifiedTable, MigrationReport);

/// A plan together with what it was made from.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) found: Found,
    pub(super) plan: Plan,
}

/// Reads the catalog and plans; looks closer only where the plan depends on it.
pub(super) async fn look(client: &impl Ask, request: &MigrateRequest<'_>) -> Result<Planned, MigrateError> {
    let found = catalog::read_table(client, request.name, request.default_schema).await?;
    let mut depth = None;
    loop {
        let MigrateRequest {
            wanted,
            policy,
            accepts,
            ..
        } = *request;
        let input = Input {
            wanted,
            found: &found,
            depth: depth.as_ref(),
            policy,
            accepts,
        };
        match plan(&input) {
            Ok(plan) => return Ok(Planned { found, plan }),
            Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
            Err(NoPlan::Barred(change)) => return Err(change.into()),
            Err(NoPlan::NeedsDepth) => {
                let table = found.table.as_ref().filter(|_| depth.is_none());
                let detail = || MigrateError::not_effective(&found.name, "the plan asked twice for a closer look");
                depth = Some(catalog::read_depth(client, &found.name, table.ok_or_else(detail)?).await?);
            }
        }
    }
}

/// As [`look`] outside of any transaction of the caller's; with `sized`, the plan has the table's size where that can be had.
pub(super) async fn look_alone(
    client: &mut impl Begin,
    request: &MigrateRequest<'_>,
    sized: bool,
) -> Result<Planned, MigrateError> {
    if request.session.is_empty() {
        return look_sized(client, request, sized).await;
    }
    let tx = begin(client.driver_mut(), request, request.name).await?;
    look_sized(&tx, request, sized).await
}

async fn look_sized(client: &impl Ask, request: &MigrateRequest<'_>, sized: bool) -> Result<Planned, MigrateError> {
    let mut planned = look(client, request).await?;
    if let (true, None, Some(table)) = (sized, planned.plan.bytes, &planned.found.table) {
        // A role that may only insert may not look; the size is not worth a refusal.
        let depth = catalog::read_depth(client, &planned.found.name, table).await.ok();
        planned.plan.bytes = depth.map(|depth| depth.bytes);
    }
    Ok(planned)
}

/// As [`blockers`] outside of any transaction of the caller's.
async fn blockers_of(client: &mut Client, request: &MigrateRequest<'_>, oid: u32, key: i64) -> Vec<Blocker> {
    match begin(client, request, request.name).await {
        Ok(tx) => blockers(&tx, oid, key).await,
        Err(_) => Vec::new(),
    }
}

/// Makes a table that was `first` seen so fit, in a transaction of its own, which looks again.
pub(super) async fn ensure_as_seen(
    client: &mut impl Begin,
    request: &MigrateRequest<'_>,
    first: Planned,
) -> Result<Done, MigrateError> {
    if first.plan.is_empty() {
        return fits(request, first);
    }
    let oid = first.found.table.as_ref().map_or(0, |table| table.oid);
    let ladder = request.waits.ladder();
    let mut policy = request.policy.clone();
    let (mut rung, mut races, mut waited) = (0, 0, Duration::ZERO);
    loop {
        let request = MigrateRequest {
            policy: &policy,
            ..*request
        };
        let Some(hold) = ladder.get(rung).copied() else {
            let blockers = blockers_of(client.driver_mut(), &request, oid, 0).await;
            return Err(MigrateError::LockTimeout {
                table: first.found.name,
                waited,
                blockers,
            });
        };
        let attempt = attempt(client.driver_mut(), &request, &first.found.name, hold);
        match attempt.instrument(spans::migrate()).await {
            Err(error) if is_unconvertible(&error) && converts(&policy) => policy.forced = ForcedStrategy::KeepOld,
            Err(error) if error.postgres().is_some_and(is_lock_timeout) => {
                let blockers = blockers_of(client.driver_mut(), &request, oid, 0).await;
                let (table, blockers) = (&first.found.name, error::describe(&blockers));
                tracing::warn!(%table, ?hold, %blockers, "migration waits for a lock");
                waited += hold;
                rung += 1;
                if rung < ladder.len() {
                    tokio::time::sleep(jitter(LockWaits::pause(hold))).await;
                }
            }
            Err(error) if error.postgres().is_some_and(is_race) && races < RACES => {
                // Growing past a second, in which the time stamp of a table moved aside changes.
                tokio::time::sleep(jitter(Duration::from_millis(20_u64 << races))).await;
                races += 1;
            }
            done => return done,
        }
    }
}

async fn attempt(
    client: &mut Client,
    request: &MigrateRequest<'_>,
    name: &TableName,
    hold: Duration,
) -> Result<Done, MigrateError> {
    let tx = begin(client, request, name).await?;
    let (done, plan) = match migrate_in(&tx, request, name, hold).await {
        Ok(done) => done,
        Err(MigrateError::Busy { table, waited, .. }) => {
            let end = |source| MigrateError::step(&table, "giving up its turn", source);
            tx.rollback().await.map_err(end)?;
            let blockers = blockers_of(client, request, 0, turn_key(&table)).await;
            return Err(MigrateError::Busy {
                table,
                waited,
                blockers,
            });
        }
        Err(error) => return Err(error),
    };
    tx.commit()
        .await
        .map_err(|source| MigrateError::step(name, "committing its migration", source))?;
    let (verified, mut report) = done;
    report::applied(&plan.steps);
    let (after, notes) = after::run(client, &plan, request).await?;
    report::applied(after.iter().copied());
    report
        .steps
        .extend(after.into_iter().map(|step| report::step(step, &plan.table)));
    report.notes.extend(notes);
    Ok((verified, report))
}

/// Makes the table fit inside the caller's transaction, which then holds the migration lock to its end.
pub(super) async fn ensure_in(
    tx: &(impl GenericClient + Ask),
    request: &MigrateRequest<'_>,
) -> Result<Done, MigrateError> {
    let first = look(tx, request).instrument(spans::plan()).await?;
    if first.plan.is_empty() {
        return fits(request, first);
    }
    let migrating = migrate_in(tx, request, &first.found.name, request.waits.hold);
    let ((verified, mut report), plan) = migrating.instrument(spans::migrate()).await?;
    // Of the caller's transaction, which nearly always commits; a creation that is rolled back was carried out, too.
    report::applied(&plan.steps);
    let left = plan
        .after
        .iter()
        .map(|step| format!("{} is left to the next migration", step.action.words()));
    report.notes.extend(left);
    Ok((verified, report))
}

/// Takes the turn, looks, and does what is to be done; `table` is the name with its schema.
async fn migrate_in(
    tx: &(impl GenericClient + Ask),
    request: &MigrateRequest<'_>,
    table: &TableName,
    hold: Duration,
) -> Result<(Done, Plan), MigrateError> {
    let before = take_turn(tx, table, request.waits.turn).await.map_err(|source| {
        if is_lock_timeout(&source) {
            MigrateError::Busy {
                table: table.clone(),
                waited: request.waits.turn,
                blockers: Vec::new(),
            }
        } else {
            MigrateError::step(table, "waiting for its turn", source)
        }
    })?;
    set_lock_timeout(tx, table, &setting(hold)).await?;
    // What was read before the lock may be history by now.
    let planned = look(tx, request).await?;
    for step in &planned.plan.steps {
        run_step(tx, &planned.plan, step).await?;
    }
    // Left as it was, the short timeout would govern the rest of the caller's transaction.
    set_lock_timeout(tx, table, &before).await?;
    let done = if planned.plan.steps.is_empty() {
        verified(request, &planned.found, false)?
    } else {
        let after = look(tx, request).await?;
        if let Some(step) = after.plan.steps.first() {
            return Err(MigrateError::not_effective(table, &step.reason));
        }
        verified(request, &after.found, planned.found.table.is_none())?
    };
    Ok(((done, report::of(&planned, true)), planned.plan))
}

async fn run_step(tx: &impl GenericClient, plan: &Plan, step: &Step) -> Result<(), MigrateError> {
    let sql = ddl::render(&step.action, &plan.table);
    let failed = |source| MigrateError::step(&plan.table, &step.action.words(), source);
    let Action::CheckConvertible { column, to } = &step.action else {
        return tx.batch_execute(sql.as_str()).await.map_err(failed);
    };
    let rows = tx.query_typed(sql.as_str(), &[]).await.map_err(failed)?;
    let loses = rows.first().is_none_or(|row| row.get(0));
    if loses {
        return Err(MigrateError::Unconvertible {
            table: plan.table.clone(),
            column: column.clone(),
            to: to.to_string(),
        });
    }
    Ok(())
}

fn fits(request: &MigrateRequest<'_>, planned: Planned) -> Result<Done, MigrateError> {
    let report = report::of(&planned, true);
    Ok((verified(request, &planned.found, false)?, report))
}

fn verified(request: &MigrateRequest<'_>, found: &Found, created: bool) -> Result<VerifiedTable, MigrateError> {
    VerifiedTable::new(request.wanted, found, created)
        .ok_or_else(|| MigrateError::not_effective(&found.name, "a column is missing"))
}

fn converts(policy: &Policy) -> bool {
    policy.forced_strategy() == ForcedStrategy::Convert
}

/// Whether values or dependents stand in the way of a change in place: bad or lost values, duplicates or NULLs in a new key,
/// no such cast, something that depends on what was to be dropped.
fn is_unconvertible(error: &MigrateError) -> bool {
    let code = || {
        error
            .postgres()
            .and_then(tokio_postgres::Error::code)
            .map(SqlState::code)
    };
    matches!(error, MigrateError::Unconvertible { .. })
        || code().is_some_and(|code| {
            code.starts_with("22") || ["23505", "23502", "23514", "42804", "42846", "2BP01", "0A000"].contains(&code)
        })
}

/// What two creators of the same thing see, and what a catalog row that another changed looks like.
fn is_race(error: &tokio_postgres::Error) -> bool {
    let Some(db) = error.as_db_error() else { return false };
    let code = db.code();
    let catalog_row = *code == SqlState::UNIQUE_VIOLATION && db.schema() == Some("pg_catalog");
    let concurrently = *code == SqlState::INTERNAL_ERROR && db.message().contains("concurrently");
    catalog_row
        || concurrently
        || [
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_OBJECT,
            SqlState::DUPLICATE_SCHEMA,
            SqlState::DUPLICATE_COLUMN,
            SqlState::UNDEFINED_TABLE,
            SqlState::UNDEFINED_COLUMN,
            SqlState::UNDEFINED_OBJECT,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
}
