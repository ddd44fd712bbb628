//! The configuration as it is typed: one field per key, with its default, its JSON schema and its description.
//!
//! The doc comments below are the descriptions in `config schema`, `--help` and `docs/config.md`. Keys of CloudQuery's
//! postgresql destination spec keep their names and meanings. What a value may be beyond its type is checked in
//! [`super::Config`]; nothing here reads a file or the environment.

mod access;
mod embed;
mod server;

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::ConnectionString;
use crate::model::duration::GoDuration;
use crate::model::options::{
    Acks, BadRowPolicy, CommitMode, CreateOptions, ForcedStrategy, MigrateMode, MigrateRewrite, NulBytes, Nullability,
    StreamOptions, SuppressedRowPolicy, TypeProfile, WriteMode,
};

pub use access::{Auth, AuthRule, AuthToken, Jwt, JwtAlgorithm, Session};
pub use embed::{
    EmbeddingMode, EmbeddingProvider, Embeddings, OnConfigChange, OnTimeout, OpenaiEmbedding, PgvectorConfig,
    PgvectorTable, TextSplitter, VectorIndex,
};
pub use server::{
    AllowClient, Cloudquery, FlightSql, GroupCommit, Limits, Log, LogFormat, LogLevel, Pool, Pooler, QueryAccess,
    Shutdown, Tls, Traces,
};

