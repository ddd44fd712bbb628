//! Steps that follow the migration's transaction: indexes built beside the writers. Each is on its own.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::begin::begin;
use super::error::MigrateError;
use super::locks::{is_lock_timeout, jitter, set_lock_timeout};
use super::request::MigrateRequest;
use crate::model::ident::TableName;
use crate::planner::ddl::render;
use crate::planner::plan::Plan;
use crate::planner::step::{Action, Step};
use crate::planner::waits::{LockWaits, setting};
use crate::postgres::error::driver;
use crate::postgres::queries;

/// Runs the steps; returns those done and what was left undone. A plain index that cannot be built now is left to the next
/// migration; a unique one that the rows contradict is an error.
pub(super) async fn run<'p>(
    client: &mut Client,
    plan: &'p Plan,
    request: &MigrateRequest<'_>,
) -> Result<(Vec<&'p Step>, Vec<String>), MigrateError> {
    let (mut done, mut notes) = (Vec::new(), Vec::new());
    if plan.after.is_empty() {
        return Ok((done, notes));
    }
    let before = match request.session {
        "" => Some(session_lock_timeout(client, plan, setting(request.waits.turn)).await?),
        // What builds beside the others is no transaction, and any setting would be left to who gets the session next.
        _ => None,
    };
    let mut failure = None;
    for step in &plan.after {
        match run_step(client, plan, step, request).await? {
            Ok(()) => done.push(step),
            // Another session has begun to build it, or has built it.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_TABLE) => {
                notes.push(format!("{} was left to another session", step.action.words()));
                break;
            }
            Err(source) => {
                clean_up(client, plan, &step.action).await;
                if matches!(step.action, Action::CreateIndex { unique: true, .. }) {
                    failure = Some(MigrateError::step(&plan.table, &step.action.words(), source));
                } else {
                    let text = driver::words(&source, None);
                    notes.push(format!(
                        "{} failed and is tried again with the next migration: {text}",
                        step.action.words()
                    ));
                }
                break;
            }
        }
    }
    if let Some(before) = before {
        session_lock_timeout(client, plan, before).await?;
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok((done, notes)),
    }
}

/// Runs a step. One that builds beside the others may wait as long as they take, because nobody waits behind it; one that
/// does not asks for its lock in bounded steps, so that nobody waits long.
async fn run_step(
    client: &mut Client,
    plan: &Plan,
    step: &Step,
    request: &MigrateRequest<'_>,
) -> Result<Result<(), tokio_postgres::Error>, MigrateError> {
    let mut action = step.action.clone();
    if action.own_transaction() {
        let done = client.batch_execute(render(&action, &plan.table).as_str()).await;
        let inside = action.in_transaction().filter(|_| !request.session.is_empty());
        match inside.filter(|_| done.as_ref().is_err_and(is_anothers)) {
            Some(inside) => action = inside,
            None => return Ok(done),
        }
    }
    let sql = render(&action, &plan.table);
    let waits = &request.waits;
    let mut rungs = waits.ladder().into_iter().peekable();
    let mut done = Ok(());
    while let Some(hold) = rungs.next() {
        if request.session.is_empty() {
            session_lock_timeout(client, plan, setting(hold)).await?;
            done = client.batch_execute(sql.as_str()).await;
        } else {
            done = in_transaction(client, &plan.table, request, (sql.as_str(), hold)).await?;
        }
        if !done.as_ref().is_err_and(is_lock_timeout) {
            break;
        }
        if rungs.peek().is_some() {
            tokio::time::sleep(jitter(LockWaits::pause(hold))).await;
        }
    }
    if request.session.is_empty() {
        session_lock_timeout(client, plan, setting(waits.turn)).await?;
    }
    Ok(done)
}

/// Runs a statement that waits for its lock no longer than that, in a transaction of its own.
async fn in_transaction(
    client: &mut Client,
    table: &TableName,
    request: &MigrateRequest<'_>,
    (sql, hold): (&str, Duration),
) -> Result<Result<(), tokio_postgres::Error>, MigrateError> {
    let tx = begin(client, request, table).await?;
    set_lock_timeout(&tx, table, &setting(hold)).await?;
    match tx.batch_execute(sql).await {
        Ok(()) => Ok(tx.commit().await),
        Err(error) => Ok(Err(error)),
    }
}

/// Whether it fails for what another program may have left in a lent session: read-only transactions, or another role.
fn is_anothers(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) || code == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}

/// Sets `lock_timeout` outside any transaction; returns what it was.
async fn session_lock_timeout(client: &Client, plan: &Plan, value: String) -> Result<String, MigrateError> {
    let rows = client
        .query_typed(queries::MIGRATE_SESSION_LOCK_TIMEOUT, &[(&value, Type::TEXT)])
        .await
        .map_err(|source| MigrateError::step(&plan.table, "setting lock_timeout", source))?;
    Ok(rows.first().map_or_else(|| "0".to_owned(), |row| row.get("before")))
}

/// A failed concurrent build leaves an invalid index, which costs every write and serves no read.
async fn clean_up(client: &Client, plan: &Plan, action: &Action) {
    let drop = match action.clone() {
        Action::CreateIndex {
            name,
            concurrently: true,
            ..
        } => Action::DropIndex {
            name,
            concurrently: true,
        },
        Action::CreatePartIndex { partition, name, .. } => Action::DropPartIndex { partition, name },
        _ => return,
    };
    if let Err(error) = client.batch_execute(render(&drop, &plan.table).as_str()).await {
        // The next migration finds it invalid and drops it first.
        tracing::warn!(table = %plan.table, step = %action.words(), error = %driver::words(&error, None), "invalid index left behind");
    }
}
