//! The vector index: built once everything is embedded, by one process at a time.
//!
//! An index that another session is building looks like one whose build was interrupted. So it is looked at, dropped and built
//! only by the session that has the table's turn, an advisory lock that ends with the session.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::PgEmbedStore;
use super::prepare::{Ready, index_name};
use crate::config::VectorIndex;
use crate::model::ident::Ident;
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;
use crate::postgres::queries;

/// pgvector 0.8.3 and 0.8.4 mended VACUUM of HNSW indexes.
const HNSW_SOUND: (u32, u32, u32) = (0, 8, 4);

impl PgEmbedStore {
    /// Builds the index that the configuration asks for, once; a build that was interrupted is begun anew. `false` while another
    /// process builds it or the table is not drained.
    pub(super) async fn build_index(&self, table: usize) -> Result<bool, Error> {
        if self.settings.index == VectorIndex::None {
            return Ok(true);
        }
        let ready = self.ready(table)?;
        let name = index_name(&ready.shape.target.name, "_embedding_idx");
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        if is_valid(&scope, &ready, &name).await? == Some(true) {
            return Ok(true);
        }
        // Without rows there is nothing to learn from: an index grows slower row by row than it is built of all rows.
        if !ask(&scope, &ready, &self.sql(queries::EMBED_EMBEDDED)).await? {
            return Ok(true);
        }
        if !ask(&scope, &ready, &self.sql(queries::EMBED_DRAINED)).await? {
            return Ok(false);
        }
        drop(scope);
        if connection.tenure().is_lent() {
            return build_at_once(&mut connection, &ready, &name).await;
        }
        // The turn ends with the session, also where something fails on the way.
        connection.mark_dirty();
        let client = connection.client();
        if !ask(client, &ready, queries::EMBED_INDEX_TURN).await? {
            connection.mark_clean();
            return Ok(false);
        }
        let valid = is_valid(client, &ready, &name).await?;
        if valid == Some(true) {
            if ask(client, &ready, queries::EMBED_INDEX_TURN_OVER).await? {
                connection.mark_clean();
            }
            return Ok(true);
        }
        build(client, &ready, &name, valid.is_some()).await?;
        // The session has another statement_timeout now and has the turn, so it is not put back.
        Ok(true)
    }
}

/// Whether the index is usable; `None` without one.
async fn is_valid(client: &Client, ready: &Ready, name: &Ident) -> Result<Option<bool>, Error> {
    let schema = ready.shape.target.schema.as_ref();
    let schema = schema.map(|schema| schema.as_str().to_owned());
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&schema, Type::TEXT), (&name.as_str(), Type::TEXT)];
    let found = client.query_typed(queries::EMBED_INDEX, &parameters).await;
    let found = found.map_err(|error| doing(ready, error))?;
    Ok(found.first().map(|row| row.get(0)))
}

/// The answer to a question about the table.
async fn ask(client: &Client, ready: &Ready, question: &str) -> Result<bool, Error> {
    let rows = client.query_typed(question, &[(&ready.id, Type::INT4)]).await;
    let rows = rows.map_err(|error| doing(ready, error))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Builds the index in one transaction, because a session that is lent to us keeps no turn. Who stores or deletes chunks waits for
/// it; who reads them does not.
async fn build_at_once(connection: &mut Connection, ready: &Ready, name: &Ident) -> Result<bool, Error> {
    connection.mark_dirty();
    let failed = |error| doing(ready, error);
    let tx = connection.transaction().await.map_err(failed)?;
    if !ask(tx.client(), ready, queries::EMBED_INDEX_TURN_LENT).await? {
        return Ok(false);
    }
    let valid = is_valid(tx.client(), ready, name).await?;
    if valid != Some(true) {
        tx.batch_execute("set local statement_timeout = 0")
            .await
            .map_err(failed)?;
        if valid.is_some() {
            let drop = format!("drop index if exists {}", in_schema_of(ready, name));
            tx.batch_execute(&drop).await.map_err(failed)?;
        }
        warn_of_damage(ready);
        tracing::info!(table = %ready.shape.target, index = %name, "building the vector index");
        let create = ready.shape.create_hnsw(name, &ready.vector_schema, false);
        tx.batch_execute(&create).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    connection.mark_clean();
    Ok(true)
}

/// An index beside the vector table.
fn in_schema_of(ready: &Ready, name: &Ident) -> String {
    let schema = ready.shape.target.schema.as_ref();
    let schema = schema.map_or_else(String::new, |schema| format!("{}.", schema.quoted()));
    format!("{schema}{}", name.quoted())
}

fn warn_of_damage(ready: &Ready) {
    if ready.vector_version < HNSW_SOUND {
        tracing::warn!(
            table = %ready.shape.target,
            "pgvector before 0.8.4 can damage HNSW indexes when it cleans up; update the extension"
        );
    }
}

async fn build(client: &Client, ready: &Ready, name: &Ident, is_left_over: bool) -> Result<(), Error> {
    let shape = &ready.shape;
    let run = async |sql: &str| client.batch_execute(sql).await.map_err(|error| doing(ready, error));
    run("set statement_timeout = 0").await?;
    if is_left_over {
        // Not a plain drop, which would stop all reads of the table for as long as it waits for one of them.
        run(&format!(
            "drop index concurrently if exists {}",
            in_schema_of(ready, name)
        ))
        .await?;
    }
    warn_of_damage(ready);
    tracing::info!(table = %shape.target, index = %name, "building the vector index");
    run(&shape.create_hnsw(name, &ready.vector_schema, true)).await
}

fn doing(ready: &Ready, error: tokio_postgres::Error) -> Error {
    Error::statement(format!("building an index on {}", ready.shape.target), error)
}
