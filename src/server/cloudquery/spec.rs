//! The spec that a client sends with Init: which of its keys count here, and whose connection string.
//!
//! The spec is laid over the server's configuration, mapping by mapping; keys that are the server's business are refused.
//! What the Go plugin corrects silently (sizes and times of zero and below) is corrected the same way.

mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{AllowClient, Config, ConfigError, ConnectionString};
use crate::model::duration::GoDuration;
use crate::model::options::NulBytes;
use crate::model::suggest;

/// Keys of the Go plugin's spec, in the order of its documentation.
const PLUGIN_KEYS: [&str; 10] = [
    "connection_string",
    "pgx_log_level",
    "batch_size",
    "batch_size_bytes",
    "batch_timeout",
    "create_performance_indexes",
    "retry_on_deadlock",
    "pgvector_config",
    "lakebase",
    "aws_iam_auth",
];
/// Keys of ours that a client may set for itself.
const OUR_KEYS: [&str; 11] = [
    "schema",
    "create_table",
    "nul_bytes",
    "on_bad_row",
    "on_suppressed_row",
    "max_rejects",
    "reject_values",
    "skip_unchanged",
    "lock_timeout",
    "statement_timeout",
    "lanes",
];
/// Key of the embedded tables.
const PGVECTOR_CONFIG: &str = "pgvector_config";
/// Key of this door alone: tables that got no row in a sync keep their stale rows.
const KEEP_EMPTY: &str = "keep_tables_without_rows";
/// How long rows wait for a full chunk when neither side says: the protocol promises durability only at the end of Write,
/// and hundreds of tables take turns, so this is longer than for Flight streams and far below the Go plugin's minute.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client's spec amounts to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// The server's configuration with the spec over it.
    pub(super) config: Arc<Config>,
    /// How long rows wait for a full chunk.
    pub(super) batch_timeout: Duration,
    /// Whether a table that got no row in this sync keeps its stale rows.
    pub(super) keep_tables_without_rows: bool,
    /// What happens to the byte 0 in text. The Go plugin leaves it out, and so does this door unless it is told otherwise.
    pub(super) nul_bytes: NulBytes,
}

/// A spec that cannot be used; every reason is named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec: {}", .0.join("; "))]
pub(super) struct SpecError(pub(super) Vec<String>);

/// How specs are read on this server.
#[derive(Clone, Debug)]
pub(super) struct SpecPolicy {
    server: Arc<Config>,
    /// Whether the server has a database without a connection string, by the `PG*` environment.
    environment: bool,
    connection_string: AllowClient,
    pgvector_config: AllowClient,
}

impl SpecPolicy {
    /// The policy of a server with this configuration; `environment` says whether `PG*` variables name its database.
    pub(super) fn new(server: Arc<Config>, environment: bool) -> Self {
        use AllowClient::{Always, Equal, Loopback};
        let local = server.listen().is_local();
        let allow = |chosen| match chosen {
            Loopback if local => Always,
            Loopback => Equal,
            chosen => chosen,
        };
        let door = &server.raw().cloudquery;
        Self {
            connection_string: allow(door.allow_client_connection_string),
            pgvector_config: allow(door.allow_client_pgvector_config),
            server,
            environment,
        }
    }

    /// The settings of a client that asked for no connection: nothing of its spec is read.
    pub(super) fn unchecked(&self) -> Settings {
        Self::settings((*self.server).clone(), false, false, None)
    }

    /// Whether a client's settings reach beyond the tables of the server's own database: another one, or other embeddings.
    pub(super) fn is_beyond_tables(&self, settings: &Settings) -> bool {
        let (theirs, ours) = (settings.config.raw(), self.server.raw());
        theirs.connection_string != ours.connection_string
            || theirs.pgvector_config.is_some() && theirs.pgvector_config != ours.pgvector_config
    }

    /// The JSON schema of specs, for `validate-config`. The connection string is required where the server has none.
    pub(super) fn json_schema(&self) -> String {
        let required = self.server.raw().connection_string.is_none() && !self.environment;
        schema::spec_schema(required).to_string()
    }

