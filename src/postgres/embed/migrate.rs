//! Another model for an embedded table: the new vectors are built beside the old ones, and then the tables change places.
//!
//! While the new table is built, loads note their rows for both; from the swap on, loads with the old configuration note for
//! the new table, and workers with the old configuration store nothing any more. What is common knowledge of all
//! processes (`embed_table.successor`, `retired`, the active configuration) is changed under locks that they take, too.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Transaction};

use super::PgEmbedStore;
use super::prepare::{LOCK_KEY, index_name, name, shape};
use super::shape::Shape;
use super::sweep::RECONCILE;
use crate::model::embed::EmbedTable;
use crate::model::ident::{Ident, TableName};
use crate::postgres::catalog::read_table;
use crate::postgres::error::Error;
use crate::postgres::pool::Begin;
use crate::postgres::queries;
use crate::postgres::state;

/// How often it is asked whether older transactions have ended.
const LOOK: Duration = Duration::from_millis(100);
/// So many looks without a result are worth a word.
const LOOKS_BEFORE_WORDS: u32 = 50;
/// Indexes of ours, by the end of their names.
const INDEXES: [&str; 2] = ["_cqid_idx", "_embedding_idx"];

/// What a migration would do, or has begun to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// The table whose rows are embedded.
    pub source: String,
    /// The table that takes the vectors.
    pub target: String,
    /// Model, dimensions and type of its vectors.
    pub old: serde_json::Value,
    /// The same as configured now.
    pub new: serde_json::Value,
    /// Rows to embed.
    pub rows: i64,
    /// Tokens of their texts, estimated.
    pub tokens: i64,
    /// Views that go on reading the old table after the swap.
    pub views: Vec<String>,
    /// What to build: the configured table under another name.
    pub building: EmbedTable,
    shape: Shape,
    id: i32,
}

impl PgEmbedStore {
    /// What a migration of a table would do; `None` where its vectors are of the configured model, or there are none yet.
    ///
    /// # Errors
    /// The table does not exist, or Postgres cannot be asked.
    pub async fn migration(&self, table: usize) -> Result<Option<Migration>, Error> {
        let spec = &self.tables[table];
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        state::ensure(&scope, &self.state_schema).await?;
        scope.done().await?;
        // What a run that was killed after its swap has left.
        self.forget_retired().await?;
        let scope = connection.scope().await?;
        let found = read_table(&*scope, &spec.source, self.default_schema.as_ref()).await?;
        let ledger = TableName::qualified(self.state_schema.clone(), name("embed_state"));
        let shape = shape(spec, &found, ledger).map_err(Error::Embed)?;
        let Some(known) = self.known(scope.driver(), &shape).await? else {
            return Ok(None);
        };
        let old: serde_json::Value = serde_json::from_str(&known.spec).unwrap_or_default();
        let old = old.get("model").cloned().unwrap_or_default();
        let new = spec.model_identity();
        if old == new {
            return Ok(None);
        }
        let views = self.dependents(scope.driver(), &shape.target).await?;
        Ok(Some(Migration {
            source: shape.source.to_string(),
            target: shape.target.to_string(),
            old,
            new,
            rows: known.rows,
            tokens: known.tokens,
            views,
            building: EmbedTable {
                source: shape.source.clone(),
                target: beside(&shape.target, "__next"),
                ..spec.clone()
            },
            shape,
            id: known.id,
        }))
    }

    async fn known(&self, client: &impl GenericClient, shape: &Shape) -> Result<Option<Known>, Error> {
        let doing = |error| Error::statement("looking an embedded table up", error);
        let (source_schema, source) = names(&shape.source);
        let (target_schema, target) = names(&shape.target);
        let rows = client
            .query_typed(
                &self.sql(queries::EMBED_KNOWN_TABLE),
                &[
                    (&source_schema, Type::TEXT),
                    (&source, Type::TEXT),
                    (&target_schema, Type::TEXT),
                    (&target, Type::TEXT),
                ],
            )
            .await
            .map_err(doing)?;
        Ok(rows.first().map(|row| Known {
            id: row.get(0),
            fingerprint: row.get(1),
            spec: row.get(2),
            rows: row.get(3),
            tokens: row.get(4),
        }))
    }

