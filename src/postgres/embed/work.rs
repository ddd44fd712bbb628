//! What a worker does with rows: takes them, stores their chunks, gives them up or back. One short transaction each.

use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::PgEmbedStore;
use super::copy_rows::push_row;
use super::prepare::Ready;
use crate::ingest::ports::embed::{Claimed, Committed, Embedded, Refused, RowKey};
use crate::postgres::copy::{HEADER, TRAILER};
use crate::postgres::error::Error;
use crate::postgres::queries;

/// Size of a COPY message.
const PIECE_BYTES: usize = 256 << 10;

/// A value as Postgres sends it, of any type.
struct Sent(Bytes);

impl<'a> FromSql<'a> for Sent {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Bytes::copy_from_slice(raw)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn row_key(bytes: &[u8]) -> RowKey {
    // The ledger's keys are SHA-256, made in one place; another length means nothing and matches nothing.
    bytes.try_into().unwrap_or([0; 32])
}

fn key_list<'a>(keys: impl IntoIterator<Item = &'a RowKey>) -> Vec<&'a [u8]> {
    keys.into_iter().map(|key| &key[..]).collect()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2)
}

impl PgEmbedStore {
    pub(super) async fn claim_rows(
        &self,
        table: usize,
        owner: i64,
        rows: u32,
        lease: Duration,
    ) -> Result<Vec<Claimed>, Error> {
        let ready = self.ready(table)?;
        let connection = self.connection().await?;
        let client = connection.client();
        let doing = |error| Error::statement(format!("taking rows of {}", ready.shape.source), error);
        let taken = client
            .query_typed(
                &self.sql(queries::EMBED_CLAIM),
                &[
                    (&ready.id, Type::INT4),
                    (&i64::from(rows), Type::INT8),
                    (&owner, Type::INT8),
                    (&millis(lease), Type::INT8),
                    (&ready.config, Type::INT4),
                ],
            )
            .await
            .map_err(doing)?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&[u8]> = taken.iter().map(|row| row.get(0)).collect();
        let texts = client
            .query_typed(
                &ready.shape.read_texts(),
                &[(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)],
            )
            .await
            .map_err(doing)?;
        let mut texts: HashMap<RowKey, (Option<String>, Option<Vec<u8>>)> = texts
            .iter()
            .map(|row| (row_key(row.get(0)), (row.get(1), row.get(2))))
            .collect();
        let with_chunks: Vec<&[u8]> = taken
            .iter()
            .filter(|row| row.get::<_, Option<&[u8]>>(3).is_some())
            .map(|row| row.get(0))
            .collect();
        let mut stored = stored_chunks(client, &ready, &with_chunks).await.map_err(doing)?;
        let claimed = taken.iter().map(|row| {
            let key = row_key(row.get(0));
            let (text, hash) = texts.remove(&key).unwrap_or_default();
            let text_hash = hash.unwrap_or_default();
            Claimed {
                key,
                generation: row.get(1),
                attempts: row.get(2),
                up_to_date: row.get::<_, bool>(4) && row.get::<_, Option<&[u8]>>(3) == Some(&text_hash[..]),
                text,
                text_hash,
                stored: stored.remove(&key).unwrap_or_default(),
            }
        });
        Ok(claimed.collect())
    }

