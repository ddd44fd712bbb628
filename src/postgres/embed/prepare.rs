//! Makes an embedded table ready: extension, ledger, number, configuration, vector table.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};

use super::PgEmbedStore;
use super::shape::{Shape, TypedColumn, plain_type};
use super::sweep::{BACKFILL, RECONCILE, SWEEP_PRIO};
use crate::config::OnConfigChange;
use crate::model::embed::{EmbedTable, VectorStorage};
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::planner::found::{Found, FoundTable};
use crate::postgres::catalog::read_table;
use crate::postgres::error::Error;
use crate::postgres::queries;
use crate::postgres::state;

/// Key of the advisory lock: the first eight bytes of SHA-256 of `pgflight embed`, positive.
pub(super) const LOCK_KEY: i64 = 0x1e84_e0a2_ac18_c5da;
/// What CloudQuery's rows are known by.
const CQ_ID: &str = "_cq_id";

/// A table that was made ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) shape: Shape,
    /// Number of the table in the ledger.
    pub(super) id: i32,
    /// Number of the configuration that rows are embedded by.
    pub(super) config: i32,
    pub(super) vector_schema: Ident,
    pub(super) vector_version: (u32, u32, u32),
}

impl PgEmbedStore {
    pub(super) async fn prepare_table(&self, table: usize) -> Result<bool, Error> {
        let spec = &self.tables[table];
        let mut connection = self.connection().await?;
        let scope = connection.scope().await?;
        let found = read_table(&*scope, &spec.source, self.default_schema.as_ref()).await?;
        drop(scope);
        drop(connection);
        if found.table.is_none() {
            return Ok(false);
        }
        self.prepare_found(table, &found).await?;
        Ok(true)
    }

    /// Makes a table ready whose source was just read, perhaps within the transaction that creates it.
    pub(super) async fn prepare_found(&self, table: usize, found: &Found) -> Result<Arc<Ready>, Error> {
        let spec = &self.tables[table];
        let ledger = TableName::qualified(self.state_schema.clone(), name("embed_state"));
        let shape = shape(spec, found, ledger).map_err(Error::Embed)?;
        if let Some(ready) = self.cached(table).filter(|ready| ready.shape == shape) {
            return Ok(ready);
        }
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let scope = connection.scope().await?;
        state::ensure(&scope, &self.state_schema).await?;
        scope.done().await?;
        let transaction = connection.transaction().await;
        let transaction = transaction.map_err(|error| Error::statement("opening a transaction", error))?;
        // A load and a worker often come at once, and IF NOT EXISTS does not save the second one.
        let turn = transaction
            .query_typed(queries::STATE_TAKE_TURN, &[(&LOCK_KEY, Type::INT8)])
            .await;
        turn.map_err(|error| Error::statement("waiting for the turn to prepare an embedded table", error))?;
        let (vector_schema, vector_version) = extension(&transaction, &found.server.database, spec.storage).await?;
        let id = self.register(&transaction, &shape).await?;
        let config = self.configure(&transaction, &shape, id).await?;
        create_target(&transaction, &shape, &vector_schema).await?;
        let committed = transaction.commit().await;
        committed.map_err(|error| Error::statement(format!("preparing {}", shape.target), error))?;
        connection.mark_clean();
        let ready = Arc::new(Ready {
            shape,
            id,
            config,
            vector_schema,
            vector_version,
        });
        self.cache(table, Some(Arc::clone(&ready)));
        Ok(ready)
    }

    pub(super) async fn register(&self, client: &impl GenericClient, shape: &Shape) -> Result<i32, Error> {
        let schema = |table: &TableName| table.schema.as_ref().map(|schema| schema.as_str().to_owned());
        let (source_schema, target_schema) = (schema(&shape.source), schema(&shape.target));
        let rows = client
            .query_typed(
                &self.sql(queries::EMBED_REGISTER),
                &[
                    (&source_schema, Type::TEXT),
                    (&shape.source.name.as_str(), Type::TEXT),
                    (&target_schema, Type::TEXT),
                    (&shape.target.name.as_str(), Type::TEXT),
                ],
            )
            .await;
        let rows = rows.map_err(|error| Error::statement("registering an embedded table", error))?;
        rows.first()
            .map(|row| row.get(0))
            .ok_or_else(|| Error::Internal("an embedded table got no number".to_owned()))
    }

