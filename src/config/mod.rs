//! Configuration: what was typed ([`RawConfig`]) becomes a [`Config`] whose rules hold.
//!
//! Order: file, environment and flags are merged (`layers`), references expanded (`expand`), the result checked against
//! the schema (`shape`), read into [`RawConfig`], and checked for what a schema cannot say (`rules`). All problems found in
//! a step are reported together. This module starts nothing, connects to nothing and logs nothing.

mod access;
pub mod dsn;
mod embed;
mod error;
mod expand;
mod layers;
mod listen;
mod print;
mod raw;
mod reference;
mod rules;
mod schema;
mod secret;
mod shape;
mod source;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

pub use error::{ConfigError, Problem};
pub use layers::{DEFAULT_FILE, FILE_VARIABLE, Flags, Origin};
pub use listen::{ADDRESS_FORM, ListenAddress};
pub use raw::{
    AllowClient, Auth, AuthRule, AuthToken, Cloudquery, EmbeddingMode, EmbeddingProvider, Embeddings, FlightSql,
    GroupCommit, Jwt, JwtAlgorithm, Limits, Log, LogFormat, LogLevel, OnConfigChange, OnTimeout, OpenaiEmbedding,
    PgvectorConfig, PgvectorTable, Pool, Pooler, QueryAccess, RawConfig, Session, Shutdown, TextSplitter, Tls, Traces,
    VectorIndex,
};
pub use reference::reference_markdown;
pub use schema::{Key, Kind, json_schema, keys};
pub use secret::{ConnectionString, REDACTED, Secret};
pub use source::{FixedSource, ProcessSource, Source, WithoutLogin};

use crate::model::embed::EmbedTable;
use crate::model::ident::{Ident, TableName};
use crate::model::options::StreamOptions;
use crate::model::rights::Rules;
use layers::Layers;

/// Key of the embedded tables, which a client brings as a whole or not at all.
const PGVECTOR_CONFIG: &str = "pgvector_config";

/// A configuration that was checked: addresses parse, names are identifiers, limits fit each other.
#[derive(Clone, PartialEq)]
pub struct Config {
    raw: RawConfig,
    /// Only what was set, so that a client's spec can be laid over it.
    tree: Map<String, Value>,
    listen: ListenAddress,
    admin_listen: Option<ListenAddress>,
    http_listen: Option<ListenAddress>,
    schema: Option<Ident>,
    state_schema: Ident,
    embed_tables: Vec<EmbedTable>,
    rights: Rules,
}

/// A configuration with the story of its making.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Things that are odd but not wrong, one sentence each.
    pub warnings: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Reads file, environment and flags.
    ///
    /// # Errors
    /// [`ConfigError`]; all problems of keys at once.
    pub fn read(source: &dyn Source, flags: &Flags) -> Result<Self, ConfigError> {
        let mut layers = Layers::read(source, flags)?;
        let result = if layers.problems.is_empty() {
            Config::from_tree(layers.tree)
        } else {
            shape::check(&schema::SCHEMA, &Value::Object(layers.tree), "", &mut layers.problems);
            Err(layers.problems)
        };
        match result {
            Ok(config) => Ok(Self {
                config,
                file: layers.file,
                warnings: layers.warnings,
                origins: layers.origins,
            }),
            Err(mut problems) => {
                for problem in &mut problems {
                    let origin = Layers::origin_of(&layers.origins, &problem.key);
                    problem.origin = origin.map(ToString::to_string);
                }
                Err(ConfigError::Invalid(problems))
            }
        }
    }

    /// The effective configuration as YAML: defaults included, secrets redacted, origins as comments.
    pub fn to_yaml(&self) -> String {
        print::yaml(&self.config.raw, &self.origins)
    }

    /// Where a key was set; `None` for a default.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        Layers::origin_of(&self.origins, key)
    }
}

