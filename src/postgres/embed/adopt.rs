//! Takes over a vector table that CloudQuery's own plugin made: our columns are added, chunks are matched to their rows by
//! `_cq_id`, and what matches no row is removed.
//!
//! The plugin wrote a row's chunks in order, but nothing in its table says which order; they are numbered as they lie
//! there. Every row is split again afterwards, and only then its chunks are known to be those of its text.

use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::PgEmbedStore;
use super::prepare::{LOCK_KEY, extension, name, shape};
use super::shape::Shape;
use super::sweep::{BACKFILL, SWEEP_PRIO};
use crate::model::ident::TableName;
use crate::model::pg_type::PgType;
use crate::planner::found::{Found, FoundTable};
use crate::postgres::catalog::read_table;
use crate::postgres::error::Error;
use crate::postgres::queries;
use crate::postgres::state;

/// What taking a table over means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The table whose rows are embedded.
    pub source: String,
    /// The table that holds the vectors.
    pub target: String,
    /// Chunks that belong to a row.
    pub chunks: i64,
    /// Rows that they belong to.
    pub rows: i64,
    /// Chunks whose rows are gone; they are removed.
    pub orphans: i64,
}

impl PgEmbedStore {
    /// Looks at a vector table that another program made, and takes it over when `confirmed`. With `trust` its vectors count
    /// as those of the configured model, and only chunks that are not there are asked for.
    ///
    /// `None` where the table is followed already.
    ///
    /// # Errors
    /// Tables or columns that do not fit, or Postgres' refusal; then nothing is changed.
    pub async fn adopt(&self, table: usize, trust: bool, confirmed: bool) -> Result<Option<Adoption>, Error> {
        let spec = &self.tables[table];
        let mut connection = self.connection().await?;
        connection.mark_dirty();
        let scope = connection.scope().await?;
        state::ensure(&scope, &self.state_schema).await?;
        scope.done().await?;
        let scope = connection.scope().await?;
        let found = read_table(&*scope, &spec.source, self.default_schema.as_ref()).await?;
        let ledger = TableName::qualified(self.state_schema.clone(), name("embed_state"));
        let shape = shape(spec, &found, ledger).map_err(Error::Embed)?;
        let target = read_table(&*scope, &shape.target, None).await?;
        if !fits(&shape, &found, &target).map_err(Error::Embed)? {
            return Ok(None);
        }
        drop(scope);
        let doing = |error| Error::statement(format!("taking over {}", shape.target), error);
        let tx = connection.transaction().await.map_err(doing)?;
        tx.query_typed(queries::STATE_TAKE_TURN, &[(&LOCK_KEY, Type::INT8)])
            .await
            .map_err(doing)?;
        let counts = tx.query_typed(&shape.adoption_counts(), &[]).await.map_err(doing)?;
        let counts = counts.first();
        let count = |at: usize| counts.map_or(0, |row| row.get(at));
        let adoption = Adoption {
            source: shape.source.to_string(),
            target: shape.target.to_string(),
            chunks: count(0),
            rows: count(1),
            orphans: count(2),
        };
        if confirmed {
            extension(&tx, &found.server.database, spec.storage).await?;
            let id = self.register(&tx, &shape).await?;
            let config = self.configure(&tx, &shape, id).await?;
            self.take_over(&tx, &shape, id, trust.then_some(config))
                .await
                .map_err(doing)?;
            tx.commit().await.map_err(doing)?;
            connection.mark_clean();
            self.cache(table, None);
            self.wake();
        }
        Ok(Some(adoption))
    }

    async fn take_over(
        &self,
        tx: &Transaction<'_>,
        shape: &Shape,
        id: i32,
        trusted: Option<i32>,
    ) -> Result<(), tokio_postgres::Error> {
        for statement in shape.adopt_target() {
            tx.execute_typed(&statement, &[]).await?;
        }
        if let Some(config) = trusted {
            let parameters: [(&(dyn ToSql + Sync), Type); 3] =
                [(&id, Type::INT4), (&config, Type::INT4), (&SWEEP_PRIO, Type::INT2)];
            tx.execute_typed(&shape.trust_chunks(), &parameters).await?;
        }
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&id, Type::INT4), (&BACKFILL, Type::INT2), (&SWEEP_PRIO, Type::INT2)];
        tx.execute_typed(&self.sql(queries::EMBED_NOTE_SWEEP), &parameters)
            .await?;
        Ok(())
    }
}