    async fn dependents(&self, client: &impl GenericClient, table: &TableName) -> Result<Vec<String>, Error> {
        let (schema, table) = names(table);
        let rows = client
            .query_typed(
                queries::EMBED_DEPENDENTS,
                &[(&schema, Type::TEXT), (&table, Type::TEXT)],
            )
            .await;
        let rows = rows.map_err(|error| Error::statement("looking for views", error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Registers the table that is built, so that loads note their rows for it, and waits until every transaction has ended
    /// that may not have done so. What was built before for yet another model is dropped.
    ///
    /// # Errors
    /// Postgres' refusal.
    pub async fn begin_migration(&self, migration: &Migration) -> Result<(), Error> {
        let doing = |error| Error::statement(format!("preparing to build {} anew", migration.target), error);
        let building = Shape {
            target: migration.building.target.clone(),
            ..migration.shape.clone()
        };
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let tx = connection.transaction().await.map_err(doing)?;
        take_turn(&tx).await?;
        if let Some(known) = self.known(&tx, &building).await?
            && !building.is_known_by(&known.fingerprint)
        {
            let drop = format!("drop table if exists {}", building.target.quoted());
            tx.batch_execute(&drop).await.map_err(doing)?;
            tx.query_typed(&self.sql(queries::EMBED_ABANDON), &[(&known.id, Type::INT4)])
                .await
                .map_err(doing)?;
        }
        let successor = self.register(&tx, &building).await?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&migration.id, Type::INT4), (&successor, Type::INT4)];
        let named = tx.query_typed(&self.sql(queries::EMBED_SUCCEED), &parameters).await;
        let named = named.map_err(doing)?;
        let xid: String = named.first().map(|row| row.get(0)).unwrap_or_default();
        tx.commit().await.map_err(doing)?;
        let mut looks = 0u32;
        loop {
            let scope = connection.scope().await?;
            let newer = scope
                .query_typed(queries::EMBED_ALL_NEWER, &[(&xid, Type::TEXT)])
                .await
                .map_err(doing)?;
            scope.done().await?;
            if newer.first().is_some_and(|row| row.get(0)) {
                connection.mark_clean();
                return Ok(());
            }
            looks += 1;
            if looks == LOOKS_BEFORE_WORDS {
                tracing::warn!("waiting for transactions that began before this; pg_stat_activity shows them");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Puts the new table in the place of the old one, in one transaction; returns the old one's new name.
    ///
    /// # Errors
    /// Postgres' refusal; then everything is as before.
    pub async fn finish_migration(&self, migration: &Migration) -> Result<TableName, Error> {
        let doing = |error| Error::statement(format!("swapping {} and its successor", migration.target), error);
        let (old, new) = (&migration.shape.target, &migration.building.target);
        let aside = beside(old, &format!("__old_{}", migration.id));
        let building = Shape {
            target: new.clone(),
            ..migration.shape.clone()
        };
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let mut tx = connection.transaction().await.map_err(doing)?;
        take_turn(&tx).await?;
        let successor = self.known(&tx, &building).await?.ok_or_else(|| {
            Error::Embed(format!(
                "{new} is not there any more; another `embeddings migrate` may have swapped it"
            ))
        })?;
        // First the configuration, then the tables: a worker that stores chunks takes its locks in that order.
        tx.query_typed(&self.sql(queries::EMBED_DEACTIVATE), &[(&migration.id, Type::INT4)])
            .await
            .map_err(doing)?;
        self.grant_alike(&mut tx, old, new).await.map_err(doing)?;
        rename(&tx, old, &aside).await.map_err(doing)?;
        rename(&tx, new, old).await.map_err(doing)?;
        for (id, table, retired) in [(migration.id, &aside, true), (successor.id, old, false)] {
            let name = table.name.as_str();
            let parameters: [(&(dyn ToSql + Sync), Type); 3] =
                [(&id, Type::INT4), (&name, Type::TEXT), (&retired, Type::BOOL)];
            tx.query_typed(&self.sql(queries::EMBED_RETIRE), &parameters)
                .await
                .map_err(doing)?;
        }
        // What was deleted meanwhile.
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&successor.id, Type::INT4),
            (&RECONCILE, Type::INT2),
            (&0i16, Type::INT2),
        ];
        tx.query_typed(&self.sql(queries::EMBED_NOTE_SWEEP), &parameters)
            .await
            .map_err(doing)?;
        tx.commit().await.map_err(doing)?;
        connection.mark_clean();
        self.forget_retired().await?;
        Ok(aside)
    }

    /// Empties the ledger of tables whose successors have taken their places.
    ///
    /// # Errors
    /// Postgres' refusal.
    pub async fn forget_retired(&self) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let cleared = scope.query_typed(&self.sql(queries::EMBED_CLEAR_RETIRED), &[]).await;
        cleared.map_err(|error| Error::statement("clearing the ledger", error))?;
        scope.done().await
    }

    async fn grant_alike(
        &self,
        tx: &mut Transaction<'_>,
        old: &TableName,
        new: &TableName,
    ) -> Result<(), tokio_postgres::Error> {
        let table = old;
        let ((old_schema, old), (new_schema, new)) = (names(old), names(new));
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&old_schema, Type::TEXT),
            (&old, Type::TEXT),
            (&new_schema, Type::TEXT),
            (&new, Type::TEXT),
        ];
        for row in tx.query_typed(queries::EMBED_GRANTS, &parameters).await? {
            let (statement, about_owner): (&str, bool) = (row.get(0), row.get(1));
            if !about_owner {
                tx.batch_execute(statement).await?;
                continue;
            }
            // A role may be let do everything with a table and still not be let give one away.
            let savepoint = tx.transaction().await?;
            match savepoint.batch_execute(statement).await {
                Ok(()) => savepoint.commit().await?,
                Err(error) => {
                    let why = error.as_db_error().map_or("", |db| db.message());
                    tracing::warn!(%table, why, "the new table does not get the owner of the old one");
                    savepoint.rollback().await?;
                }
            }
        }
        Ok(())
    }
}

