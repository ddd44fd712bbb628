//! `pgflight load`: decides where to load to, then lets the client do it.
//!
//! An address that was given wins; without one a configured connection string means a server of our own in this process,
//! for the time of the load, on a free port of the loopback interface; without either it is the default server.

use std::sync::Arc;

use serde_json::json;

use super::serve::{self, ServeError};
use crate::client::connect::{DEFAULT_SERVER, Endpoint, Server};
use crate::client::load::{self, LoadArgs, LoadError, LoadSummary};
use crate::config::{Config, ConfigError};

/// Why a load did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoadCommandError {
    /// The load itself failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The server in this process could not be configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server in this process did not start or failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl LoadCommandError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Load(error) => error.exit_code(),
            Self::Config(_) => 2,
            Self::Serve(_) => 1,
        }
    }
}

/// Loads to `to`; without it to a server in this process if `config` names a database, else to the default address.
pub async fn run(args: LoadArgs, to: Option<Server>, config: &Config) -> Result<LoadSummary, LoadCommandError> {
    match to {
        Some(server) => Ok(load::run(args, Endpoint::Server(server)).await?),
        None if config.raw().connection_string.is_some() => load_in_process(args, config).await,
        None => Ok(load::run(args, Endpoint::Server(Server::at(DEFAULT_SERVER))).await?),
    }
}

async fn load_in_process(args: LoadArgs, config: &Config) -> Result<LoadSummary, LoadCommandError> {
    let private = config
        .for_this_process()?
        .with_spec(&json!({"listen": "127.0.0.1:0", "admin_listen": "off"}))?;
    let server = serve::start(private, Arc::new(String::new)).await?;
    let port = server.grpc().map(|bound| bound.port()).unwrap_or_default();
    let outcome = load::run(args, Endpoint::Server(Server::at(format!("grpc://127.0.0.1:{port}")))).await;
    // The load is over: committed, refused, or abandoned and being rolled back, for which the shutdown waits.
    let stopped = server.shutdown(std::future::pending()).await;
    let summary = outcome?;
    stopped?;
    Ok(summary)
}
