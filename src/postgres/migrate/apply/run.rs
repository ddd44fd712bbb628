//! Carries out plans: turn lock, fresh look, steps with bounded waits, second look, commit. Decides nothing about shapes.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient};

use super::MigrateRequest;
use super::error::{self, Blocker, MigrateError};
use crate::model::ident::TableName;
use crate::model::migration::{MigrationReport, StepReport};
use crate::postgres::catalog;
use crate::postgres::migrate::ddl;
use crate::postgres::migrate::found::Found;
use crate::postgres::migrate::plan::{Depth, Input, NoPlan, Plan, plan};
use crate::postgres::migrate::step::Step;
use crate::postgres::migrate::verified::VerifiedTable;
use crate::postgres::migrate::waits::{LockWaits, setting};
use crate::postgres::queries;
use crate::postgres::sql::Sql;

/// How often a migration starts over because others changed the same table.
const RACES: usize = 8;

/// A plan together with what it was made from.
pub(super) struct Planned {
    pub(super) found: Found,
    pub(super) plan: Plan,
    pub(super) depth: Option<Depth>,
}

/// Reads the catalog and plans; asks for depth only where the plan depends on it.
pub(super) async fn look(client: &impl GenericClient, request: &MigrateRequest<'_>) -> Result<Planned, MigrateError> {
    let found = catalog::read_table(client, request.name, request.default_schema).await?;
    let mut depth = None;
    loop {
        let input = Input {
            wanted: request.wanted,
            found: &found,
            depth,
            policy: request.policy,
            accepts: request.accepts,
        };
        match plan(&input) {
            Ok(plan) => return Ok(Planned { found, plan, depth }),
            Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
            Err(NoPlan::NeedsDepth) => depth = Some(read_depth(client, &found).await?),
        }
    }
}

async fn read_depth(client: &impl GenericClient, found: &Found) -> Result<Depth, MigrateError> {
    let Some(table) = &found.table else {
        return Ok(Depth {
            is_empty: true,
            bytes: 0,
        });
    };
    let db = |source| step_error(&found.name, "measuring it", source);
    let sql = Sql::new("SELECT NOT EXISTS (SELECT FROM ").table(&found.name).then(")");
    let row = client.query_typed(sql.as_str(), &[]).await.map_err(db)?;
    let is_empty = row.first().is_some_and(|row| row.get(0));
    let rows = client
        .query_typed(queries::CATALOG_DEPTH, &[(&table.oid, Type::OID)])
        .await
        .map_err(db)?;
    let bytes: i64 = rows.first().map_or(0, |row| row.get("bytes"));
    Ok(Depth {
        is_empty,
        bytes: u64::try_from(bytes).unwrap_or(0),
    })
}

/// Makes the table fit in a transaction of its own.
pub(super) async fn ensure(
    client: &mut Client,
    request: &MigrateRequest<'_>,
) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    let first = look(client, request).await?;
    if first.plan.steps.is_empty() {
        return fits(request, first);
    }
    let ladder = request.waits.ladder();
    let (mut rung, mut races, mut waited) = (0, 0, Duration::ZERO);
    loop {
        let Some(hold) = ladder.get(rung).copied() else {
            let blockers = blockers(client, first.found.table.as_ref().map_or(0, |table| table.oid), 0).await;
            return Err(MigrateError::LockTimeout {
                table: first.found.name,
                waited,
                blockers,
            });
        };
        match attempt(client, request, hold).await {
            Err(MigrateError::Step { source, table, .. }) if is_lock_timeout(&source) => {
                let oid = first.found.table.as_ref().map_or(0, |table| table.oid);
                let blockers = blockers(client, oid, 0).await;
                tracing::warn!(%table, ?hold, blockers = %error::describe(&blockers), "migration waits for a lock");
                waited += hold;
                rung += 1;
                if rung < ladder.len() {
                    tokio::time::sleep(jitter(LockWaits::pause(hold))).await;
                }
            }
            Err(MigrateError::Step { source, table, .. }) if is_race(&source) => {
                races += 1;
                if races > RACES {
                    return Err(MigrateError::Raced { table, source });
                }
                tokio::time::sleep(jitter(Duration::from_millis(20))).await;
            }
            done => return done,
        }
    }
}

async fn attempt(
    client: &mut Client,
    request: &MigrateRequest<'_>,
    hold: Duration,
) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    let name = request.name.clone();
    let tx = client
        .transaction()
        .await
        .map_err(|source| step_error(&name, "starting its migration", source))?;
    let done = ensure_in(&tx, request, hold).await?;
    tx.commit()
        .await
        .map_err(|source| step_error(&name, "committing its migration", source))?;
    Ok(done)
}

