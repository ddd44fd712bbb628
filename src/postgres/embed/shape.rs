//! SQL over one embedded table's rows and vectors, made once from typed names. Pure text.
//!
//! A row's key in the ledger is SHA-256 over the JSON array of its key columns' texts: the same for the journal, the
//! ledger and the source, whatever type the key has, and still the same after the type was widened.

use sha2::{Digest, Sha256};

use crate::model::embed::{EmbedTable, Template, TemplatePart, VectorStorage};
use crate::model::ident::{Ident, TableName};
use crate::model::pg_type::PgType;
use crate::sql::Sql;

/// Temporary table that holds the journal's keys.
pub(super) const KEYS: &str = "pg_temp.\"pgflight_embed_keys\"";
/// Columns of ours in a vector table.
const OWN_COLUMNS: &str = "chunk, embedding, _chunk_seq, _row_key, _chunk_hash";

/// A column with its type as DDL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypedColumn {
    pub(super) name: Ident,
    pub(super) ty: String,
    pub(super) not_null: bool,
}

/// An embedded table as it is in this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) source: TableName,
    pub(super) source_oid: u32,
    pub(super) target: TableName,
    pub(super) key: Vec<TypedColumn>,
    pub(super) metadata: Vec<TypedColumn>,
    /// Our table `embed_state`.
    pub(super) ledger: TableName,
    pub(super) spec: EmbedTable,
}

/// The type that a value of this column has on its own; checks of a domain are the source's.
pub(super) fn plain_type(ty: &PgType) -> String {
    match ty {
        PgType::Domain(domain) => plain_type(&domain.base),
        other => other.to_string(),
    }
}

impl Shape {
    /// What decides what is stored for a row, and by which columns the ledger knows it.
    pub(super) fn identity(&self) -> serde_json::Value {
        let mut identity = self.spec.identity();
        identity["key"] = self.key.iter().map(|column| column.name.as_str()).collect();
        identity
    }