/// What the ledger knows of a table.
struct Known {
    id: i32,
    fingerprint: Vec<u8>,
    spec: String,
    rows: i64,
    tokens: i64,
}

/// Schema and name; every table of a [`Shape`] has both.
fn names(table: &TableName) -> (Option<&str>, &str) {
    (table.schema.as_ref().map(Ident::as_str), table.name.as_str())
}

fn beside(table: &TableName, suffix: &str) -> TableName {
    TableName {
        schema: table.schema.clone(),
        name: index_name(&table.name, suffix),
    }
}

async fn take_turn(tx: &Transaction<'_>) -> Result<(), Error> {
    let turn = tx
        .query_typed(queries::STATE_TAKE_TURN, &[(&LOCK_KEY, Type::INT8)])
        .await;
    turn.map(drop)
        .map_err(|error| Error::statement("waiting for the turn to change an embedded table", error))
}

/// Renames a vector table and its indexes of ours.
async fn rename(tx: &Transaction<'_>, from: &TableName, to: &TableName) -> Result<(), tokio_postgres::Error> {
    tx.batch_execute(&format!("alter table {} rename to {}", from.quoted(), to.name.quoted()))
        .await?;
    for suffix in INDEXES {
        let old = TableName {
            schema: from.schema.clone(),
            name: index_name(&from.name, suffix),
        };
        let new = index_name(&to.name, suffix);
        tx.batch_execute(&format!(
            "alter index if exists {} rename to {}",
            old.quoted(),
            new.quoted()
        ))
        .await?;
    }
    Ok(())
}
