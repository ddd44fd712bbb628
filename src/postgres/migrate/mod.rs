//! Makes a table take a stream: reads it (`catalog`), has `planner` make a plan, applies it.
//!
//! Three ways in, one engine: [`ensure`] as part of a stream or of an action, [`plan_only`] for a dry run, [`ensure_in`] inside a
//! load's transaction.
//!
//! # Whose transaction creates a table
//! DDL has a short transaction of its own ([`ensure`]), with one exception: an atomic load into a table that does not exist
//! creates it inside the load's transaction ([`prepare`], then [`ensure_in`]), because "all rows or none" includes the table:
//! an abort, a Ctrl-C and a crash leave nothing at all, without any cleaning up that could itself fail or drop a table that
//! somebody else had begun to use. The price: until that load ends, nobody else can create the same table (the catalog's
//! own unique index would make them wait in any case). Others wait for the migration lock, which blocks nobody but other
//! migrators of this one table, at most [`LockWaits::turn`](crate::planner::LockWaits::turn), and then get [`MigrateError::Busy`], which says so and is
//! retryable. Tables that exist are altered by [`prepare`] before the load's transaction starts: an ACCESS EXCLUSIVE lock
//! must not last as long as a load. A column added for a load that then fails stays; it is empty and harmless. So is a schema.

mod after;
mod begin;
mod error;
mod locks;
mod report;
mod request;
mod run;

use tokio_postgres::GenericClient;
use tracing::Instrument;

use crate::model::migration::MigrationReport;
use crate::planner::VerifiedTable;
use crate::postgres::pool::{Ask, Begin};
use crate::telemetry::spans;

pub use self::error::{Blocker, MigrateError};
pub use self::locks::blockers;
pub use self::request::MigrateRequest;

/// Makes the table fit: nothing but one catalog read when it does already, else a short transaction of its own.
///
/// # Errors
/// See [`MigrateError`]; nothing was changed then, except that an index of its own transaction may be left.
pub async fn ensure(
    client: &mut impl Begin,
    request: &MigrateRequest<'_>,
) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    let first = run::look_alone(client, request, false)
        .instrument(spans::plan())
        .await?;
    run::ensure_as_seen(client, request, first).await
}

/// As [`ensure`] for a table that exists; `None` where it does not, so that [`ensure_in`] can create it with its first rows.
///
/// # Errors
/// As [`ensure`]. A table that is missing and could not be created is refused here already.
pub async fn prepare(
    client: &mut impl Begin,
    request: &MigrateRequest<'_>,
) -> Result<Option<(VerifiedTable, MigrationReport)>, MigrateError> {
    let first = run::look_alone(client, request, false)
        .instrument(spans::plan())
        .await?;
    if first.found.table.is_none() {
        return Ok(None);
    }
    run::ensure_as_seen(client, request, first).await.map(Some)
}

/// Makes the table fit inside `tx`; all locks last to its end, so existing tables go through [`prepare`] first.
///
/// # Errors
/// As [`ensure`]; `tx` is aborted then.
pub async fn ensure_in(
    tx: &(impl GenericClient + Ask),
    request: &MigrateRequest<'_>,
) -> Result<(VerifiedTable, MigrationReport), MigrateError> {
    run::ensure_in(tx, request).await
}

/// What [`ensure`] would do now. Changes nothing.
///
/// # Errors
/// A refusal, or a failure to read the catalog.
pub async fn plan_only(client: &mut impl Begin, request: &MigrateRequest<'_>) -> Result<MigrationReport, MigrateError> {
    let planned = run::look_alone(client, request, true).await?;
    Ok(report::of(&planned, false))
}
