//! The vector index: built once everything is embedded, by one process at a time.
//!
//! An index that another session is building looks like one whose build was interrupted. So it is looked at, dropped and built
//! only by the session that has the table's turn, an advisory lock that ends with the session.

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
        if is_valid(&connection, &ready, &name).await? == Some(true) {
            return Ok(true);
        }
        // Without rows there is nothing to learn from: an index grows slower row by row than it is built of all rows.
        if !ask(&connection, &ready, &self.sql(queries::EMBED_EMBEDDED)).await? {
            return Ok(true);
        }
        if !ask(&connection, &ready, &self.sql(queries::EMBED_DRAINED)).await? {
            return Ok(false);
        }
        // The turn ends with the session, also where something fails on the way.
        connection.mark_dirty();
        if !ask(&connection, &ready, queries::EMBED_INDEX_TURN).await? {
            connection.mark_clean();
            return Ok(false);
        }
        let valid = is_valid(&connection, &ready, &name).await?;
        if valid == Some(true) {
            if ask(&connection, &ready, queries::EMBED_INDEX_TURN_OVER).await? {
                connection.mark_clean();
            }
            return Ok(true);
        }
        build(&connection, &ready, &name, valid.is_some()).await?;
        // The session has another statement_timeout now and has the turn, so it is not put back.
        Ok(true)
    }
}

/// Whether the index is usable; `None` without one.
async fn is_valid(connection: &Connection, ready: &Ready, name: &Ident) -> Result<Option<bool>, Error> {
    let schema = ready.shape.target.schema.as_ref();
    let schema = schema.map(|schema| schema.as_str().to_owned());
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&schema, Type::TEXT), (&name.as_str(), Type::TEXT)];
    let found = connection.client().query_typed(queries::EMBED_INDEX, &parameters).await;
    let found = found.map_err(|error| doing(ready, error))?;
    Ok(found.first().map(|row| row.get(0)))
}

/// The answer to a question about the table.
async fn ask(connection: &Connection, ready: &Ready, question: &str) -> Result<bool, Error> {
    let rows = connection
        .client()
        .query_typed(question, &[(&ready.id, Type::INT4)])
        .await;
    let rows = rows.map_err(|error| doing(ready, error))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

async fn build(connection: &Connection, ready: &Ready, name: &Ident, is_left_over: bool) -> Result<(), Error> {
    let (client, shape) = (connection.client(), &ready.shape);
    let run = async |sql: &str| client.batch_execute(sql).await.map_err(|error| doing(ready, error));
    run("set statement_timeout = 0").await?;
    if is_left_over {
        let schema = shape.target.schema.as_ref();
        let schema = schema.map_or_else(String::new, |schema| format!("{}.", schema.quoted()));
        // Not a plain drop, which would stop all reads of the table for as long as it waits for one of them.
        run(&format!("drop index concurrently if exists {schema}{}", name.quoted())).await?;
    }
    if ready.vector_version < HNSW_SOUND {
        tracing::warn!(
            table = %shape.target,
            "pgvector before 0.8.4 can damage HNSW indexes when it cleans up; update the extension"
        );
    }
    tracing::info!(table = %shape.target, index = %name, "building the vector index");
    run(&shape.create_hnsw(name, &ready.vector_schema)).await
}

fn doing(ready: &Ready, error: tokio_postgres::Error) -> Error {
    Error::statement(format!("building an index on {}", ready.shape.target), error)
}