    pub(super) async fn commit_rows(&self, table: usize, owner: i64, rows: &[Embedded]) -> Result<Committed, Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let doing = |error| Error::statement(format!("storing chunks of {}", ready.shape.target), error);
        let tx = connection.client_mut().transaction().await.map_err(doing)?;
        // Vectors of two models never meet in one table: a migration that swaps tables waits for us, or we hear of it.
        self.must_be_active(&tx, &ready).await?;
        let committed = self.commit_in(&tx, &ready, owner, rows).await?;
        tx.commit().await.map_err(doing)?;
        connection.mark_clean();
        Ok(committed)
    }

    /// Fails unless rows are still embedded as we do it; that stays so to the end of the transaction.
    pub(super) async fn must_be_active(&self, tx: &Transaction<'_>, ready: &Ready) -> Result<(), Error> {
        let active = tx
            .query_typed(&self.sql(queries::EMBED_IS_ACTIVE), &[(&ready.config, Type::INT4)])
            .await;
        let active = active.map_err(|error| Error::statement("asking for the embedding configuration", error))?;
        match active.first().is_some_and(|row| row.get(0)) {
            true => Ok(()),
            false => Err(Error::Embed(format!(
                "another process has changed how {} is embedded; start this one with the same configuration",
                ready.shape.source
            ))),
        }
    }

    async fn commit_in(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        owner: i64,
        rows: &[Embedded],
    ) -> Result<Committed, Error> {
        let doing = |error| Error::statement(format!("storing chunks of {}", ready.shape.target), error);
        let all = key_list(rows.iter().map(|row| &row.key));
        let held = tx
            .query_typed(
                &self.sql(queries::EMBED_FENCE),
                &[(&ready.id, Type::INT4), (&all, Type::BYTEA_ARRAY), (&owner, Type::INT8)],
            )
            .await
            .map_err(doing)?;
        let held: HashMap<RowKey, i64> = held.iter().map(|row| (row_key(row.get(0)), row.get(1))).collect();
        let ours: Vec<&Embedded> = rows
            .iter()
            .filter(|row| held.get(&row.key) == Some(&row.generation))
            .collect();
        // Read after the ledger rows were locked: a text that changes from now on is noted in the journal, and the ledger
        // hears of it only after this transaction.
        let keys = key_list(ours.iter().map(|row| &row.key));
        let present = tx
            .query_typed(
                &ready.shape.verify(),
                &[(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)],
            )
            .await
            .map_err(doing)?;
        let present: HashMap<RowKey, (Vec<u8>, Vec<Option<Bytes>>)> = present
            .iter()
            .map(|row| {
                let metadata = (2..row.len()).map(|at| row.get::<_, Option<Sent>>(at).map(|sent| sent.0));
                (row_key(row.get(0)), (row.get(1), metadata.collect()))
            })
            .collect();
        let (there, gone): (Vec<&Embedded>, Vec<&Embedded>) =
            ours.iter().copied().partition(|row| present.contains_key(&row.key));
        let (done, changed): (Vec<&Embedded>, Vec<&Embedded>) = there
            .into_iter()
            .partition(|row| present.get(&row.key).is_some_and(|(hash, _)| *hash == row.text_hash));
        self.remove(tx, ready, &gone).await?;
        let changed_keys: Vec<RowKey> = changed.iter().map(|row| row.key).collect();
        self.release_in(tx, ready, owner, &changed_keys, Duration::ZERO).await?;
        replace_chunks(tx, ready, &done, &present).await?;
        self.finish(tx, ready, &done).await?;
        Ok(Committed {
            done: done.len() as u64,
            fenced: (rows.len() - ours.len() + changed.len()) as u64,
            removed: gone.len() as u64,
        })
    }

    async fn remove(&self, tx: &Transaction<'_>, ready: &Ready, rows: &[&Embedded]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let doing = |error| Error::statement(format!("removing chunks of {}", ready.shape.target), error);
        let keys = key_list(rows.iter().map(|row| &row.key));
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)];
        tx.query_typed(&self.sql(queries::EMBED_FORGET), &parameters)
            .await
            .map_err(doing)?;
        tx.query_typed(&ready.shape.delete_chunks(), &[(&keys, Type::BYTEA_ARRAY)])
            .await
            .map_err(doing)?;
        Ok(())
    }

    async fn finish(&self, tx: &Transaction<'_>, ready: &Ready, rows: &[&Embedded]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let keys = key_list(rows.iter().map(|row| &row.key));
        let hashes: Vec<&[u8]> = rows.iter().map(|row| &row.text_hash[..]).collect();
        let chunks = |row: &&Embedded| {
            row.chunks
                .as_ref()
                .map_or(-1, |chunks| i32::try_from(chunks.len()).unwrap_or(i32::MAX))
        };
        let chunks: Vec<i32> = rows.iter().map(chunks).collect();
        let tokens: Vec<i32> = rows.iter().map(|row| row.tokens).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 6] = [
            (&ready.id, Type::INT4),
            (&keys, Type::BYTEA_ARRAY),
            (&hashes, Type::BYTEA_ARRAY),
            (&chunks, Type::INT4_ARRAY),
            (&tokens, Type::INT4_ARRAY),
            (&ready.config, Type::INT4),
        ];
        let done = tx.query_typed(&self.sql(queries::EMBED_FINISH), &parameters).await;
        done.map(drop)
            .map_err(|error| Error::statement("writing the ledger", error))
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
        let doing = |error| Error::statement("giving rows back", error);
        let tx = connection.client_mut().transaction().await.map_err(doing)?;
        self.release_in(&tx, &ready, owner, rows, pause).await?;
        tx.commit().await.map_err(doing)
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

    pub(super) async fn bury_rows(&self, table: usize, owner: i64, rows: &[Refused]) -> Result<(), Error> {
        let ready = self.ready(table)?;
        let connection = self.connection().await?;
        let keys = key_list(rows.iter().map(|row| &row.key));
        let codes: Vec<&str> = rows.iter().map(|row| row.code).collect();
        let messages: Vec<&str> = rows.iter().map(|row| row.message.as_str()).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&ready.id, Type::INT4),
            (&keys, Type::BYTEA_ARRAY),
            (&owner, Type::INT8),
            (&codes, Type::TEXT_ARRAY),
            (&messages, Type::TEXT_ARRAY),
        ];
        let buried = connection
            .client()
            .query_typed(&self.sql(queries::EMBED_BURY), &parameters)
            .await;
        buried
            .map(drop)
            .map_err(|error| Error::statement("giving rows up", error))
    }

    pub(super) async fn renew_rows(&self, owner: i64, lease: Duration) -> Result<(), Error> {
        let connection = self.connection().await?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&owner, Type::INT8), (&millis(lease), Type::INT8)];
        let renewed = connection
            .client()
            .query_typed(&self.sql(queries::EMBED_RENEW), &parameters)
            .await;
        renewed
            .map(drop)
            .map_err(|error| Error::statement("keeping rows", error))
    }
}

