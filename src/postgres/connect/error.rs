//! Why a connection could not be made, told apart by what a person does about it.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::model::class::Class;
use crate::postgres::error::driver::is_poolers;

/// A failed attempt to connect. Texts never hold a password or the whole connection string.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection string, or a file or variable it leads to, cannot be used.
    #[error("connection string: {0}")]
    BadString(String),
    /// The host's name has no address.
    #[error("no such host {host:?}: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nothing listens there, or the address cannot be reached.
    #[error("cannot reach Postgres at {address}: {reason}; check host and port, and that the server runs")]
    Unreachable {
        /// `host:port`, or the socket's path.
        address: String,
        /// What the operating system said.
        reason: String,
    },
    /// No answer in time.
    #[error("Postgres at {address} did not answer within {after:?}")]
    Timeout {
        /// `host:port`, or the socket's path.
        address: String,
        /// The `connect_timeout` in force.
        after: Duration,
    },
    /// Wrong password, unknown role, no password where one is needed, or refused by pg_hba.conf.
    #[error("Postgres at {address} refused the login: {message}")]
    Auth {
        /// `host:port`, or the socket's path.
        address: String,
        /// The server's or the driver's sentence.
        message: String,
    },
    /// The database does not exist.
    #[error("Postgres at {address}: {message}")]
    UnknownDatabase {
        /// `host:port`, or the socket's path.
        address: String,
        /// The server's sentence.
        message: String,
    },
    /// The server has no TLS, or its certificate is not trusted, or ours is not.
    #[error("TLS to Postgres at {address} failed: {reason}")]
    Tls {
        /// `host:port`, or the socket's path.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The server has no free connection.
    #[error("Postgres at {address} has no free connection: {message}")]
    TooManyConnections {
        /// `host:port`, or the socket's path.
        address: String,
        /// The server's sentence.
        message: String,
    },
    /// The server is starting, stopping or recovering.
    #[error("Postgres at {address} is not ready: {message}")]
    NotReady {
        /// `host:port`, or the socket's path.
        address: String,
        /// The server's sentence.
        message: String,
    },
    /// The session is not what `target_session_attrs` asks for.
    #[error("Postgres at {address} is not {wanted}, which target_session_attrs asks for")]
    WrongRole {
        /// `host:port`, or the socket's path.
        address: String,
        /// The attribute's value.
        wanted: &'static str,
    },
    /// The server refused for another reason.
    #[error("Postgres at {address} refused the connection: {message} (SQLSTATE {code})")]
    Refused {
        /// `host:port`, or the socket's path.
        address: String,
        /// SQLSTATE.
        code: String,
        /// The server's sentence.
        message: String,
    },
    /// The connection broke while it was being made.
    #[error("the connection to Postgres at {address} broke: {reason}")]
    Broken {
        /// `host:port`, or the socket's path.
        address: String,
        /// What was seen.
        reason: String,
    },
    /// Several hosts or addresses, and none could be used.
    #[error("no host could be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    AllFailed(Vec<ConnectError>),
}

/// What PgBouncer says of a server that cannot be had for now, under the one code that it has for everything.
const PASSES: [&str; 6] = [
    "cannot connect to server",
    "login has been failing",
    "query_wait_timeout",
    "no more connections allowed",
    "server conn crashed",
    "is shutting down",
];

impl ConnectError {
    /// The kind of failure; of several hosts, the last one's.
    pub fn class(&self) -> Class {
        match self.decisive() {
            Self::BadString(_) | Self::Auth { .. } | Self::Tls { .. } | Self::Refused { .. } => Class::Internal,
            Self::UnknownDatabase { .. } => Class::NotFound,
            Self::TooManyConnections { .. } => Class::Exhausted,
            _ => Class::Unavailable,
        }
    }

    /// The error that decides what to do: itself, or the last of several hosts'.
    pub fn decisive(&self) -> &Self {
        match self {
            Self::AllFailed(errors) => errors.last().map_or(self, Self::decisive),
            one => one,
        }
    }

    /// True when trying again later may succeed without anybody changing a setting.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.decisive(),
            Self::Unreachable { .. }
                | Self::Timeout { .. }
                | Self::TooManyConnections { .. }
                | Self::NotReady { .. }
                | Self::WrongRole { .. }
                | Self::Broken { .. }
                | Self::Dns { .. }
        )
    }

    /// Tells the driver's errors apart.
    pub(in crate::postgres) fn from_driver(address: &str, error: &tokio_postgres::Error) -> Self {
        let address = address.to_owned();
        if let Some(server) = error.as_db_error() {
            return Self::from_server(address, server);
        }
        let reason = innermost(error);
        // The driver does not show its error kinds; these texts are its `Display`.
        match error.to_string().as_str() {
            "error performing TLS handshake" => Self::Tls { address, reason },
            "authentication error" | "invalid configuration" => Self::Auth {
                address,
                message: reason,
            },
            "error connecting to server" => {
                let timed_out = error.source().and_then(|source| source.downcast_ref::<io::Error>());
                match timed_out.map(io::Error::kind) {
                    Some(io::ErrorKind::TimedOut) => Self::Unreachable {
                        address,
                        reason: "timed out".to_owned(),
                    },
                    _ => Self::Unreachable { address, reason },
                }
            }
            _ => Self::Broken { address, reason },
        }
    }

    fn from_server(address: String, server: &tokio_postgres::error::DbError) -> Self {
        let message = server.message().to_owned();
        let code = server.code();
        match code {
            _ if *code == SqlState::INVALID_CATALOG_NAME => Self::UnknownDatabase { address, message },
            _ if *code == SqlState::TOO_MANY_CONNECTIONS || *code == SqlState::CONFIGURATION_LIMIT_EXCEEDED => {
                Self::TooManyConnections { address, message }
            }
            _ if *code == SqlState::CANNOT_CONNECT_NOW
                || *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN =>
            {
                Self::NotReady { address, message }
            }
            _ if code.code().starts_with("28") => Self::Auth { address, message },
            _ if is_poolers(server) && PASSES.iter().any(|words| message.contains(words)) => {
                Self::NotReady { address, message }
            }
            _ => Self::Refused {
                address,
                code: code.code().to_owned(),
                message: match *code == SqlState::INSUFFICIENT_PRIVILEGE {
                    // The one thing that is asked before a session is there.
                    true => format!("{message}; grant connect on that database to the role"),
                    false => message,
                },
            },
        }
    }
}

/// The text of the last error in a chain of sources, which is the one that says something.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
