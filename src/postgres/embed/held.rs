//! How a worker lets go of rows that it holds: it judges them by their present texts, gives them up or back, or keeps them on.
//!
//! The journal's look at a row that is held changes nothing (see `shape`), so that a text that a worker has taken is never taken
//! by another one, too. That is why nothing here ends a lease for good without having compared the text.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::PgEmbedStore;
use super::prepare::Ready;
use super::work::{fields, key_list, millis, row_key};
use crate::ingest::ports::embed::{Held, Refused, RowKey};
use crate::postgres::error::Error;
use crate::postgres::queries;

/// Values of a row's metadata columns, as Postgres sends them.
pub(super) type Metadata = Vec<Option<Bytes>>;

/// Rows whose leases were looked at, and whose ledger rows are locked.
pub(super) struct Judged {
    /// Rows that are still held and still have that text.
    pub(super) same: HashMap<RowKey, Metadata>,
    /// Rows that are gone. Their chunks and ledger rows were removed.
    pub(super) removed: u64,
}

impl PgEmbedStore {
    /// Looks at rows again before they are let go. Those that have another text are pending again, those that are gone are
    /// forgotten, and for the others the caller decides in the same transaction.
    pub(super) async fn judge(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        owner: i64,
        rows: impl Iterator<Item = &Held> + Clone,
    ) -> Result<Judged, Error> {
        let doing = |error| Error::statement(format!("looking at rows of {} again", ready.shape.source), error);
        let all = key_list(rows.clone().map(|row| &row.key));
        let locked = tx
            .query_typed(
                &self.sql(queries::EMBED_FENCE),
                &[(&ready.id, Type::INT4), (&all, Type::BYTEA_ARRAY), (&owner, Type::INT8)],
            )
            .await
            .map_err(doing)?;
        let locked: HashMap<RowKey, i64> = locked.iter().map(|row| (row_key(row.get(0)), row.get(1))).collect();
        let ours: Vec<&Held> = rows
            .filter(|row| locked.get(&row.key) == Some(&row.generation))
            .collect();
        // Read after the ledger rows were locked: a text that changes from now on is noted in the journal, and whoever reads
        // that note waits for this transaction.
        let keys = key_list(ours.iter().map(|row| &row.key));
        let verify = ready.shape.verify();
        let present = tx
            .query_typed(&verify, &[(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)])
            .await
            .map_err(doing)?;
        let mut present: HashMap<RowKey, (Vec<u8>, Metadata)> = present
            .iter()
            .map(|row| (row_key(row.get(0)), (row.get(1), fields(row.get(2)))))
            .collect();
        let (mut same, mut changed, mut gone) = (HashMap::new(), Vec::new(), Vec::new());
        for row in ours {
            match present.remove(&row.key) {
                None => gone.push(row.key),
                Some((hash, metadata)) if hash == row.text_hash => drop(same.insert(row.key, metadata)),
                Some(_) => changed.push(row.key),
            }
        }
        self.remove(tx, ready, &gone).await?;
        self.release_in(tx, ready, owner, &changed, Duration::ZERO).await?;
        Ok(Judged {
            same,
            removed: gone.len() as u64,
        })
    }

    async fn remove(&self, tx: &Transaction<'_>, ready: &Ready, rows: &[RowKey]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let doing = |error| Error::statement(format!("removing chunks of {}", ready.shape.target), error);
        let keys = key_list(rows);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)];
        tx.query_typed(&self.sql(queries::EMBED_FORGET), &parameters)
            .await
            .map_err(doing)?;
        tx.query_typed(&ready.shape.delete_chunks(), &[(&keys, Type::BYTEA_ARRAY)])
            .await
            .map_err(doing)?;
        Ok(())
    }

    pub(super) async fn release_rows(
        &self,
        table: usize,
        owner: i64,
        rows: &[RowKey],
        pause: Duration,
    ) -> Result<(), Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let doing = |error| Error::statement("giving rows back", error);
        let tx = connection.transaction().await.map_err(doing)?;
        self.release_in(&tx, &ready, owner, rows, pause).await?;
        tx.commit().await.map_err(doing)?;
        connection.mark_clean();
        Ok(())
    }

    async fn release_in(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        owner: i64,
        rows: &[RowKey],
        pause: Duration,
    ) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let keys = key_list(rows);
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&ready.id, Type::INT4),
            (&keys, Type::BYTEA_ARRAY),
            (&owner, Type::INT8),
            (&millis(pause), Type::INT8),
        ];
        let released = tx.query_typed(&self.sql(queries::EMBED_RELEASE), &parameters).await;
        released
            .map(drop)
            .map_err(|error| Error::statement("giving rows back", error))
    }

    pub(super) async fn bury_rows(&self, table: usize, owner: i64, rows: &[Refused]) -> Result<u64, Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let doing = |error| Error::statement("giving rows up", error);
        let tx = connection.transaction().await.map_err(doing)?;
        let judged = self.judge(&tx, &ready, owner, rows.iter().map(|row| &row.held)).await?;
        let rows = rows.iter().filter(|row| judged.same.contains_key(&row.held.key));
        let keys = key_list(rows.clone().map(|row| &row.held.key));
        let hashes: Vec<&[u8]> = rows.clone().map(|row| &row.held.text_hash[..]).collect();
        let codes: Vec<&str> = rows.clone().map(|row| row.code).collect();
        let messages: Vec<&str> = rows.map(|row| row.message.as_str()).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&ready.id, Type::INT4),
            (&keys, Type::BYTEA_ARRAY),
            (&hashes, Type::BYTEA_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&messages, Type::TEXT_ARRAY),
        ];
        let buried = tx
            .execute_typed(&self.sql(queries::EMBED_BURY), &parameters)
            .await
            .map_err(doing)?;
        tx.commit().await.map_err(doing)?;
        connection.mark_clean();
        Ok(buried)
    }

    /// May be dropped at any await: whoever waits for vectors keeps his rows meanwhile.
    pub(super) async fn renew_rows(
        &self,
        table: usize,
        owner: i64,
        rows: &[RowKey],
        lease: Duration,
    ) -> Result<(), Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let keys = key_list(rows);
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&ready.id, Type::INT4),
            (&keys, Type::BYTEA_ARRAY),
            (&owner, Type::INT8),
            (&millis(lease), Type::INT8),
        ];
        let scope = connection.scope().await?;
        let renewed = scope.query_typed(&self.sql(queries::EMBED_RENEW), &parameters).await;
        renewed.map_err(|error| Error::statement("keeping rows", error))?;
        scope.done().await?;
        connection.mark_clean();
        Ok(())
    }
}