/// The chunks that rows have: hash of the text and vector as it is stored.
async fn stored_chunks(
    client: &Client,
    ready: &Ready,
    keys: &[&[u8]],
) -> Result<HashMap<RowKey, Vec<(Vec<u8>, Bytes)>>, tokio_postgres::Error> {
    let mut stored: HashMap<RowKey, Vec<(Vec<u8>, Bytes)>> = HashMap::new();
    if keys.is_empty() {
        return Ok(stored);
    }
    let statement = ready.shape.stored_chunks();
    let rows = client.query_typed(&statement, &[(&keys, Type::BYTEA_ARRAY)]).await?;
    for row in &rows {
        if let Some(Sent(vector)) = row.get::<_, Option<Sent>>(2) {
            let chunks = stored.entry(row_key(row.get(0))).or_default();
            chunks.push((row.get(1), vector));
        }
    }
    Ok(stored)
}

/// Deletes the old chunks of rows and copies the new ones: a reader sees the old set or the new one.
async fn replace_chunks(
    tx: &Transaction<'_>,
    ready: &Ready,
    done: &[&Embedded],
    present: &HashMap<RowKey, (Vec<u8>, Vec<Option<Bytes>>)>,
) -> Result<(), Error> {
    let doing = |error| Error::statement(format!("storing chunks of {}", ready.shape.target), error);
    let replaced: Vec<&Embedded> = done.iter().copied().filter(|row| row.chunks.is_some()).collect();
    if replaced.is_empty() {
        return Ok(());
    }
    let distinct: HashSet<&RowKey> = replaced.iter().map(|row| &row.key).collect();
    let keys = key_list(distinct);
    tx.query_typed(&ready.shape.delete_chunks(), &[(&keys, Type::BYTEA_ARRAY)])
        .await
        .map_err(doing)?;
    let sink = tx
        .copy_in::<_, Bytes>(&ready.shape.copy_chunks())
        .await
        .map_err(doing)?;
    let mut sink = std::pin::pin!(sink);
    let mut out = BytesMut::from(&HEADER[..]);
    for row in replaced {
        let (Some(chunks), Some((_, metadata))) = (&row.chunks, present.get(&row.key)) else {
            continue;
        };
        push_row(&mut out, ready.shape.spec.storage, metadata, &row.key, chunks)
            .map_err(|why| Error::Embed(format!("chunks of {} cannot be stored: {why}", ready.shape.target)))?;
        if out.len() >= PIECE_BYTES {
            sink.send(out.split().freeze()).await.map_err(doing)?;
        }
    }
    out.extend_from_slice(&TRAILER);
    sink.send(out.freeze()).await.map_err(doing)?;
    sink.finish().await.map_err(doing)?;
    Ok(())
}