/// Every key of the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "pgflight configuration")]
pub struct RawConfig {
    /// Where rows go: a Postgres URI or keyword string. Missing parts come from the `PG*` environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<ConnectionString>,
    /// Address of the gRPC port: `host:port`, or `unix:/path` for a socket.
    #[schemars(length(min = 1))]
    pub listen: String,
    /// Address of the HTTP port with health and metrics: `host:port`, or `off`.
    #[schemars(length(min = 1))]
    pub admin_listen: String,
    /// Address of the HTTP port that loads and reads tables for clients without Flight: `host:port`, or `off`.
    #[schemars(length(min = 1))]
    pub http_listen: String,
    /// TLS of the gRPC port and of the HTTP port; plain text without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who may call, and who may do what.
    pub auth: Auth,
    /// Listen where other machines can reach it although nobody is asked who calls. Without it such a server does not start.
    pub insecure: bool,
    /// What one client, and all together, may use.
    pub limits: Limits,
    /// Connections to Postgres.
    pub pool: Pool,
    /// Small puts of several clients in one transaction.
    pub group_commit: GroupCommit,
    /// How a stop is carried out.
    pub shutdown: Shutdown,
    /// Schema of tables named without one; the first of `search_path` when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub schema: Option<String>,
    /// Schema of pgflight's own tables.
    #[schemars(length(min = 1))]
    pub state_schema: String,
    /// What happens to the rows that a table already holds.
    pub write_mode: WriteMode,
    /// How far a table's shape may be changed to take the rows.
    pub migrate_mode: MigrateMode,
    /// Whether a change of a column's type may rewrite the table under an exclusive lock.
    pub migrate_rewrite: MigrateRewrite,
    /// What `migrate_mode: forced` does where no lossless change in place exists.
    pub forced_strategy: ForcedStrategy,
    /// What a stream's nullable flags mean for columns that a table has already.
    pub nullability: Nullability,
    /// How tables are created.
    pub create_table: CreateOptions,
    /// Which Postgres type a new column gets for an Arrow type.
    pub type_profile: TypeProfile,
    /// How much of a stream one transaction holds; when unset `atomic` without a `stream_id`, `batch` with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitMode>,
    /// How often the server answers while it loads.
    pub acks: Acks,
    /// What happens to the byte 0 in text, which Postgres cannot store.
    pub nul_bytes: NulBytes,
    /// What a row does that Postgres cannot take.
    pub on_bad_row: BadRowPolicy,
    /// What becomes of a row that a trigger of the table leaves out.
    pub on_suppressed_row: SuppressedRowPolicy,
    /// Rows that may go to the reject table before the stream fails.
    pub max_rejects: u64,
    /// Whether the reject table also gets the values of the rows; without it only their places and reasons.
    pub reject_values: bool,
    /// Leave rows untouched that an `overwrite` would not change.
    pub skip_unchanged: bool,
    /// Connections that one stream may load through at once.
    #[schemars(range(min = 1, max = 65535))]
    pub lanes: NonZeroU16,
    /// Rows after which a chunk is written.
    #[schemars(range(min = 1))]
    pub batch_size: u64,
    /// Bytes of Arrow data after which a chunk is written.
    #[schemars(range(min = 1))]
    pub batch_size_bytes: u64,
    /// Time after which a chunk is written although it is not full.
    pub batch_timeout: GoDuration,
    /// How long a statement may wait for a lock; `0s` waits without limit.
    pub lock_timeout: GoDuration,
    /// How long a statement may run; `0s` lets it run without limit.
    pub statement_timeout: GoDuration,
    /// How often a chunk that ran into a deadlock or serialization failure is written again.
    pub retry_on_deadlock: u32,
    /// How long a transaction is run again after failures that heal by themselves: lost connections, a full disk.
    pub retry_timeout: GoDuration,
    /// Create the indexes that make `overwrite-delete-stale` fast.
    pub create_performance_indexes: bool,
    /// Options of single tables, by `table` or `schema.table`.
    pub tables: BTreeMap<String, StreamOptions>,
    /// Vectors that follow the rows, in CloudQuery's form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pgvector_config: Option<PgvectorConfig>,
    /// How embeddings are made.
    pub embeddings: Embeddings,
    /// The CloudQuery door.
    pub cloudquery: Cloudquery,
    /// The Flight SQL door.
    pub flight_sql: FlightSql,
    /// What is logged.
    pub log: Log,
    /// Where spans of loads go.
    pub traces: Traces,
    /// CloudQuery's log level of SQL: `none`, `error`, `warn`, `info`, `debug` or `trace`; values are never logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["", "none", "error", "warn", "info", "debug", "trace"]))]
    pub pgx_log_level: Option<String>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            connection_string: None,
            listen: "127.0.0.1:8815".to_owned(),
            admin_listen: "127.0.0.1:8816".to_owned(),
            http_listen: "off".to_owned(),
            tls: None,
            auth: Auth::default(),
            insecure: false,
            limits: Limits::default(),
            pool: Pool::default(),
            group_commit: GroupCommit::default(),
            shutdown: Shutdown::default(),
            schema: None,
            state_schema: "pgflight".to_owned(),
            write_mode: WriteMode::default(),
            migrate_mode: MigrateMode::default(),
            migrate_rewrite: MigrateRewrite::default(),
            forced_strategy: ForcedStrategy::default(),
            nullability: Nullability::default(),
            create_table: CreateOptions::default(),
            type_profile: TypeProfile::default(),
            commit: None,
            acks: Acks::default(),
            nul_bytes: NulBytes::default(),
            on_bad_row: BadRowPolicy::default(),
            on_suppressed_row: SuppressedRowPolicy::default(),
            max_rejects: 1000,
            reject_values: false,
            skip_unchanged: true,
            lanes: NonZeroU16::MIN,
            // Larger than CloudQuery's 10000 rows and far below its 100 MB: one COPY of 16 MiB keeps the connection
            // busy, and memory stays flat.
            batch_size: 50_000,
            batch_size_bytes: 16 << 20,
            batch_timeout: GoDuration::from_secs(1),
            lock_timeout: GoDuration::from_secs(10),
            statement_timeout: GoDuration::from_secs(1800),
            retry_on_deadlock: 5,
            retry_timeout: GoDuration::from_secs(300),
            create_performance_indexes: false,
            tables: BTreeMap::new(),
            pgvector_config: None,
            embeddings: Embeddings::default(),
            cloudquery: Cloudquery::default(),
            flight_sql: FlightSql::default(),
            log: Log::default(),
            traces: Traces::default(),
            pgx_log_level: None,
        }
    }
}
