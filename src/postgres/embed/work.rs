//! What a worker does with rows: takes them, stores their chunks. One short transaction each.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};

use super::PgEmbedStore;
use super::copy_rows::push_row;
use super::held::Metadata;
use super::prepare::Ready;
use crate::codec::{HEADER, TRAILER};
use crate::ingest::ports::embed::{Claimed, Committed, Embedded, Held, RowKey};
use crate::postgres::error::Error;
use crate::postgres::queries;

/// Size of a COPY message.
const PIECE_BYTES: usize = 256 << 10;

/// The fields of a row as Postgres sends them (`record_send`), of any types: a count, then type, length and bytes of each, the
/// length of NULL being -1. Asked for so, the driver need not know the types. It would ask for them with statements that outlive
/// the transaction, and stand still where many rows follow.
pub(super) fn fields(row: &[u8]) -> Metadata {
    let mut row = Bytes::copy_from_slice(row);
    let count = row.try_get_i32().unwrap_or(0);
    let fields = (0..count).map_while(|_| {
        row.try_get_i32().ok()?;
        let length = row.try_get_i32().ok()?;
        let Ok(length) = usize::try_from(length) else {
            return Some(None);
        };
        (length <= row.len()).then(|| Some(row.split_to(length)))
    });
    fields.collect()
}

pub(super) fn row_key(bytes: &[u8]) -> RowKey {
    // The ledger's keys are SHA-256, made in one place; another length means nothing and matches nothing.
    bytes.try_into().unwrap_or([0; 32])
}

pub(super) fn key_list<'a>(keys: impl IntoIterator<Item = &'a RowKey>) -> Vec<&'a [u8]> {
    keys.into_iter().map(|key| &key[..]).collect()
}

pub(super) fn millis(span: Duration) -> i64 {
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
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let doing = |error| Error::statement(format!("taking rows of {}", ready.shape.source), error);
        let taken = scope
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
        let read = read_taken(&scope, &ready, &taken).await.map_err(doing);
        if read.is_ok() {
            scope.done().await?;
        } else {
            // Nobody works on them. Where they cannot be given back, either, their lease ends by itself.
            drop(scope);
            drop(connection);
            let keys: Vec<RowKey> = taken.iter().map(|row| row_key(row.get(0))).collect();
            drop(self.release_rows(table, owner, &keys, Duration::ZERO).await);
        }
        read
    }

    pub(super) async fn commit_rows(&self, table: usize, owner: i64, rows: &[Embedded]) -> Result<Committed, Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let doing = |error| Error::statement(format!("storing chunks of {}", ready.shape.target), error);
        let tx = connection.transaction().await.map_err(doing)?;
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
        let judged = self.judge(tx, ready, owner, rows.iter().map(|row| &row.held)).await?;
        let done: Vec<&Embedded> = rows
            .iter()
            .filter(|row| judged.same.contains_key(&row.held.key))
            .collect();
        replace_chunks(tx, ready, &done, &judged.same).await?;
        self.finish(tx, ready, &done).await?;
        let removed = judged.removed;
        Ok(Committed {
            done: done.len() as u64,
            fenced: (rows.len() - done.len()) as u64 - removed,
            removed,
        })
    }

    async fn finish(&self, tx: &Transaction<'_>, ready: &Ready, rows: &[&Embedded]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let keys = key_list(rows.iter().map(|row| &row.held.key));
        let hashes: Vec<&[u8]> = rows.iter().map(|row| &row.held.text_hash[..]).collect();
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
}

/// What it takes to embed rows that were taken: their texts and the chunks that they have.
async fn read_taken(client: &Client, ready: &Ready, taken: &[Row]) -> Result<Vec<Claimed>, tokio_postgres::Error> {
    let keys: Vec<&[u8]> = taken.iter().map(|row| row.get(0)).collect();
    let texts = client
        .query_typed(
            &ready.shape.read_texts(),
            &[(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)],
        )
        .await?;
    let mut texts: HashMap<RowKey, (Option<String>, Option<Vec<u8>>)> = texts
        .iter()
        .map(|row| (row_key(row.get(0)), (row.get(1), row.get(2))))
        .collect();
    let with_chunks: Vec<&[u8]> = taken
        .iter()
        .filter(|row| row.get::<_, Option<&[u8]>>(3).is_some())
        .map(|row| row.get(0))
        .collect();
    let mut stored = stored_chunks(client, ready, &with_chunks).await?;
    let claimed = taken.iter().map(|row| {
        let key = row_key(row.get(0));
        let (text, hash) = texts.remove(&key).unwrap_or_default();
        let text_hash = hash.unwrap_or_default();
        Claimed {
            attempts: row.get(2),
            up_to_date: row.get::<_, bool>(4) && row.get::<_, Option<&[u8]>>(3) == Some(&text_hash[..]),
            held: Held {
                key,
                generation: row.get(1),
                text_hash,
            },
            text,
            stored: stored.remove(&key).unwrap_or_default(),
        }
    });
    Ok(claimed.collect())
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
        if let Some(Some(vector)) = fields(row.get(2)).pop() {
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
    metadata: &HashMap<RowKey, Metadata>,
) -> Result<(), Error> {
    let doing = |error| Error::statement(format!("storing chunks of {}", ready.shape.target), error);
    let replaced: Vec<&Embedded> = done.iter().copied().filter(|row| row.chunks.is_some()).collect();
    if replaced.is_empty() {
        return Ok(());
    }
    let keys = key_list(replaced.iter().map(|row| &row.held.key));
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
        let (Some(chunks), Some(metadata)) = (&row.chunks, metadata.get(&row.held.key)) else {
            continue;
        };
        push_row(&mut out, ready.shape.spec.storage, metadata, &row.held.key, chunks)
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