/// Whether the table can be taken over; `false` where it is ours already.
fn fits(shape: &Shape, source: &Found, target: &Found) -> Result<bool, String> {
    let table = target.table.as_ref();
    let table = table.ok_or_else(|| format!("{} does not exist, so there is nothing to adopt", shape.target))?;
    let has = |table: &FoundTable, column: &str| table.column(&name(column)).is_some();
    if ["_chunk_seq", "_row_key", "_chunk_hash"]
        .iter()
        .all(|column| has(table, column))
    {
        return Ok(false);
    }
    if !source.table.as_ref().is_some_and(|table| has(table, "_cq_id")) {
        return Err(format!(
            "{} has no column _cq_id, by which chunks would be matched to its rows",
            shape.source
        ));
    }
    let wanted = shape
        .metadata
        .iter()
        .map(|column| column.name.as_str())
        .chain(["_cq_id", "chunk"]);
    let mut missing: Vec<&str> = wanted.filter(|column| !has(table, column)).collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        return Err(format!(
            "{} has no column {}; adjust metadata_columns, or set another target_table_name",
            shape.target,
            missing.join(", ")
        ));
    }
    let there = table.column(&name("embedding")).map(|column| &column.ty);
    let wanted = format!("{}({})", shape.spec.storage.type_name(), shape.spec.dimensions);
    let same = match there {
        Some(PgType::Vector(size, _)) => wanted == format!("vector({})", size.unwrap_or(0)),
        Some(PgType::HalfVec(size, _)) => wanted == format!("halfvec({})", size.unwrap_or(0)),
        _ => false,
    };
    match same {
        true => Ok(true),
        false => Err(format!(
            "column embedding of {} is {}, and {wanted} is configured; adjust dimensions and embeddings.storage",
            shape.target,
            there.map_or_else(|| "not there".to_owned(), ToString::to_string)
        )),
    }
}

impl Shape {
    /// Chunks with a row, their rows, and chunks without a row.
    fn adoption_counts(&self) -> String {
        format!(
            "select pg_catalog.count(*) filter (where t.there), \
             pg_catalog.count(distinct v._cq_id) filter (where t.there), \
             pg_catalog.count(*) filter (where t.there is null) from {target} v \
             left join (select distinct _cq_id, true as there from {source}) t on t._cq_id = v._cq_id",
            target = self.target.quoted(),
            source = self.source.quoted()
        )
    }

    /// Makes the table one of ours; one statement after another.
    fn adopt_target(&self) -> [String; 5] {
        let (target, source) = (self.target.quoted(), self.source.quoted());
        [
            format!("lock table {target} in share row exclusive mode"),
            format!(
                "alter table {target} add column if not exists _chunk_seq integer, \
                 add column if not exists _row_key bytea, add column if not exists _chunk_hash bytea"
            ),
            format!("delete from {target} v where not exists (select from {source} t where t._cq_id = v._cq_id)"),
            format!(
                "update {target} v set _row_key = {key}, _chunk_seq = n.seq, \
                 _chunk_hash = pg_catalog.sha256(pg_catalog.convert_to(coalesce(v.chunk, ''), 'UTF8')) \
                 from {source} t, (select o.ctid as place, \
                 pg_catalog.row_number() over (partition by o._cq_id order by o.ctid) - 1 as seq from {target} o) n \
                 where t._cq_id = v._cq_id and n.place = v.ctid",
                key = self.row_key("t")
            ),
            format!(
                "alter table {target} alter column _chunk_seq set not null, alter column _row_key set not null, \
                 alter column _chunk_hash set not null, add unique (_row_key, _chunk_seq)"
            ),
        ]
    }

    /// `$1` table, `$2` configuration, `$3` prio: rows with chunks wait for being split again, and stored vectors may be kept.
    fn trust_chunks(&self) -> String {
        let condition = format!(
            "exists (select from {} v where v._row_key = {})",
            self.target.quoted(),
            self.row_key("t")
        );
        self.know(&condition)
    }
}
