//! The destination of a server that has no connection string of its own: CloudQuery clients bring theirs, everything else is
//! told what is missing.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Config, Source};
use crate::ingest::error::{DestinationError, Error, Facts};
use crate::ingest::ports::Permit;
use crate::ingest::ports::{ConnectionFailure, ConnectionFault, Destination, Load, StreamState};
use crate::ingest::request::LoadRequest;
use crate::model::class::Class;
use crate::model::command::{DeleteRecords, DeleteStale, MigrateCommand};
use crate::model::ident::TableName;
use crate::model::migration::MigrationReport;
use crate::postgres::error::Error as PgError;

/// Whether the environment says which database is meant. A user's name alone would lead to whatever listens on this machine.
pub(super) fn names_database(source: &dyn Source) -> bool {
    let variables = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"];
    variables
        .iter()
        .any(|name| source.variable(name).is_some_and(|value| !value.is_empty()))
}

/// Refuses everything with the reason why there is no destination.
#[derive(Clone, Debug)]
pub(super) struct Unconfigured {
    /// What is wrong with the connection settings.
    reason: String,
}

impl Unconfigured {
    /// Says in the log that connection settings cannot be used, and why.
    pub(super) fn because(error: &PgError, config: &Config) -> Self {
        // As a plugin of the CloudQuery CLI the program starts without a configuration; the spec comes with Init. There it is
        // no warning: the CLI counts warnings into its sync summary. A plugin has no admin port.
        let says = "no connection_string: only CloudQuery clients that bring their own can write";
        match config.admin_listen() {
            Some(_) => tracing::warn!(%error, "{says}"),
            None => tracing::info!(%error, "{says}"),
        }
        Self {
            reason: error.to_string(),
        }
    }

    fn error(&self) -> Error {
        Error::Destination(DestinationError {
            class: Class::Refused,
            message: format!(
                "this server has no database of its own: {}; set connection_string",
                self.reason
            ),
            facts: Facts::default(),
            source: None,
        })
    }
}

#[async_trait]
impl Destination for Unconfigured {
    async fn open(&self, _: &Permit, _: LoadRequest) -> Result<Arc<dyn Load>, Error> {
        Err(self.error())
    }

    async fn open_stream(&self, _: &Permit, _: &str, _: &TableName) -> Result<StreamState, Error> {
        Err(self.error())
    }

    async fn stream_status(&self, _: &Permit, _: &str) -> Result<Option<StreamState>, Error> {
        Err(self.error())
    }

    async fn ready(&self) -> Result<(), Error> {
        Err(self.error())
    }

    fn is_configured(&self) -> bool {
        false
    }

    async fn test_connection(&self) -> Result<(), ConnectionFailure> {
        Err(ConnectionFailure {
            fault: ConnectionFault::Settings,
            description: self.error().to_string(),
        })
    }

    async fn migrate(&self, _: &Permit, _: MigrateCommand) -> Result<MigrationReport, Error> {
        Err(self.error())
    }

    async fn delete_stale(&self, _: &Permit, _: DeleteStale) -> Result<u64, Error> {
        Err(self.error())
    }

    async fn delete_records(&self, _: &Permit, _: DeleteRecords) -> Result<u64, Error> {
        Err(self.error())
    }

    fn connections(&self) -> usize {
        1
    }
}
