//! `pgflight plan`: decides who is asked, as `load` does, and shows the answer. Changes nothing.
//!
//! Without a server the question is answered in this process by the code that answers it in a server, but without starting
//! one: a server may create tables of its own.

use std::process::ExitCode;
use std::sync::Arc;

use super::terminal::{fail, print};
use crate::cli::{EXIT_FAILURE, EXIT_USAGE, PlanCommand};
use crate::client::connect::{DEFAULT_SERVER, Server};
use crate::client::plan::{self, PlanArgs, PlanError};
use crate::config::{Config, ProcessSource};
use crate::ingest::error::Error as IngestError;
use crate::ingest::guard::Guard;
use crate::model::migration::MigrationReport;
use crate::postgres::connect::ConnectError;
use crate::postgres::error::Error as PgError;
use crate::postgres::load::PgDestination;
use crate::server::flight::action;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
enum PlanCommandError {
    /// The client's part failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The connection settings are unusable.
    #[error(transparent)]
    Connection(#[from] PgError),
    /// The table cannot take the schema, or could not be looked at.
    #[error(transparent)]
    Core(#[from] IngestError),
}

impl PlanCommandError {
    fn exit_code(&self) -> u8 {
        let usage = match self {
            Self::Plan(error) => error.is_usage(),
            Self::Connection(PgError::Connect(error)) => matches!(**error, ConnectError::BadString(_)),
            Self::Connection(_) => false,
            Self::Core(_) => false,
        };
        if usage { EXIT_USAGE } else { EXIT_FAILURE }
    }
}

/// Exit code 0 with a plan, also with one that has nothing to do; 1 without, e.g. when it is refused; 2 for a wrong command line.
pub(super) fn run(command: PlanCommand, config: &Config) -> ExitCode {
    let (json, server) = (command.json, command.target.server());
    let args = match command.into_args(config) {
        Ok(args) => args,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    let report = match runtime.block_on(plan(&args, server, config)) {
        Ok(report) => report,
        Err(error) => return fail(error.exit_code(), &error),
    };
    match serde_json::to_string_pretty(&report) {
        Ok(text) if json => print(&(text + "\n")),
        _ => print(&plan::text(&report)),
    }
}

async fn plan(args: &PlanArgs, server: Option<Server>, config: &Config) -> Result<MigrationReport, PlanCommandError> {
    match server {
        Some(server) => Ok(plan::ask(args, server).await?),
        None if config.raw().connection_string.is_some() => plan_here(args, config).await,
        None => Ok(plan::ask(args, Server::at(DEFAULT_SERVER)).await?),
    }
}

async fn plan_here(args: &PlanArgs, config: &Config) -> Result<MigrationReport, PlanCommandError> {
    let destination = Guard::default().over(Arc::new(PgDestination::new(config, &ProcessSource)?));
    let schema = plan::schema(args).await?;
    Ok(action::migrate_here(&destination, config, &plan::body(args, &schema)?).await?)
}