    /// The active configuration, which is ours or becomes ours, or a refusal.
    pub(super) async fn configure(&self, client: &impl GenericClient, shape: &Shape, id: i32) -> Result<i32, Error> {
        let doing = |error| Error::statement("reading the embedding configuration", error);
        let fingerprint = shape.fingerprint().to_vec();
        let active = client
            .query_typed(&self.sql(queries::EMBED_ACTIVE_CONFIG), &[(&id, Type::INT4)])
            .await
            .map_err(doing)?;
        if let Some(active) = active.first() {
            let (number, stored, spec): (i32, Vec<u8>, String) = (active.get(0), active.get(1), active.get(2));
            if shape.is_known_by(&stored) {
                return Ok(number);
            }
            let old: serde_json::Value = serde_json::from_str(&spec).unwrap_or_default();
            self.changed(client, shape, id, &old).await?;
            let mut kind = BACKFILL;
            if has_another_key(shape, &old) {
                // The ledger's keys name no rows any more. What they named is removed at the end of the sweep.
                let forget = self.sql(queries::EMBED_FORGET_ALL);
                client.query_typed(&forget, &[(&id, Type::INT4)]).await.map_err(doing)?;
                kind = RECONCILE;
            }
            let prio = SWEEP_PRIO;
            let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                [(&id, Type::INT4), (&kind, Type::INT2), (&prio, Type::INT2)];
            client
                .query_typed(&self.sql(queries::EMBED_NOTE_SWEEP), &parameters)
                .await
                .map_err(doing)?;
        }
        let spec = shape.identity().to_string();
        let added = client
            .query_typed(
                &self.sql(queries::EMBED_ADD_CONFIG),
                &[(&id, Type::INT4), (&fingerprint, Type::BYTEA), (&spec, Type::TEXT)],
            )
            .await
            .map_err(doing)?;
        added
            .first()
            .map(|row| row.get(0))
            .ok_or_else(|| Error::Internal("an embedding configuration got no number".to_owned()))
    }

    /// Whether the stored configuration may give way to ours.
    async fn changed(
        &self,
        client: &impl GenericClient,
        shape: &Shape,
        id: i32,
        old: &serde_json::Value,
    ) -> Result<(), Error> {
        let cost = client
            .query_typed(&self.sql(queries::EMBED_KNOWN_ROWS), &[(&id, Type::INT4)])
            .await
            .map_err(|error| Error::statement("counting embedded rows", error))?;
        let (rows, tokens): (i64, i64) = cost.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
        let new = shape.spec.model_identity();
        if old.get("model") != Some(&new) {
            return Err(Error::Embed(format!(
                "{} holds vectors of {}, and the configuration now says {new}; vectors of two models never share a column, \
                 so run `pgflight embeddings migrate` with the new configuration ({rows} rows, about {tokens} tokens), \
                 or put the configuration back",
                shape.target,
                old.get("model").unwrap_or(&serde_json::Value::Null)
            )));
        }
        if self.settings.on_config_change == OnConfigChange::Refuse && has_another_key(shape, old) {
            return Err(Error::Embed(format!(
                "rows of {} were known by {}, and its key is now {}; set embeddings.on_config_change: reembed to make {} again \
                 ({rows} rows, about {tokens} tokens, no vector is kept), or put the key back",
                shape.source,
                old["key"],
                shape.identity()["key"],
                shape.target
            )));
        }
        if self.settings.on_config_change == OnConfigChange::Refuse {
            return Err(Error::Embed(format!(
                "columns, template or splitter of {} are not those that {} was made with; set embeddings.on_config_change: \
                 reembed to make it again ({rows} rows, about {tokens} tokens; unchanged chunks keep their vectors), or put \
                 the configuration back",
                shape.source, shape.target
            )));
        }
        Ok(())
    }
}

/// Whether rows were known by other columns than now.
fn has_another_key(shape: &Shape, old: &serde_json::Value) -> bool {
    old.get("key").is_some_and(|key| *key != shape.identity()["key"])
}

pub(super) fn name(text: &str) -> Ident {
    Ident::new(text).unwrap_or_else(|_| unreachable!("a fixed name"))
}

/// What is embedded, from the configuration and the table as it is.
pub(super) fn shape(spec: &EmbedTable, found: &Found, ledger: TableName) -> Result<Shape, String> {
    let table = found
        .table
        .as_ref()
        .ok_or_else(|| format!("{} does not exist", found.name))?;
    let cq_id = name(CQ_ID);
    let primary = table.primary_key().map(|key| key.column_names()).unwrap_or_default();
    let key = if !primary.is_empty() {
        primary
    } else if table.conflict_key(std::slice::from_ref(&cq_id)).is_some() {
        vec![cq_id.clone()]
    } else {
        return Err(format!(
            "{} has no primary key and no unique index on {CQ_ID}, so its rows cannot be followed; add one, or remove the \
             table from pgvector_config.tables",
            found.name
        ));
    };
    for column in &spec.columns {
        let there = table.column(column);
        let there = there.ok_or_else(|| format!("{} has no column {column}, which embed_columns names", found.name))?;
        if matches!(
            there.ty,
            PgType::Bytea | PgType::Vector(..) | PgType::HalfVec(..) | PgType::SparseVec(..)
        ) {
            return Err(format!(
                "column {column} of {} is {}, which is no text; embed another",
                found.name, there.ty
            ));
        }
    }
    let mut metadata: Vec<Ident> = match table.column(&cq_id) {
        Some(_) => vec![cq_id],
        None => key.clone(),
    };
    metadata.extend(
        spec.metadata
            .iter()
            .filter(|name| !metadata.contains(name))
            .cloned()
            .collect::<Vec<_>>(),
    );
    let schema = found.schema.name.clone();
    Ok(Shape {
        source: found.name.clone(),
        source_oid: table.oid,
        target: spec.target.or_schema(&schema),
        key: typed(table, &key, &found.name)?,
        metadata: typed(table, &metadata, &found.name)?,
        ledger,
        spec: spec.clone(),
    })
}

