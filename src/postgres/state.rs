//! Our own tables (streams): created on first need, migrated by version, one migrator at a time.
//!
//! Nothing here knows what the tables are for. Versions only grow; a newer server's tables are left as they are, so that an
//! older one can be started again.

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
    let done = ensure_version(scope, schema).await;
    done.map_err(|source| Error::State {
        schema: schema.to_string(),
        source,
    })
}

async fn ensure_version(scope: &Scope<'_>, schema: &Ident) -> Result<(), tokio_postgres::Error> {
    let client: &Session = scope;
    if version(client, schema).await? >= queries::STATE_STEPS.len() {
        return Ok(());
    }
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
    let create = Sql::new("create schema if not exists ").ident(schema);
    client.batch_execute(create.as_str()).await?;
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
