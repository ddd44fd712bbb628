//! What `pgflight check` found, for people and as JSON.

use std::fmt;

use serde::Serialize;

/// What stands between us and the server, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolerFound {
    /// None.
    None,
    /// Configured as a pooler that keeps a server connection for a session.
    Session,
    /// A pooler that keeps a server connection for a transaction only.
    Transaction,
    /// One whose mode cannot be seen from here; it is taken for one in transaction mode.
    #[default]
    Unknown,
}

/// The report. It has no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CheckReport {
    /// The connection string without passwords.
    pub connection: String,
    /// `host:port`, or the socket's path, that answered.
    pub address: String,
    /// The server's version.
    pub server_version: String,
    /// `sslmode` in force.
    pub sslmode: String,
    /// Whether this connection is encrypted.
    pub encrypted: bool,
    /// Whether the server's certificate was checked.
    pub certificate_verified: bool,
    /// Database.
    pub database: String,
    /// Role that is logged in.
    pub role: String,
    /// Schema that takes tables named without one.
    pub schema: Option<String>,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Whether the role may create schemas in the database.
    pub may_create_schema: bool,
    /// Whether the role may create temporary tables in the database.
    pub may_create_temporary: bool,
    /// Whether the role may create tables in `schema`.
    pub may_create_table: bool,
    /// Version of pgvector in the database.
    pub vector_installed: Option<String>,
    /// Version of pgvector that could be installed.
    pub vector_available: Option<String>,
    /// What stands between.
    pub pooler: PoolerFound,
    /// Server settings that matter to loads, `name=value`.
    pub settings: Vec<String>,
    /// What makes loads impossible, each with its remedy.
    pub problems: Vec<String>,
    /// What may surprise.
    pub notes: Vec<String>,
}

impl CheckReport {
    /// True when loads can work.
    pub fn is_usable(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let tls = match (self.encrypted, self.certificate_verified) {
            (true, true) => "yes, certificate verified",
            (true, false) => "yes, certificate not verified",
            (false, _) => "no",
        };
        let vector = match (&self.vector_installed, &self.vector_available) {
            (Some(version), _) => format!("{version} installed"),
            (None, Some(version)) => format!("not installed ({version} available)"),
            (None, None) => "not available".to_owned(),
        };
        let pooler = match self.pooler {
            PoolerFound::None => "none seen",
            PoolerFound::Session => "session mode (configured)",
            PoolerFound::Transaction => "transaction mode",
            PoolerFound::Unknown => "one of unknown mode, taken for transaction mode",
        };
        let role = format!("{}{}", self.role, if self.in_recovery { " (on a standby)" } else { "" });
        for (name, value) in [
            (
                "server",
                format!("PostgreSQL {} at {}", self.server_version, self.address),
            ),
            ("encrypted", format!("{tls} (sslmode={})", self.sslmode)),
            ("database", self.database.clone()),
            ("role", role),
            ("schema", self.schema.clone().unwrap_or_else(|| "none".to_owned())),
            ("may create tables", yes(self.may_create_table).to_owned()),
            ("may create schemas", yes(self.may_create_schema).to_owned()),
            ("may create temp.", yes(self.may_create_temporary).to_owned()),
            ("pgvector", vector),
            ("pooler", pooler.to_owned()),
            ("settings", self.settings.join(" ")),
        ] {
            writeln!(f, "{name:<19} {value}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        writeln!(f, "{}", if self.is_usable() { "usable" } else { "not usable" })
    }
}