fn typed(table: &FoundTable, names: &[Ident], of: &TableName) -> Result<Vec<TypedColumn>, String> {
    let column = |name: &Ident| {
        let there = table.column(name);
        let there = there.ok_or_else(|| format!("{of} has no column {name}, which metadata_columns names"))?;
        Ok(TypedColumn {
            name: there.name.clone(),
            ty: plain_type(&there.ty),
            not_null: table.in_primary_key(name),
        })
    };
    names.iter().map(column).collect()
}

/// Schema of pgvector's types and its version; the extension is created where that is allowed.
pub(super) async fn extension(
    client: &impl GenericClient,
    database: &str,
    storage: VectorStorage,
) -> Result<(Ident, (u32, u32, u32)), Error> {
    let look = || client.query_typed(queries::EMBED_EXTENSION, &[]);
    let doing = |error| Error::statement("looking for pgvector", error);
    let mut rows = look().await.map_err(doing)?;
    if rows.is_empty() {
        let created = client.batch_execute("create extension if not exists vector").await;
        created.map_err(|source| Error::NoPgvector {
            database: database.to_owned(),
            source,
        })?;
        rows = look().await.map_err(doing)?;
    }
    let row = rows
        .first()
        .ok_or_else(|| Error::Internal("pgvector was created and is not there".to_owned()))?;
    let (version, schema): (String, String) = (row.get(0), row.get(1));
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let number = (next(), next(), next());
    if storage == VectorStorage::Halfvec && number < (0, 7, 0) {
        return Err(Error::Embed(format!(
            "database {database} has pgvector {version}, and embeddings.storage: halfvec needs 0.7; after the server's \
             package was updated, the extension's owner must run: ALTER EXTENSION vector UPDATE;"
        )));
    }
    let schema = Ident::new(schema).map_err(|error| Error::Internal(error.to_string()))?;
    Ok((schema, number))
}

async fn create_target(client: &Transaction<'_>, shape: &Shape, vector_schema: &Ident) -> Result<(), Error> {
    let doing = |error| Error::statement(format!("creating {}", shape.target), error);
    client
        .batch_execute(&shape.create_target(vector_schema))
        .await
        .map_err(doing)?;
    if let Some(index) = shape.create_cq_id_index(&index_name(&shape.target.name, "_cqid_idx")) {
        client.batch_execute(&index).await.map_err(doing)?;
    }
    let found = read_table(client, &shape.target, None).await?;
    let Some(table) = found.table else {
        return Err(Error::Embed(format!("{} could not be created", shape.target)));
    };
    let has = |name: &str| {
        Ident::new(name)
            .ok()
            .and_then(|name| table.column(&name).map(|column| column.ty.clone()))
    };
    let wanted = shape.spec.dimensions;
    let fits = match (has("embedding"), shape.spec.storage) {
        (Some(PgType::Vector(size, _)), VectorStorage::Vector) => size == Some(wanted),
        (Some(PgType::HalfVec(size, _)), VectorStorage::Halfvec) => size == Some(wanted),
        _ => false,
    };
    if !fits {
        let there = has("embedding").map_or_else(|| "no column embedding".to_owned(), |ty| format!("embedding {ty}"));
        return Err(Error::Embed(format!(
            "{} has {there}, and {}({wanted}) is configured; set another target_table_name, or put dimensions and storage back",
            shape.target,
            shape.spec.storage.type_name()
        )));
    }
    let own = ["chunk", "_chunk_seq", "_row_key", "_chunk_hash"]
        .into_iter()
        .map(str::to_owned);
    let metadata = shape.metadata.iter().map(|column| column.name.as_str().to_owned());
    let missing: Vec<String> = own.chain(metadata).filter(|name| has(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Error::Embed(format!(
            "{} has no column {}; it was made by another program or for other columns: run `pgflight embeddings adopt`, set \
             another target_table_name, or drop it",
            shape.target,
            missing.join(", ")
        )));
    }
    Ok(())
}

/// `<table><suffix>`, or 32 digits of a hash where that is longer than a name may be.
pub(super) fn index_name(table: &Ident, suffix: &str) -> Ident {
    let long = format!("{}{suffix}", table.as_str());
    Ident::new(long.as_str()).unwrap_or_else(|_| {
        let digits = Sha256::digest(long.as_bytes());
        let digits: String = digits.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        name(&digits)
    })
}
