//! Brings the ledger up to date with the journal: which rows have another text than they were embedded with, which are gone.
//!
//! Texts are hashed where they are, in Postgres; none travels. An entry says only "look at these rows again", and what is looked at
//! is always the present; one process at a time does it.

use bytes::{Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::PgEmbedStore;
use super::prepare::Ready;
use super::shape::Shape;
use super::sweep::RECONCILE;
use crate::codec::{HEADER, TRAILER};
use crate::ingest::ports::embed::Expanded;
use crate::postgres::error::Error;
use crate::postgres::queries;

/// Entries and keys of one transaction.
const ENTRIES: i64 = 64;
const KEYS_AT_ONCE: i64 = 50_000;
/// Blocks of 8 KiB of one step of a sweep: some ten thousand rows.
const BLOCKS_AT_ONCE: i64 = 512;

/// One entry of the journal.
struct Entry {
    id: i64,
    kind: i16,
    prio: i16,
    rows: i64,
    types: Vec<String>,
    keys: Bytes,
    next_block: i64,
}

impl Entry {
    fn of(row: &Row) -> Self {
        Self {
            id: row.get(0),
            kind: row.get(1),
            prio: row.get(2),
            rows: i64::from(row.get::<_, i32>(3)),
            types: row.get(4),
            keys: Bytes::from(row.get::<_, Option<Vec<u8>>>(5).unwrap_or_default()),
            next_block: row.get(6),
        }
    }
}

impl PgEmbedStore {
    pub(super) async fn expand_journal(&self, table: usize) -> Result<Expanded, Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let doing = |error| {
            Error::statement(
                format!("bringing the ledger of {} up to date", ready.shape.source),
                error,
            )
        };
        let transaction = connection.transaction().await.map_err(doing)?;
        // One at a time: who read a row's text before another one did must not write after it, or a text that was refused is
        // asked for again.
        let taken = transaction
            .query_typed(queries::EMBED_TAKE_JOURNAL, &[(&ready.id, Type::INT4)])
            .await
            .map_err(doing)?;
        let entries = match taken.first().is_some_and(|row| row.get(0)) {
            true => self.next_entries(&transaction, &ready).await.map_err(doing)?,
            false => Vec::new(),
        };
        if entries.is_empty() {
            transaction.commit().await.map_err(doing)?;
            connection.mark_clean();
            return Ok(Expanded::default());
        }
        // Asked after the entries were read: a change of the configuration commits together with its sweep, so whoever saw
        // the sweep sees the change, too. From here on a change waits for us.
        self.must_be_active(&transaction, &ready).await?;
        let expanded = self.expand_in(&transaction, &ready, entries).await.map_err(doing)?;
        transaction.commit().await.map_err(doing)?;
        connection.mark_clean();
        Ok(expanded)
    }

    async fn next_entries(&self, tx: &Transaction<'_>, ready: &Ready) -> Result<Vec<Entry>, tokio_postgres::Error> {
        let rows = tx
            .query_typed(
                &self.sql(queries::EMBED_JOURNAL),
                &[(&ready.id, Type::INT4), (&ENTRIES, Type::INT8)],
            )
            .await?;
        Ok(rows.iter().map(Entry::of).collect())
    }

    async fn expand_in(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        mut entries: Vec<Entry>,
    ) -> Result<Expanded, tokio_postgres::Error> {
        let Some(first) = entries.first() else {
            return Ok(Expanded::default());
        };
        if first.kind != 0 {
            entries.truncate(1);
            return match entries.pop() {
                Some(sweep) => self.sweep_step(tx, ready, &sweep).await,
                None => Ok(Expanded::default()),
            };
        }
        let (types, mut keys) = (first.types.clone(), 0);
        let together = entries.iter().take_while(|entry| {
            let fits = entry.kind == 0 && entry.types == types && (keys == 0 || keys + entry.rows <= KEYS_AT_ONCE);
            keys += entry.rows;
            fits
        });
        let together = together.count();
        entries.truncate(together);
        self.expand_keys(tx, ready, &types, &entries).await
    }

    async fn expand_keys(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        types: &[String],
        entries: &[Entry],
    ) -> Result<Expanded, tokio_postgres::Error> {
        let shape = &ready.shape;
        tx.batch_execute(&Shape::create_keys(types)).await?;
        let sink = tx.copy_in::<_, Bytes>(&shape.copy_keys()).await?;
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::from_static(&HEADER)).await?;
        for entry in entries {
            sink.send(entry.keys.clone()).await?;
        }
        sink.send(BytesMut::from(&TRAILER[..]).freeze()).await?;
        sink.finish().await?;
        tx.batch_execute("analyze pg_temp.pgflight_embed_keys").await?;
        let prio = entries.iter().map(|entry| entry.prio).min().unwrap_or(0);
        let pending = tx
            .execute_typed(
                &shape.expand_keys(),
                &[
                    (&ready.id, Type::INT4),
                    (&ready.config, Type::INT4),
                    (&prio, Type::INT2),
                ],
            )
            .await?;
        if let Some(refresh) = shape.refresh_metadata() {
            tx.execute(&refresh, &[]).await?;
        }
        let removed = forget(tx, ready, &shape.missing_keys()).await?;
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        tx.query_typed(&self.sql(queries::EMBED_JOURNAL_DONE), &[(&ids, Type::INT8_ARRAY)])
            .await?;
        Ok(Expanded {
            entries: entries.len() as u64,
            pending,
            removed,
        })
    }

    /// The next blocks of a sweep; after the last ones what is left over is cleared away.
    async fn sweep_step(
        &self,
        tx: &Transaction<'_>,
        ready: &Ready,
        sweep: &Entry,
    ) -> Result<Expanded, tokio_postgres::Error> {
        let shape = &ready.shape;
        let size = tx
            .query_typed(queries::EMBED_BLOCKS, &[(&shape.source_oid, Type::OID)])
            .await?;
        let (blocks, plain): (i64, bool) = size.first().map_or((0, false), |row| (row.get(0), row.get(1)));
        let numbers: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
            (&ready.id, Type::INT4),
            (&ready.config, Type::INT4),
            (&sweep.prio, Type::INT2),
        ];
        let [table, config, prio] = numbers;
        let (pending, next) = if plain {
            let next = sweep.next_block + BLOCKS_AT_ONCE;
            let (from, to) = (format!("({},0)", sweep.next_block), format!("({next},0)"));
            let parameters = [table, config, prio, (&from, Type::TEXT), (&to, Type::TEXT)];
            (tx.execute_typed(&shape.expand_blocks(), &parameters).await?, next)
        } else {
            (
                tx.execute_typed(&shape.expand_all(), &[table, config, prio]).await?,
                i64::MAX,
            )
        };
        let mut expanded = Expanded {
            entries: 1,
            pending,
            removed: 0,
        };
        if next < blocks {
            tx.query_typed(
                &self.sql(queries::EMBED_JOURNAL_NEXT),
                &[(&sweep.id, Type::INT8), (&next, Type::INT8)],
            )
            .await?;
            return Ok(expanded);
        }
        if sweep.kind == RECONCILE {
            expanded.removed = forget(tx, ready, &shape.missing()).await?;
            expanded.removed += tx
                .execute_typed(&shape.delete_orphans(), &[(&ready.id, Type::INT4)])
                .await?;
            expanded.pending += redo_incomplete(tx, ready).await?;
        }
        tx.query_typed(
            &self.sql(queries::EMBED_JOURNAL_DONE),
            &[(&vec![sweep.id], Type::INT8_ARRAY)],
        )
        .await?;
        Ok(expanded)
    }
}