/// Makes the table fit inside the caller's transaction, which then holds the migration lock to its end.
pub(super) async fn ensure_in(
    tx: &impl GenericClient,
    request: &MigrateRequest<'_>,
    hold: Duration,
) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    let first = look(tx, request).await?;
    if first.plan.steps.is_empty() {
        return fits(request, first);
    }
    let before = take_turn(tx, &first.found.name, request.waits.turn).await?;
    // What was read before the lock may be history by now.
    let planned = look(tx, request).await?;
    if planned.plan.steps.is_empty() {
        set_lock_timeout(tx, &planned.found.name, before).await?;
        return fits(request, planned);
    }
    set_lock_timeout(tx, &planned.found.name, setting(hold)).await?;
    run_steps(tx, &planned).await?;
    // Left as it was, the short timeout would govern the rest of the caller's transaction.
    set_lock_timeout(tx, &planned.found.name, before).await?;
    let after = look(tx, request).await?;
    if !after.plan.steps.is_empty() {
        let detail = after
            .plan
            .steps
            .iter()
            .map(|step| step.reason.as_str())
            .collect::<Vec<_>>()
            .join("; ");
        return Err(MigrateError::NotEffective {
            table: after.found.name,
            detail,
        });
    }
    let created = planned.found.table.is_none();
    let report = report(&planned, true);
    Ok((verified(request, &after.found, created)?, report))
}

async fn run_steps(tx: &impl GenericClient, planned: &Planned) -> Result<(), MigrateError> {
    for step in &planned.plan.steps {
        let sql = ddl::render(&step.action, &planned.plan.table);
        let doing = step.action.words();
        tx.batch_execute(sql.as_str())
            .await
            .map_err(|source| step_error(&planned.plan.table, &doing, source))?;
    }
    Ok(())
}

fn fits(request: &MigrateRequest<'_>, planned: Planned) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    let report = report(&planned, true);
    Ok((verified(request, &planned.found, false)?, report))
}

fn verified(request: &MigrateRequest<'_>, found: &Found, created: bool) -> Result<VerifiedTable, MigrateError> {
    VerifiedTable::new(request.wanted, found, created).ok_or_else(|| MigrateError::NotEffective {
        table: found.name.clone(),
        detail: "a column is missing".to_owned(),
    })
}

/// The plan as data.
pub(super) fn report(planned: &Planned, applied: bool) -> MigrationReport {
    let step = |step: &Step| StepReport {
        sql: ddl::render(&step.action, &planned.plan.table).to_string(),
        reason: step.reason.clone(),
        lock: step.action.lock().words().to_owned(),
        rewrites: step.action.rewrites(),
        scans: step.action.scans(),
        own_transaction: step.action.own_transaction(),
    };
    MigrationReport {
        table: planned.plan.table.to_string(),
        applied,
        created: planned.found.table.is_none(),
        steps: planned.plan.steps.iter().map(step).collect(),
        notes: planned.plan.notes.clone(),
        table_bytes: planned.depth.map(|depth| depth.bytes),
    }
}

/// Waits for the table's migration lock; returns the `lock_timeout` that was in force.
async fn take_turn(tx: &impl GenericClient, table: &TableName, turn: Duration) -> Result<String, MigrateError> {
    let key = turn_key(table);
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&setting(turn), Type::TEXT), (&key, Type::INT8)];
    match tx.query_typed(queries::MIGRATE_TAKE_TURN, &params).await {
        Ok(rows) => Ok(rows.first().map_or_else(|| "0".to_owned(), |row| row.get("before"))),
        Err(source) if is_lock_timeout(&source) => Err(MigrateError::Busy {
            table: table.clone(),
            waited: turn,
            blockers: Vec::new(),
        }),
        Err(source) => Err(step_error(table, "waiting for its turn", source)),
    }
}

async fn set_lock_timeout(tx: &impl GenericClient, table: &TableName, value: String) -> Result<(), MigrateError> {
    tx.query_typed(queries::MIGRATE_SET_LOCK_TIMEOUT, &[(&value, Type::TEXT)])
        .await
        .map_err(|source| step_error(table, "setting lock_timeout", source))?;
    Ok(())
}

/// Key of the table's migration lock: the first eight bytes of a hash. (Advisory locks are per database already.)
fn turn_key(table: &TableName) -> i64 {
    let schema = table.schema.as_ref().map_or("", |schema| schema.as_str());
    let hash = Sha256::new()
        .chain_update(b"pgflight.migrate\0")
        .chain_update(schema)
        .chain_update(b"\0")
        .chain_update(table.name.as_str())
        .finalize();
    let mut key = [0; 8];
    key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    i64::from_be_bytes(key)
}

/// Who holds locks on the relation or the migration lock. An explanation is not worth a second error: empty if unknown.
async fn blockers(client: &Client, oid: u32, key: i64) -> Vec<Blocker> {
    let rows = client
        .query_typed(queries::MIGRATE_BLOCKERS, &[(&oid, Type::OID), (&key, Type::INT8)])
        .await;
    let blocker = |row: &tokio_postgres::Row| Blocker {
        pid: row.get("pid"),
        role: row.get("role"),
        application: row.get("application"),
        state: row.get("state"),
        mode: row.get("mode"),
        seconds: row.get("seconds"),
    };
    rows.map(|rows| rows.iter().map(blocker).collect()).unwrap_or_default()
}

fn step_error(table: &TableName, doing: &str, source: tokio_postgres::Error) -> MigrateError {
    MigrateError::Step {
        table: table.clone(),
        doing: doing.to_owned(),
        source,
    }
}

fn is_lock_timeout(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
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

fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}