impl Config {
    /// A configuration from JSON, as a CloudQuery client sends it. References (`${...}`) are not expanded, because a client
    /// must not read the server's environment.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn from_json(spec: &Value) -> Result<Self, ConfigError> {
        Self::default().with_spec(spec)
    }

    /// This configuration with a client's spec laid over it, mapping by mapping.
    ///
    /// Which keys a client may set is the caller's decision; it filters `spec` before.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn with_spec(&self, spec: &Value) -> Result<Self, ConfigError> {
        let Value::Object(spec) = spec else {
            let problem = Problem::new("spec", "is not a mapping of keys to values");
            return Err(ConfigError::Invalid(vec![problem]));
        };
        let mut tree = self.tree.clone();
        let spec = layers::without_nulls(spec.clone());
        // As a whole: the server's key must not go to an address that a client names.
        if spec.contains_key(PGVECTOR_CONFIG) {
            tree.remove(PGVECTOR_CONFIG);
        }
        layers::overlay(&mut tree, spec);
        Self::from_tree(tree).map_err(ConfigError::Invalid)
    }

    /// The same configuration without embeddings.
    ///
    /// # Errors
    /// None that the configuration did not have before.
    pub fn without_embeddings(&self) -> Result<Self, ConfigError> {
        let mut tree = self.tree.clone();
        tree.remove(PGVECTOR_CONFIG);
        Self::from_tree(tree).map_err(ConfigError::Invalid)
    }

    /// The same configuration for a server that only this process calls, on a loopback address: it asks nobody who calls, and whoever
    /// has the configuration has the database's login.
    ///
    /// # Errors
    /// None that the configuration did not have before.
    pub fn for_this_process(&self) -> Result<Self, ConfigError> {
        let mut tree = self.tree.clone();
        for key in ["auth", "tls", "http_listen"] {
            tree.remove(key);
        }
        Self::from_tree(tree).map_err(ConfigError::Invalid)
    }

    fn from_tree(mut tree: Map<String, Value>) -> Result<Self, Vec<Problem>> {
        // The Go plugin reads this one key without regard to case.
        if let Some(Value::String(level)) = tree.get_mut("pgx_log_level") {
            level.make_ascii_lowercase();
        }
        let value = Value::Object(tree.clone());
        let mut problems = Vec::new();
        shape::check(&schema::SCHEMA, &value, "", &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let raw = serde_json::from_value(value)
            .map_err(|error| vec![Problem::new("configuration", format!("does not fit: {error}"))])?;
        rules::checked(raw, tree)
    }

    /// Keys that were set to something else, or in one of both only.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
        leaves("", &self.tree, &mut ours);
        leaves("", &other.tree, &mut theirs);
        let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differ = all.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
        differ.cloned().collect()
    }

    /// Every key as it was set or defaulted.
    pub fn raw(&self) -> &RawConfig {
        &self.raw
    }

    /// Address of the gRPC port.
    pub fn listen(&self) -> &ListenAddress {
        &self.listen
    }

    /// Address of the admin port; `None` when it is off.
    pub fn admin_listen(&self) -> Option<&ListenAddress> {
        self.admin_listen.as_ref()
    }

    /// Address of the HTTP port for rows; `None` when it is off.
    pub fn http_listen(&self) -> Option<&ListenAddress> {
        self.http_listen.as_ref()
    }

    /// Addresses where rows can be written and read, with their keys.
    pub fn doors(&self) -> impl Iterator<Item = (&'static str, &ListenAddress)> {
        let http = self.http_listen.iter().map(|address| ("http_listen", address));
        std::iter::once(("listen", &self.listen)).chain(http)
    }

    /// Schema of tables named without one; `None` means the first of `search_path`.
    pub fn schema(&self) -> Option<&Ident> {
        self.schema.as_ref()
    }

    /// Where spans are sent, if anywhere.
    pub fn traces_url(&self) -> Option<String> {
        let endpoint = self.raw.traces.endpoint.as_deref()?;
        rules::traces_url(endpoint).ok()
    }

    /// Whether callers are asked who they are.
    pub fn is_authenticating(&self) -> bool {
        let client_ca = self.raw.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        !self.raw.auth.tokens.is_empty() || self.raw.auth.jwt.is_some() || client_ca
    }

    /// What a server with this configuration lays open, one sentence each.
    ///
    /// # Errors
    /// Why it must not listen at all.
    pub fn exposure(&self) -> Result<Vec<String>, String> {
        let open = self.doors().find(|(_, address)| !address.is_local());
        if let Some((key, address)) = open.filter(|_| !self.is_authenticating() && !self.raw.insecure) {
            return Err(format!(
                "`{key}` is {address}, which other machines can reach, and nobody is asked who calls: configure auth.tokens, auth.jwt or tls.client_ca, listen on a loopback address or a unix socket, or say that you want this with insecure: true (PGFLIGHT_INSECURE=true)"
            ));
        }
        Ok(rules::warnings(self))
    }

    /// Who may do what.
    pub fn rights(&self) -> &Rules {
        &self.rights
    }

    /// What clients' own statements of SQL may do.
    pub fn query_access(&self) -> QueryAccess {
        self.raw().flight_sql.queries
    }

    /// Schema of our own tables.
    pub fn state_schema(&self) -> &Ident {
        &self.state_schema
    }

    /// The same configuration for other embedded tables, as when one is built under another name.
    #[must_use]
    pub fn with_embed_tables(&self, embed_tables: Vec<EmbedTable>) -> Self {
        Self {
            embed_tables,
            ..self.clone()
        }
    }

    /// The tables whose rows are embedded.
    pub fn embed_tables(&self) -> &[EmbedTable] {
        &self.embed_tables
    }

    /// The server's defaults of the per-stream options; `commit` stays unset when it was not configured.
    pub fn stream_defaults(&self) -> StreamOptions {
        let raw = &self.raw;
        StreamOptions {
            write_mode: Some(raw.write_mode),
            migrate_mode: Some(raw.migrate_mode),
            migrate_rewrite: Some(raw.migrate_rewrite),
            forced_strategy: Some(raw.forced_strategy),
            nullability: Some(raw.nullability),
            create_table: Some(raw.create_table.clone()),
            commit: raw.commit,
            on_bad_row: Some(raw.on_bad_row),
            on_suppressed_row: Some(raw.on_suppressed_row),
            max_rejects: Some(raw.max_rejects),
            reject_values: Some(raw.reject_values),
            nul_bytes: Some(raw.nul_bytes),
            type_profile: Some(raw.type_profile),
            acks: Some(raw.acks),
            lanes: Some(raw.lanes),
            skip_unchanged: Some(raw.skip_unchanged),
            batch_size: Some(raw.batch_size),
            batch_size_bytes: Some(raw.batch_size_bytes),
            lock_timeout: Some(raw.lock_timeout),
            statement_timeout: Some(raw.statement_timeout),
            ..StreamOptions::default()
        }
    }

    /// What somebody has set about a stream into this table, the defaults left out: for a request to another server.
    pub fn stream_options_set(&self, table: &TableName) -> StreamOptions {
        let defaults = self.stream_defaults();
        let mut top = Map::new();
        for name in defaults.names_set() {
            if let Some(value) = self.tree.get(name) {
                top.insert(name.to_owned(), value.clone());
            }
        }
        // Every value was checked when the configuration was made.
        self.table_options(table)
            .merge_over(StreamOptions::from_json(&top).unwrap_or_default())
    }

    /// What the configuration says about a stream into this table: `tables.<schema>.<name>` over `tables.<name>` over the
    /// server's defaults.
    pub fn stream_options(&self, table: &TableName) -> StreamOptions {
        self.table_options(table).merge_over(self.stream_defaults())
    }

    fn table_options(&self, table: &TableName) -> StreamOptions {
        let tables = &self.raw.tables;
        let schema = table.schema.as_ref().or(self.schema.as_ref());
        let qualified = schema.and_then(|schema| tables.get(&format!("{}.{}", schema.as_str(), table.name.as_str())));
        let bare = tables.get(table.name.as_str());
        let options = qualified.cloned().unwrap_or_default();
        options.merge_over(bare.cloned().unwrap_or_default())
    }
}

/// Values below a mapping, by their full path.
fn leaves<'a>(path: &str, tree: &'a Map<String, Value>, found: &mut BTreeMap<String, &'a Value>) {
    for (name, value) in tree {
        let path = schema::join(path, name);
        match value {
            Value::Object(inner) => leaves(&path, inner, found),
            value => {
                found.insert(path, value);
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        match rules::checked(RawConfig::default(), Map::new()) {
            Ok(config) => config,
            // A test builds the default configuration, so this is never reached.
            Err(problems) => unreachable!("the default configuration is not valid: {problems:?}"),
        }
    }
}

impl fmt::Debug for Config {
    /// The raw keys only: they redact themselves, the tree of what was set would not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Config").field(&self.raw).finish()
    }
}
