//! Which destination a session writes to, and what a test of its connection finds.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::ports::Destination;
use crate::model::class::Class;

/// Makes destinations for clients that bring their own settings. `S` is the settings' type, which the core does not know.
#[async_trait]
pub trait Destinations<S>: fmt::Debug + Send + Sync {
    /// A destination for these settings. Nothing is connected yet; clients with the same settings may share one.
    async fn connect(&self, settings: Arc<S>) -> Result<Arc<dyn Destination>, ConnectionFailure>;
}

/// Why a destination cannot be used, in words for the person who configured it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct ConnectionFailure {
    /// What is wrong.
    pub fault: ConnectionFault,
    /// One sentence; never holds a password.
    pub description: String,
}

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The connection string cannot be understood.
    Settings,
    /// Nothing answers, or TLS or the server's limits are in the way.
    Unreachable,
    /// The host's name has no address.
    Dns,
    /// The login was refused.
    Login,
    /// The database does not exist.
    Database,
    /// No schema to write to.
    Schema,
    /// Anything else.
    Other,
}

impl ConnectionFailure {
    /// The kind of failure.
    pub fn class(&self) -> Class {
        match self.fault {
            ConnectionFault::Settings => Class::BadRequest,
            ConnectionFault::Unreachable | ConnectionFault::Dns | ConnectionFault::Other => Class::Unavailable,
            ConnectionFault::Login => Class::Denied,
            ConnectionFault::Database | ConnectionFault::Schema => Class::NotFound,
        }
    }
}