    /// Whether this is the fingerprint of our [`Shape::identity`]. Ledgers of before the key was part of it know only the rest.
    pub(super) fn is_known_by(&self, fingerprint: &[u8]) -> bool {
        fingerprint == self.fingerprint() || fingerprint == self.spec.fingerprint()
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.identity().to_string()).into()
    }

    /// `sha256` over the key of a row of `alias`.
    pub(super) fn row_key(&self, alias: &str) -> String {
        hash(&format!("{}::text", self.pk(alias)))
    }

    pub(super) fn row_key_of_journal(&self) -> String {
        let cells: Vec<String> = (0..self.key.len()).map(|at| format!("k.k{at}::text")).collect();
        hash(&format!("pg_catalog.jsonb_build_array({})::text", cells.join(", ")))
    }

    fn pk(&self, alias: &str) -> String {
        let cells: Vec<String> = self.key.iter().map(|column| text(alias, &column.name)).collect();
        format!("pg_catalog.jsonb_build_array({})", cells.join(", "))
    }

    /// The text of a row of `t`; the same expression for every path, so that hashes can be compared.
    fn text(&self) -> String {
        let spec = &self.spec;
        match &spec.template {
            Template::Values => {
                let cells: Vec<String> = spec.columns.iter().map(|column| text("t", column)).collect();
                format!("pg_catalog.concat_ws(E'\\n', {})", cells.join(", "))
            }
            Template::Labelled => {
                let line = |column: &Ident| {
                    let label = Sql::new("").literal(&format!("{column}: "));
                    format!("{label} || {}", text("t", column))
                };
                let cells: Vec<String> = spec.columns.iter().map(line).collect();
                format!("pg_catalog.concat_ws(E'\\n', {})", cells.join(", "))
            }
            Template::Parts(parts) => {
                let part = |part: &TemplatePart| match part {
                    TemplatePart::Text(fixed) => Sql::new("").literal(fixed).to_string(),
                    TemplatePart::Column(column) => text("t", column),
                };
                let parts: Vec<String> = parts.iter().map(part).collect();
                format!("pg_catalog.concat({})", parts.join(", "))
            }
        }
    }

    /// Joins a row of the ledger `s` to its source row `t`.
    pub(super) fn ledger_to_source(&self) -> String {
        let conditions = self.key.iter().enumerate().map(|(at, column)| {
            let cell = format!("t.{}", column.name.quoted());
            format!("{cell} = (s.pk ->> {at})::{}", column.ty)
        });
        conditions.collect::<Vec<_>>().join(" and ")
    }

    pub(super) fn journal_to_source(&self) -> String {
        let conditions = self.key.iter().enumerate();
        let conditions = conditions.map(|(at, column)| format!("t.{} = k.k{at}", column.name.quoted()));
        conditions.collect::<Vec<_>>().join(" and ")
    }

    /// Creates the table that takes the journal's keys, with the types they were written with.
    pub(super) fn create_keys(types: &[String]) -> String {
        let columns: Vec<String> = types.iter().enumerate().map(|(at, ty)| format!("k{at} {ty}")).collect();
        format!(
            "create temporary table pgflight_embed_keys ({}) on commit drop",
            columns.join(", ")
        )
    }

    pub(super) fn copy_keys(&self) -> String {
        format!("copy {KEYS} from stdin with (format binary)")
    }

    /// `$1` table, `$2` configuration, `$3` prio: what the journal's rows should be embedded as.
    pub(super) fn expand_keys(&self) -> String {
        let condition = format!("exists (select from {KEYS} k where {})", self.journal_to_source());
        self.expand(&condition)
    }

    /// The same for the rows of some blocks: `$4` first, `$5` end, as tid texts.
    pub(super) fn expand_blocks(&self) -> String {
        self.expand("t.ctid >= $4::text::tid and t.ctid < $5::text::tid")
    }

    pub(super) fn expand_all(&self) -> String {
        self.expand("true")
    }

    /// The same for at most `rows` of the rows that need it and that an operator's condition on `t` is true for.
    pub(super) fn expand_some(&self, condition: &str, rows: Option<u64>) -> String {
        self.expand_rows(&self.needy_rows(condition, rows))
    }

    /// `$1` table, `$2` configuration: how many rows [`Shape::expand_some`] makes pending, and their tokens by estimate.
    pub(super) fn count_some(&self, condition: &str, rows: Option<u64>) -> String {
        format!(
            "select pg_catalog.count(*), coalesce(pg_catalog.sum((r.bytes + 3) / 4), 0)::bigint from ({}) r",
            self.needy_rows(condition, rows)
        )
    }

    fn needy_rows(&self, condition: &str, rows: Option<u64>) -> String {
        format!(
            "select r.* from ({rows}) r left join {ledger} s on s.table_id = $1 and s.row_key = r.row_key \
             where s.row_key is null or s.want_cfg <> $2 or (s.state <> 1 and s.want_hash <> r.hash){limit}",
            rows = self.wanted_rows(&format!("({condition})")),
            ledger = self.ledger.quoted(),
            limit = rows.map(|rows| format!(" limit {rows}")).unwrap_or_default(),
        )
    }

    fn expand(&self, condition: &str) -> String {
        self.expand_rows(&self.wanted_rows(condition))
    }

    /// A row that a worker holds is left alone, unless it is to be embedded in another way: the worker compares the text that it
    /// took with the present one before it lets go of the row, and may have taken the very text that is noted only now.
    fn expand_rows(&self, rows: &str) -> String {
        format!(
            "insert into {ledger} as s (table_id, row_key, pk, want_hash, want_cfg, prio) \
             select $1, r.row_key, r.pk, r.hash, $2, $3 from ({rows}) r order by r.row_key \
             on conflict (table_id, row_key) do update set want_hash = excluded.want_hash, want_cfg = excluded.want_cfg, \
             gen = s.gen + 1, state = 0, attempts = 0, not_before = pg_catalog.clock_timestamp(), prio = excluded.prio, \
             lease_owner = null, lease_until = null, err_code = null, err_msg = null, err_at = null \
             where s.want_cfg <> excluded.want_cfg or (s.state <> 1 and s.want_hash <> excluded.want_hash)",
            ledger = self.ledger.quoted(),
        )
    }

    /// Key, key columns, hash and size of the text of rows of `t`.
    fn wanted_rows(&self, condition: &str) -> String {
        format!(
            "select {row_key} as row_key, {pk} as pk, {hash} as hash, pg_catalog.octet_length({text}) as bytes \
             from {source} t where {condition}",
            row_key = self.row_key("t"),
            pk = self.pk("t"),
            hash = hash(&self.text()),
            text = self.text(),
            source = self.source.quoted(),
        )
    }

    /// `$1` table, `$2` configuration, `$3` prio: rows that wait for being split, and whose stored chunks may be kept.
    pub(super) fn know(&self, condition: &str) -> String {
        format!(
            "insert into {ledger} as s (table_id, row_key, pk, want_hash, want_cfg, prio, have_hash, have_cfg) \
             select $1, r.row_key, r.pk, r.hash, $2, $3, ''::bytea, $2 from ({rows}) r order by r.row_key \
             on conflict (table_id, row_key) do nothing",
            rows = self.wanted_rows(condition),
            ledger = self.ledger.quoted(),
        )
    }

    /// Copies changed metadata of journal rows to their chunks; no vector is touched where nothing changed.
    pub(super) fn refresh_metadata(&self) -> Option<String> {
        if self.metadata.is_empty() {
            return None;
        }
        let names = |alias: &str| {
            let cells: Vec<String> = self.metadata.iter().map(|column| text(alias, &column.name)).collect();
            cells.join(", ")
        };
        let set: Vec<String> = self
            .metadata
            .iter()
            .map(|column| format!("{0} = t.{0}", column.name.quoted()))
            .collect();
        Some(format!(
            "update {target} v set {set} from {source} t, {KEYS} k where {join} and v._row_key = {row_key} \
             and ({old}) is distinct from ({new})",
            target = self.target.quoted(),
            set = set.join(", "),
            source = self.source.quoted(),
            join = self.journal_to_source(),
            row_key = self.row_key("t"),
            old = names("v"),
            new = names("t"),
        ))
    }

    /// `$1` table, `$2` keys: text and its hash; NULL for both where the row is gone.
    pub(super) fn read_texts(&self) -> String {
        format!(
            "select s.row_key, case when t.{present} is null then null else {text} end as text, \
             case when t.{present} is null then null else {hash} end as hash \
             from {ledger} s left join {source} t on {join} \
             where s.table_id = $1 and s.row_key = any ($2)",
            present = self.key.first().map(|column| column.name.quoted()).unwrap_or_default(),
            text = self.text(),
            hash = hash(&self.text()),
            source = self.source.quoted(),
            ledger = self.ledger.quoted(),
            join = self.ledger_to_source(),
        )
    }

    /// `$1` table, `$2` keys: hash of the present text, then the metadata.
    pub(super) fn verify(&self) -> String {
        let metadata = self
            .metadata
            .iter()
            .map(|column| format!("t.{}", column.name.quoted()))
            .collect::<Vec<_>>();
        format!(
            "select s.row_key, {}, pg_catalog.record_send(row({})) from {} s join {} t on {} \
             where s.table_id = $1 and s.row_key = any ($2)",
            hash(&self.text()),
            metadata.join(", "),
            self.ledger.quoted(),
            self.source.quoted(),
            self.ledger_to_source()
        )
    }

    /// `$1` keys: chunks that are stored.
    pub(super) fn stored_chunks(&self) -> String {
        format!(
            "select _row_key, _chunk_hash, pg_catalog.record_send(row(embedding)) from {} where _row_key = any ($1)",
            self.target.quoted()
        )
    }

    /// `$1` keys.
    pub(super) fn delete_chunks(&self) -> String {
        format!("delete from {} where _row_key = any ($1)", self.target.quoted())
    }

    pub(super) fn copy_chunks(&self) -> String {
        let metadata = self.metadata.iter().map(|column| format!("{}, ", column.name.quoted()));
        format!(
            "copy {} ({}{OWN_COLUMNS}) from stdin with (format binary)",
            self.target.quoted(),
            metadata.collect::<String>()
        )
    }

    /// DDL of the vector table: CloudQuery's columns, then ours.
    pub(super) fn create_target(&self, vector_schema: &Ident) -> String {
        let metadata = self.metadata.iter().map(|column| {
            let not_null = if column.not_null { " not null" } else { "" };
            format!("{} {}{not_null}, ", column.name.quoted(), column.ty)
        });
        format!(
            "create table if not exists {} ({}chunk text, embedding {}.{}({}), _chunk_seq integer not null, \
             _row_key bytea not null, _chunk_hash bytea not null, unique (_row_key, _chunk_seq))",
            self.target.quoted(),
            metadata.collect::<String>(),
            vector_schema.quoted(),
            self.spec.storage.type_name(),
            self.spec.dimensions
        )
    }

    /// Index on `_cq_id`, named as CloudQuery names it.
    pub(super) fn create_cq_id_index(&self, name: &Ident) -> Option<String> {
        let column = self.metadata.iter().find(|column| column.name.as_str() == "_cq_id")?;
        Some(format!(
            "create index if not exists {} on {} ({})",
            name.quoted(),
            self.target.quoted(),
            column.name.quoted()
        ))
    }

    /// HNSW index for cosine distance; above 2000 dimensions of `vector` over the half-precision cast.
    pub(super) fn create_hnsw(&self, name: &Ident, vector_schema: &Ident, beside_writers: bool) -> String {
        let schema = vector_schema.quoted();
        let dimensions = self.spec.dimensions;
        let column = match self.spec.storage {
            VectorStorage::Vector if dimensions <= 2000 => format!("embedding {schema}.vector_cosine_ops"),
            VectorStorage::Vector => {
                format!("(embedding::{schema}.halfvec({dimensions})) {schema}.halfvec_cosine_ops")
            }
            VectorStorage::Halfvec => format!("embedding {schema}.halfvec_cosine_ops"),
        };
        format!(
            "create index {} if not exists {} on {} using hnsw ({column})",
            if beside_writers { "concurrently" } else { "" },
            name.quoted(),
            self.target.quoted()
        )
    }
}

fn text(alias: &str, column: &Ident) -> String {
    format!("{alias}.{}::text", column.quoted())
}

fn hash(text: &str) -> String {
    format!("pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8'))")
}
