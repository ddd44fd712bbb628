//! Keys about the service itself: TLS, limits, pool, shutdown, log, and the CloudQuery door.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::duration::GoDuration;

/// TLS of the gRPC port and of the HTTP port for rows. The files are PEM and are read when the server starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// File with the server's certificate and the chain above it.
    pub cert: PathBuf,
    /// File with the certificate's private key (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
    /// File with the authorities of client certificates; with it, a client without a certificate is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// What one client, and all together, may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest gRPC message, in bytes; over HTTP the largest Arrow message, row of text, or Parquet file.
    #[schemars(range(min = 65536, max = 2147483647))]
    pub max_message_bytes: u64,
    /// Bytes of memory for what streams send: a third for messages, from their first byte on, a quarter for dictionaries, which stay
    /// as long as their stream, a quarter for rows of open transactions, the rest for buffers. A message that is larger than its third
    /// is taken alone. Of all streams one at a time may go beyond it with a message that others wait for, and one with what a message
    /// unpacks to; messages of 64 KiB at most have an eighth of the third more, and so do not wait behind large ones. Beside this each open stream has its HTTP/2 window.
    #[schemars(range(min = 1048576))]
    pub max_inflight_bytes: u64,
    /// Largest row that is read from Postgres for a client, in bytes as Postgres sends it. Rows of more than 4 MiB have so much memory
    /// together until their clients have them; those for which there is no room wait in Postgres. A row takes some three times its size
    /// on its way.
    #[schemars(range(min = 8388608, max = 1073741824))]
    pub max_row_bytes: u64,
    /// Streams at once, of all clients; of eight or more, one caller never has the last eighth.
    #[schemars(range(min = 1))]
    pub max_streams: u32,
    /// How long a client may send nothing before its stream is ended and rolled back.
    pub stream_idle_timeout: GoDuration,
    /// HTTP/2 flow-control window of one stream, in bytes.
    #[schemars(range(min = 65535, max = 2147483647))]
    pub http2_stream_window_bytes: u32,
    /// HTTP/2 flow-control window of one connection, in bytes. A connection may have as many streams at once as their windows fit
    /// in here, so that those that stand still cannot stop the others.
    #[schemars(range(min = 65535, max = 2147483647))]
    pub http2_connection_window_bytes: u32,
    /// How often an idle connection is asked whether it is alive.
    pub http2_keepalive_interval: GoDuration,
    /// How long the answer may take before the connection is closed.
    pub http2_keepalive_timeout: GoDuration,
    /// How long a connection may take from its beginning to its first call: TLS, HTTP/2, and the call's headers. One that says
    /// nothing is closed then, and before when others come and there is no place left.
    pub handshake_timeout: GoDuration,
    /// Connections at once, of all clients; when unset 1000, or what the limit of open files leaves if that is less. With `http_listen`
    /// each of both ports has half of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// Connections at once from one address (an IPv6 network of 64 bits counts as one); when unset half of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections_per_address: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // CloudQuery's clients send up to 200 MiB.
            max_message_bytes: 200 << 20,
            max_inflight_bytes: 256 << 20,
            max_row_bytes: 256 << 20,
            max_streams: 256,
            stream_idle_timeout: GoDuration::from_secs(30),
            // 128 streams of a connection: more than a client opens before it has heard how many it may.
            http2_stream_window_bytes: 1 << 20,
            http2_connection_window_bytes: 128 << 20,
            http2_keepalive_interval: GoDuration::from_secs(30),
            http2_keepalive_timeout: GoDuration::from_secs(20),
            handshake_timeout: GoDuration::from_secs(10),
            max_connections: None,
            max_connections_per_address: None,
        }
    }
}

