//! Deletions of embedded rows: their ledger rows and chunks go with them, in the same transaction.
//!
//! Rows first, then the ledger, then the chunks, each a statement of its own: a worker that is storing chunks of such a
//! row holds its ledger row, so that the second statement waits for it and the third sees what it stored.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use super::PgEmbedStore;
use super::prepare::Ready;
use crate::model::ident::{Ident, TableName};
use crate::postgres::catalog::read_table;
use crate::postgres::error::Error;
use crate::postgres::queries;

/// For each of some tables, whether and how it is embedded.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    tables: Vec<Option<Arc<Ready>>>,
    forget: String,
}

impl Followed {
    /// Whether none of the tables is embedded.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(Option::is_none)
    }

    /// For each table the expression of a row's key in the ledger.
    pub(crate) fn key_expressions(&self) -> Vec<Option<String>> {
        let key = |ready: &Arc<Ready>| ready.shape.row_key(&ready.shape.source.quoted());
        self.tables.iter().map(|ready| ready.as_ref().map(key)).collect()
    }

    /// Runs, in an open transaction, a deletion whose answer has, after its first column, one array of keys for each embedded table.
    pub(crate) async fn delete(
        &self,
        tx: &Transaction<'_>,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, tokio_postgres::Error> {
        let row = tx.query_typed_one(sql, parameters).await?;
        for (at, ready) in self.tables.iter().flatten().enumerate() {
            let keys: Option<Vec<Vec<u8>>> = row.get(at + 1);
            let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
                continue;
            };
            tx.execute_typed(&self.forget, &[(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)])
                .await?;
            tx.execute_typed(&ready.shape.delete_chunks(), &[(&keys, Type::BYTEA_ARRAY)])
                .await?;
        }
        Ok(row)
    }
}

impl PgEmbedStore {
    /// How these tables are embedded.
    pub(crate) async fn followed(&self, client: &Client, tables: &[TableName]) -> Result<Followed, Error> {
        let mut followed = Vec::with_capacity(tables.len());
        for table in tables {
            let ready = match self.index_of(client, table).await? {
                Some(index) => self.followed_table(client, index, table).await?,
                None => None,
            };
            followed.push(ready);
        }
        Ok(Followed {
            tables: followed,
            forget: self.sql(queries::EMBED_FORGET_DELETED),
        })
    }

    async fn followed_table(
        &self,
        client: &Client,
        index: usize,
        table: &TableName,
    ) -> Result<Option<Arc<Ready>>, Error> {
        let found = read_table(client, table, None).await?;
        match self.prepare_found(index, &found).await {
            Ok(ready) => Ok(Some(ready)),
            Err(error) if error.refuses_embedding() && !self.is_required() => {
                tracing::warn!(table = %table, error = %error, "rows are deleted, and their chunks are not (embeddings.required: false)");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Which embedded table this is; `name` has its schema.
    pub(super) async fn index_of(&self, client: &Client, name: &TableName) -> Result<Option<usize>, Error> {
        let same_name = |index: &usize| self.tables[*index].source.name == name.name;
        for index in (0..self.tables.len()).filter(same_name) {
            let schema = self.tables[index]
                .source
                .schema
                .as_ref()
                .or(self.default_schema.as_ref());
            let matches = match schema {
                Some(schema) => name.schema.as_ref() == Some(schema),
                None => {
                    let rows = client
                        .query_typed("select pg_catalog.current_schema()::text", &[])
                        .await;
                    let rows = rows.map_err(|error| Error::statement("asking for the default schema", error))?;
                    let current: Option<String> = rows.first().and_then(|row| row.get(0));
                    current.as_deref() == name.schema.as_ref().map(Ident::as_str)
                }
            };
            if matches {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}
