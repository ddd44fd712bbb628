//! What a person asks of the ledger: how tables stand, sweeps, another try for what was given up.

use std::collections::BTreeMap;

use tokio_postgres::types::{ToSql, Type};

use super::PgEmbedStore;
use super::prepare::Ready;
use super::sweep::{BACKFILL, RECONCILE, SWEEP_PRIO};
use crate::ingest::ports::embed::{ServiceTrouble, Sweep, TableStatus};
use crate::postgres::error::Error;
use crate::postgres::queries;

impl PgEmbedStore {
    pub(super) async fn table_status(&self, table: usize) -> Result<TableStatus, Error> {
        let spec = &self.tables[table];
        let mut status = TableStatus {
            source: spec.source.to_string(),
            target: spec.target.to_string(),
            ..TableStatus::default()
        };
        let prepared = match self.cached(table) {
            Some(_) => Ok(true),
            None => self.prepare_table(table).await,
        };
        match prepared {
            Ok(true) => {}
            Ok(false) => {
                status.problem = Some(format!("{} does not exist yet", spec.source));
                status.counted = true;
            }
            Err(error) => status.problem = Some(error.to_string()),
        }
        let Some(ready) = self.cached(table) else {
            return Ok(status);
        };
        self.count_rows(&ready, &mut status).await?;
        Ok(status)
    }

    async fn count_rows(&self, ready: &Ready, status: &mut TableStatus) -> Result<(), Error> {
        let doing = |error| Error::statement("reading the ledger", error);
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let rows = scope
            .query_typed(&self.sql(queries::EMBED_STATUS), &[(&ready.id, Type::INT4)])
            .await
            .map_err(doing)?;
        let row = rows.first().ok_or_else(|| Error::Internal("no status".to_owned()))?;
        status.source = ready.shape.source.to_string();
        status.target = ready.shape.target.to_string();
        status.journal_keys = row.get(0);
        status.pending = row.get(1);
        status.leased = row.get(2);
        status.done = row.get(3);
        status.empty = row.get(4);
        status.chunks = row.get(5);
        status.oldest_pending_seconds = row.get::<_, Option<f64>>(6).map(|age| age.max(0.0));
        let dead: BTreeMap<String, i64> = serde_json::from_str(row.get(7)).unwrap_or_default();
        status.dead = dead;
        status.rows_per_second = row.get(8);
        let trouble: Option<&str> = row.get(9);
        status.service = trouble.and_then(|trouble| serde_json::from_str(trouble).ok());
        status.counted = true;
        Ok(())
    }

    /// Nothing is noted for a table that was not made ready: it has no number yet.
    pub(super) async fn note_service(&self, table: usize, trouble: Option<&ServiceTrouble>) -> Result<(), Error> {
        let Some(ready) = self.cached(table) else {
            return Ok(());
        };
        let doing = |error| Error::statement("noting how the embeddings service is", error);
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let Some(trouble) = trouble else {
            let forgotten = scope
                .query_typed(&self.sql(queries::EMBED_NO_TROUBLE), &[(&ready.id, Type::INT4)])
                .await;
            forgotten.map_err(doing)?;
            return scope.done().await;
        };
        let parameters: [(&(dyn ToSql + Sync), Type); 7] = [
            (&ready.id, Type::INT4),
            (&trouble.code, Type::TEXT),
            (&trouble.message, Type::TEXT),
            (&trouble.left_alone, Type::BOOL),
            (&trouble.since_seconds, Type::FLOAT8),
            (&trouble.seen_seconds, Type::FLOAT8),
            (&trouble.again_seconds, Type::FLOAT8),
        ];
        let noted = scope.query_typed(&self.sql(queries::EMBED_TROUBLE), &parameters).await;
        noted.map_err(doing)?;
        scope.done().await
    }

    pub(super) async fn note_sweep(&self, table: usize, sweep: Sweep) -> Result<(), Error> {
        let ready = self.ready(table)?;
        let kind = match sweep {
            Sweep::Backfill => BACKFILL,
            Sweep::Reconcile => RECONCILE,
        };
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&ready.id, Type::INT4), (&kind, Type::INT2), (&SWEEP_PRIO, Type::INT2)];
        let noted = scope
            .execute_typed(&self.sql(queries::EMBED_NOTE_SWEEP), &parameters)
            .await;
        noted.map_err(|error| Error::statement("noting a sweep", error))?;
        scope.done().await?;
        self.wake();
        Ok(())
    }

    /// Makes rows pending that a condition is true for, at most `limit` of those that need it, at once and not through the
    /// journal; with `dry` only counts them. Rows and the tokens of their texts, estimated.
    ///
    /// The condition is SQL on the source table `t` and runs with the rights of the configured role.
    ///
    /// # Errors
    /// A condition that Postgres does not understand, or another refusal of it.
    pub async fn backfill_some(
        &self,
        table: usize,
        condition: &str,
        limit: Option<u64>,
        dry: bool,
    ) -> Result<(i64, i64), Error> {
        let ready = self.ready(table)?;
        let doing = |error| Error::statement(format!("looking for rows of {}", ready.shape.source), error);
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let tx = connection.transaction().await.map_err(doing)?;
        self.must_be_active(&tx, &ready).await?;
        let numbers: [(&(dyn ToSql + Sync), Type); 3] = [
            (&ready.id, Type::INT4),
            (&ready.config, Type::INT4),
            (&SWEEP_PRIO, Type::INT2),
        ];
        let [id, config, prio] = numbers;
        let counted = tx
            .query_typed(&ready.shape.count_some(condition, limit), &[id.clone(), config.clone()])
            .await;
        let counted = counted.map_err(doing)?;
        let found = counted.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
        if !dry {
            tx.execute_typed(&ready.shape.expand_some(condition, limit), &[id, config, prio])
                .await
                .map_err(doing)?;
            tx.commit().await.map_err(doing)?;
            connection.mark_clean();
        }
        Ok(found)
    }

    pub(super) async fn retry_dead_rows(&self, table: usize, code: Option<&str>) -> Result<u64, Error> {
        let ready = self.ready(table)?;
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&ready.id, Type::INT4), (&code, Type::TEXT)];
        let revived = scope
            .execute_typed(&self.sql(queries::EMBED_RETRY_DEAD), &parameters)
            .await;
        let revived = revived.map_err(|error| Error::statement("making rows pending", error))?;
        scope.done().await?;
        self.wake();
        Ok(revived)
    }
}