    /// Reads a spec.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(&self, spec: &[u8]) -> Result<Settings, SpecError> {
        let mut spec = match crate::model::json::parse(spec) {
            Ok(Value::Object(spec)) => spec,
            // An empty mapping in YAML arrives as null; a client that sends no spec at all sends no bytes.
            Ok(Value::Null) => Map::new(),
            Err(_) if spec.is_empty() => Map::new(),
            Ok(_) => return Err(problem("it is not a mapping of keys to values")),
            Err(error) => return Err(problem(format!("it is not JSON: {error}"))),
        };
        known_keys(&spec)?;
        let keep = take_keep(&mut spec)?;
        forget_nothings(&mut spec);
        self.check_connection_string(&mut spec)?;
        if self.pgvector_config == AllowClient::Never {
            spec.remove(PGVECTOR_CONFIG);
        }
        let own_vectors = spec.get(PGVECTOR_CONFIG).is_some_and(|value| !value.is_null());
        let own_timeout = spec.contains_key("batch_timeout");
        let own_nul_bytes = spec.contains_key("nul_bytes");
        let config = self
            .server
            .with_spec(&Value::Object(spec))
            .map_err(|error| match error {
                ConfigError::Invalid(problems) => SpecError(problems.iter().map(ToString::to_string).collect()),
                other => problem(other),
            })?;
        let config = match own_vectors {
            true => self.check_vectors(config)?,
            // The server's embedded tables are those of the server's database.
            false if config.raw().connection_string != self.server.raw().connection_string => {
                config.without_embeddings().map_err(problem)?
            }
            false => config,
        };
        Ok(Self::settings(config, own_timeout, own_nul_bytes, keep))
    }

    fn settings(config: Config, own_timeout: bool, own_nul_bytes: bool, keep: Option<bool>) -> Settings {
        let configured = config.raw().batch_timeout.get();
        Settings {
            batch_timeout: if own_timeout {
                configured
            } else {
                configured.max(BATCH_TIMEOUT)
            },
            nul_bytes: match config.raw().nul_bytes {
                NulBytes::Error if !own_nul_bytes => NulBytes::Strip,
                chosen => chosen,
            },
            keep_tables_without_rows: keep.unwrap_or(config.raw().cloudquery.keep_tables_without_rows),
            config: Arc::new(config),
        }
    }

    fn check_vectors(&self, config: Config) -> Result<Config, SpecError> {
        let same = config.raw().pgvector_config == self.server.raw().pgvector_config;
        if self.pgvector_config == AllowClient::Equal && !same {
            return Err(problem(
                "`pgvector_config` is not the server's; this server embeds only what its own configuration says, so leave the key out or give exactly the server's (its key cloudquery.allow_client_pgvector_config decides)",
            ));
        }
        Ok(config)
    }

    fn check_connection_string(&self, spec: &mut Map<String, Value>) -> Result<(), SpecError> {
        // Left in, it would take the server's away and leave everything to the server's environment.
        if spec.get("connection_string").is_some_and(Value::is_null) {
            spec.remove("connection_string");
        }
        let own = self.server.raw().connection_string.as_ref();
        let clients = spec
            .get("connection_string")
            .and_then(Value::as_str)
            .map(ConnectionString::new);
        match (self.connection_string, &clients) {
            (AllowClient::Never, _) => {
                spec.remove("connection_string");
            }
            (AllowClient::Equal, Some(clients)) if Some(clients) != own => {
                return Err(problem(
                    "`connection_string` is not the server's; this server writes only to its own database, so leave the key out or give exactly the server's (its key cloudquery.allow_client_connection_string decides)",
                ));
            }
            _ => {}
        }
        if own.is_none() && !self.environment && !spec.contains_key("connection_string") {
            return Err(problem(
                "`connection_string` is missing, and the server has none of its own; add it",
            ));
        }
        Ok(())
    }
}

fn problem(reason: impl fmt::Display) -> SpecError {
    SpecError(vec![reason.to_string()])
}

fn allowed_keys() -> impl Iterator<Item = &'static str> + Clone {
    PLUGIN_KEYS.into_iter().chain(OUR_KEYS).chain([KEEP_EMPTY])
}

fn known_keys(spec: &Map<String, Value>) -> Result<(), SpecError> {
    let unknown = spec
        .keys()
        .filter(|key| !allowed_keys().any(|allowed| allowed == key.as_str()));
    let problems: Vec<String> = unknown
        .map(|key| {
            match crate::config::keys()
                .iter()
                .any(|known| known.path.split('.').next() == Some(key))
            {
                true => format!("`{key}` is set by the server's configuration and cannot be set by a client"),
                false => format!("`{key}` is not a key{}", suggest::hint(key, allowed_keys())),
            }
        })
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(SpecError(problems))
    }
}

fn take_keep(spec: &mut Map<String, Value>) -> Result<Option<bool>, SpecError> {
    match spec.remove(KEEP_EMPTY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(keep)) => Ok(Some(keep)),
        Some(other) => Err(problem(format!("`{KEEP_EMPTY}` is {other}; allowed: true or false"))),
    }
}

/// The Go plugin takes its default for sizes and times of zero and below.
fn forget_nothings(spec: &mut Map<String, Value>) {
    for key in ["batch_size", "batch_size_bytes"] {
        if spec.get(key).and_then(Value::as_i64).is_some_and(|size| size <= 0) {
            spec.remove(key);
        }
    }
    let timeout = spec.get("batch_timeout").and_then(Value::as_str);
    let positive = timeout.map(|text| text.strip_prefix('-').unwrap_or(text).parse::<GoDuration>());
    if let (Some(text), Some(Ok(span))) = (timeout, positive)
        && (text.starts_with('-') || span.is_zero())
    {
        spec.remove("batch_timeout");
    }
}