/// Connections to Postgres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    /// Connections at most; `pool_max_conns` in the connection string does the same. They are shared out between callers (docs/delivery.md).
    #[schemars(range(min = 1, max = 10000))]
    pub max_size: u32,
    /// How long one attempt to connect to one address may take; `connect_timeout` in the connection string wins.
    pub connect_timeout: GoDuration,
    /// How long a request may wait for a connection: for a free one, or for a Postgres that cannot be reached.
    pub acquire_timeout: GoDuration,
    /// Age after which a connection is closed instead of used again.
    pub max_lifetime: GoDuration,
    /// Idle time after which a connection is closed.
    pub idle_timeout: GoDuration,
    /// Whether a pooler such as PgBouncer stands between, and in which mode. It is looked for whatever is said, and nothing is
    /// left in its sessions; `session` says that statements may be kept in them, `transaction` spares the look.
    pub pooler: Pooler,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            max_size: 16,
            connect_timeout: GoDuration::from_secs(5),
            acquire_timeout: GoDuration::from_secs(30),
            max_lifetime: GoDuration::from_secs(3600),
            idle_timeout: GoDuration::from_secs(1800),
            pooler: Pooler::Auto,
        }
    }
}

/// Small puts of several clients in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GroupCommit {
    /// How long a small put may wait for the commit of others into its table, to be written with those that wait as well; a put that
    /// finds nobody committing never waits. `0s`: every put has a transaction of its own.
    pub max_wait: GoDuration,
    /// Rows that are written together at most; a put with more of them has a transaction of its own.
    #[schemars(range(min = 1, max = 100000))]
    pub max_rows: u32,
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self {
            max_wait: GoDuration::from_millis(500),
            max_rows: 1000,
        }
    }
}

/// Declares an enumerated key.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        #[schemars(inline)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }
    };
}

words! {
    /// Whether a connection pooler stands between pgflight and Postgres.
    Pooler {
        /// Find out.
        #[default]
        Auto,
        /// None that is known of; one that is seen counts.
        None,
        /// One that keeps a server connection for a session.
        Session,
        /// One that keeps a server connection for a transaction only.
        Transaction,
    }
}

/// How a stop (SIGTERM, SIGINT) is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the port stays open after health says "not serving", for balancers to notice.
    pub delay: GoDuration,
    /// How long running streams may take to end by themselves.
    pub drain_timeout: GoDuration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            delay: GoDuration::from_secs(0),
            drain_timeout: GoDuration::from_secs(25),
        }
    }
}

/// The CloudQuery door.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cloudquery {
    /// Whether the `connection_string` in a CloudQuery client's spec decides where its rows go.
    pub allow_client_connection_string: AllowClient,
    /// Whether the `pgvector_config` in a CloudQuery client's spec decides what is embedded, and by whom.
    pub allow_client_pgvector_config: AllowClient,
    /// Keep the stale rows of tables that got no row in a sync, since their source may have failed; a client's spec may
    /// say otherwise.
    pub keep_tables_without_rows: bool,
}

words! {
    /// Whether a key in a CloudQuery client's spec counts.
    AllowClient {
        /// `always` when the server listens on loopback or a unix socket, else `equal`.
        #[default]
        Loopback,
        /// The client's is ignored.
        Never,
        /// The client's must equal the server's.
        Equal,
        /// The client's is used.
        Always,
    }
}

/// The Flight SQL door.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlightSql {
    /// Whether clients may run SQL: not at all, in transactions that only read, or any statement that the role may run. A
    /// statement sees all that the role sees.
    pub queries: QueryAccess,
}

/// What clients' statements may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum QueryAccess {
    /// None is run.
    #[default]
    Off,
    /// They are run in read-only transactions.
    ReadOnly,
    /// They may change what the role may change.
    ReadWrite,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Least severe level that is logged.
    pub level: LogLevel,
    /// One line of text per event on standard error, or one JSON object per line on standard output.
    pub format: LogFormat,
    /// Levels of single parts, as in `pgflight::postgres=debug,h2=warn`; added to `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// Where spans of loads go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// An OpenTelemetry collector that takes OTLP over HTTP, as `http://host:4318`; its path is `/v1/traces` where none is given. Headers, as
    /// for a token, come from the environment variable `OTEL_EXPORTER_OTLP_HEADERS`. Nothing is sent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

words! {
    /// Severity of a log line.
    LogLevel {
        /// Only failures that need a person.
        Error,
        /// Also what was survived.
        Warn,
        /// Also one line per stream.
        #[default]
        Info,
        /// Also decisions.
        Debug,
        /// Everything.
        Trace,
    }
}

impl LogLevel {
    /// The level's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

words! {
    /// Form of the log.
    LogFormat {
        /// Text for people, on standard error.
        #[default]
        Text,
        /// One JSON object per line, on standard output.
        Json,
    }
}