/// Looks, locks and looks again: a statement that waits for a worker's commit sees the row that it left, but counts the chunks
/// that were there before, and a row that is complete would be paid for twice.
async fn redo_incomplete(tx: &Transaction<'_>, ready: &Ready) -> Result<u64, tokio_postgres::Error> {
    let shape = &ready.shape;
    let suspects = tx.query_typed(&shape.incomplete(), &[(&ready.id, Type::INT4)]).await?;
    let keys: Vec<Vec<u8>> = suspects.iter().map(|row| row.get(0)).collect();
    if keys.is_empty() {
        return Ok(0);
    }
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)];
    tx.query_typed(&shape.lock_rows(), &parameters).await?;
    tx.execute_typed(&shape.redo_incomplete(), &parameters).await
}

/// Looks, locks and looks again, as a row may have come back meanwhile. Removes ledger rows first and their chunks then: a worker
/// that is committing one of them holds its ledger row, and its chunks are seen by the later statement.
async fn forget(tx: &Transaction<'_>, ready: &Ready, missing: &str) -> Result<u64, tokio_postgres::Error> {
    let suspects = tx.query_typed(missing, &[(&ready.id, Type::INT4)]).await?;
    let keys: Vec<Vec<u8>> = suspects.iter().map(|row| row.get(0)).collect();
    if keys.is_empty() {
        return Ok(0);
    }
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&ready.id, Type::INT4), (&keys, Type::BYTEA_ARRAY)];
    let gone = tx.query_typed(&ready.shape.forget_missing(), &parameters).await?;
    let keys: Vec<Vec<u8>> = gone.iter().map(|row| row.get(0)).collect();
    tx.query_typed(&ready.shape.delete_chunks(), &[(&keys, Type::BYTEA_ARRAY)])
        .await?;
    Ok(keys.len() as u64)
}
