//! Our own tables (streams): created on first need, migrated by version, one migrator at a time.
//!
//! Nothing here knows what the tables are for. Versions only grow. Tables of a newer program are not touched and not used: what
//! an older one does not know of them it would leave out, such as notes that others rely on.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::error::Error;
use super::pool::{Ask, Session};
use super::queries;
use super::scope::Scope;
use crate::model::ident::Ident;
use crate::sql::Sql;

/// Key of the advisory lock: the first eight bytes of SHA-256 of `pgflight state`.
const LOCK_KEY: i64 = 0x220e_6e7e_ebd9_01e8;

/// Makes sure that our tables are there, in the version this program knows.
///
/// # Errors
/// [`Error::State`], e.g. without the right to create the schema.
pub(crate) async fn ensure(scope: &Scope<'_>, schema: &Ident) -> Result<(), Error> {
    let failed = |source| Error::State {
        schema: schema.to_string(),
        source,
    };
    let client: &Session = scope;
    let found = version(client, schema).await.map_err(failed)?;
    refuse_newer(found, schema)?;
    match found < KNOWN {
        true => catch_up(scope, schema).await.map_err(failed),
        false => Ok(()),
    }
}

/// Whether our tables are those of a newer program; changes nothing.
///
/// # Errors
/// [`Error::NewerState`], or [`Error::State`] where they cannot be looked at.
pub(crate) async fn look(client: &impl Ask, schema: &Ident) -> Result<(), Error> {
    let found = version(client, schema).await.map_err(|source| Error::State {
        schema: schema.to_string(),
        source,
    })?;
    refuse_newer(found, schema)
}

/// The version that this program brings them to.
const KNOWN: usize = queries::STATE_STEPS.len();

fn refuse_newer(found: usize, schema: &Ident) -> Result<(), Error> {
    match found > KNOWN {
        true => Err(Error::NewerState {
            schema: schema.to_string(),
            found,
            known: KNOWN,
        }),
        false => Ok(()),
    }
}

async fn catch_up(scope: &Scope<'_>, schema: &Ident) -> Result<(), tokio_postgres::Error> {
    let client: &Session = scope;
    if scope.is_transaction() {
        let migrated = migrate(client, schema).await;
        client.forget_statements();
        return migrated;
    }
    client.batch_execute("begin").await?;
    let migrated = migrate(client, schema).await;
    let end = if migrated.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await;
    // Statements about our tables that are kept somewhere may be about what they were.
    client.forget_statements();
    ended?;
    migrated
}

async fn migrate(client: &Client, schema: &Ident) -> Result<(), tokio_postgres::Error> {
    client
        .query_typed(queries::STATE_TAKE_TURN, &[(&LOCK_KEY, Type::INT8)])
        .await?;
    let there = client
        .query_typed(queries::STATE_SCHEMA_IS_THERE, &[(&schema.as_str(), Type::TEXT)])
        .await?;
    if !there.first().is_some_and(|row| row.get("there")) {
        let create = Sql::new("create schema if not exists ").ident(schema);
        client.batch_execute(create.as_str()).await?;
    }
    client
        .batch_execute(&queries::in_schema(queries::STATE_MIGRATIONS, schema))
        .await?;
    let applied = version(client, schema).await?;
    for (index, step) in queries::STATE_STEPS.iter().enumerate().skip(applied) {
        client.batch_execute(&queries::in_schema(step, schema)).await?;
        let version = i32::try_from(index + 1).unwrap_or(i32::MAX);
        client
            .query_typed(
                &queries::in_schema(queries::STATE_RECORD, schema),
                &[(&version, Type::INT4)],
            )
            .await?;
    }
    Ok(())
}

async fn version(client: &impl Ask, schema: &Ident) -> Result<usize, tokio_postgres::Error> {
    let there = client
        .ask(queries::STATE_IS_THERE, &[(&schema.as_str(), Type::TEXT)])
        .await?;
    if !there.first().is_some_and(|row| row.get("there")) {
        return Ok(0);
    }
    let rows = client
        .ask(&queries::in_schema(queries::STATE_VERSION, schema), &[])
        .await?;
    let version: i32 = rows.first().map_or(0, |row| row.get("version"));
    Ok(usize::try_from(version).unwrap_or(0))
}
