//! Locks of a migration: the turn lock, bounded waits, and who was in the way.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::error::{Blocker, MigrateError};
use crate::model::ident::TableName;
use crate::planner::waits::setting;
use crate::postgres::queries;
use crate::telemetry::names;

/// Waits for the table's migration lock; returns the `lock_timeout` that was in force.
pub(super) async fn take_turn(
    tx: &impl GenericClient,
    table: &TableName,
    turn: Duration,
) -> Result<String, tokio_postgres::Error> {
    let (wait, key) = (setting(turn), turn_key(table));
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&wait, Type::TEXT), (&key, Type::INT8)];
    let begun = Instant::now();
    let rows = tx.query_typed(queries::MIGRATE_TAKE_TURN, &params).await;
    metrics::histogram!(names::LOCK_WAIT_SECONDS).record(begun.elapsed().as_secs_f64());
    let rows = rows?;
    Ok(rows.first().map_or_else(|| "0".to_owned(), |row| row.get("before")))
}

/// Sets `lock_timeout` for the rest of the transaction.
pub(super) async fn set_lock_timeout(
    tx: &impl GenericClient,
    table: &TableName,
    value: &str,
) -> Result<(), MigrateError> {
    tx.query_typed(queries::MIGRATE_SET_LOCK_TIMEOUT, &[(&value, Type::TEXT)])
        .await
        .map_err(|source| MigrateError::step(table, "setting lock_timeout", source))?;
    Ok(())
}

/// Key of the table's migration lock: the first eight bytes of a hash. (Advisory locks are per database already.)
pub(super) fn turn_key(table: &TableName) -> i64 {
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
pub async fn blockers(client: &impl GenericClient, oid: u32, key: i64) -> Vec<Blocker> {
    let rows = client
        .query_typed(queries::MIGRATE_BLOCKERS, &[(&oid, Type::OID), (&key, Type::INT8)])
        .await;
    let blocker = |row: &Row| {
        Some(Blocker {
            pid: row.try_get("pid").ok()?,
            role: row.try_get("role").ok()?,
            application: row.try_get("application").ok()?,
            state: row.try_get("state").ok()?,
            mode: row.try_get("mode").ok()?,
            seconds: row.try_get("seconds").ok()?,
        })
    };
    rows.map(|rows| rows.iter().filter_map(blocker).collect())
        .unwrap_or_default()
}

pub(super) fn is_lock_timeout(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// A pause that two migrators do not share.
pub(super) fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}
