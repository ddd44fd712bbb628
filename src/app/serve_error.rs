//! Why a server does not start, or did not end well.

use std::path::PathBuf;

use crate::embed::provider::ProviderError;
use crate::postgres::error::Error as PgError;
use crate::server::{GrpcError, UnusableTls};
use crate::telemetry::TelemetryError;

/// Why a server does not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {source}; choose another address or stop what uses it")]
    Bind {
        /// Configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A certificate or key cannot be read.
    #[error("{key} is {}, which cannot be read: {source}", .path.display())]
    Certificate {
        /// Configuration key.
        key: &'static str,
        /// Its value.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] UnusableTls),
    /// The connection settings are unusable.
    #[error(transparent)]
    Postgres(#[from] PgError),
    /// The gRPC server failed.
    #[error(transparent)]
    Grpc(#[from] GrpcError),
    /// The admin server failed.
    #[error("the admin server failed: {0}")]
    Admin(#[source] std::io::Error),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The embeddings service cannot be used as configured.
    #[error(transparent)]
    Embeddings(#[from] ProviderError),
    /// It would listen where anybody can reach it.
    #[error("{0}")]
    Exposed(String),
    /// A task of ours ended unexpectedly.
    #[error("internal error: {0}")]
    Task(#[from] tokio::task::JoinError),
}
