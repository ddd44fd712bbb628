//! The command line: what can be typed, and what it means as data. Runs nothing.
//!
//! Exit codes of the program: 0 success; 1 the command failed; 2 the command line or the configuration is wrong; 130
//! interrupted. Messages for people go to standard error, one sentence each; results go to standard output.

mod config_flags;
mod embeddings;
mod input;
mod load;
mod plan;
mod serve;
mod spawned;
mod target;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use config_flags::{ConfigFile, ConfigFlags};
pub use embeddings::{
    EmbeddingsAdopt, EmbeddingsBackfill, EmbeddingsCommand, EmbeddingsMigrate, EmbeddingsProbe, EmbeddingsRetryDead,
    EmbeddingsStatus, EmbeddingsTable, EmbeddingsWork,
};
pub use load::LoadCommand;
pub use plan::PlanCommand;
pub use serve::{Network, ServeCommand};
pub use target::TargetFlags;

use crate::config::Flags;

/// Exit code of a command line or configuration that is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code of a command that failed.
pub const EXIT_FAILURE: u8 = 1;

/// A command line that was understood.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// Arguments that were ignored, one sentence each.
    pub warnings: Vec<String>,
}

/// Lands Arrow data in PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "pgflight", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage or configuration, 130 interrupted.")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve Arrow Flight and CloudQuery on one port
    Serve(ServeCommand),
    /// Load files or standard input into a table
    Load(Box<LoadCommand>),
    /// Check configuration, connection and privileges
    Check(CheckCommand),
    /// Show the DDL that a table needs for some data; change nothing
    Plan(Box<PlanCommand>),
    /// Show the configuration in force, or its schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keep vectors up to date: status, work, backfill, reconcile, retry-dead, probe
    #[command(subcommand)]
    Embeddings(Box<EmbeddingsCommand>),
    /// Ask a running server whether it is well (for container health checks)
    Health(HealthCommand),
    /// Start a private Postgres, load generated rows through Flight, and show what landed
    Demo(DemoCommand),
}

/// `pgflight config ...`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the JSON schema (draft 2020-12) of the configuration file
    Schema,
    /// Print the configuration in force as YAML, secrets redacted, with the origin of each value
    Print(ConfigFlags),
}

/// `pgflight check`.
#[derive(Debug, Args)]
pub struct CheckCommand {
    /// Print the report as JSON [env: PGFLIGHT_JSON]
    #[arg(long, env = "PGFLIGHT_JSON", hide_env = true)]
    pub json: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight health`.
#[derive(Debug, Args)]
pub struct HealthCommand {
    /// Ask only whether the process runs, not whether it can load
    #[arg(long, env = "PGFLIGHT_LIVE")]
    pub live: bool,
    /// Seconds to wait for the answer
    #[arg(long, env = "PGFLIGHT_TIMEOUT", default_value_t = 3, value_name = "SECONDS")]
    pub timeout: u64,
    /// Configuration; `admin_listen` says where to ask.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight demo`.
#[derive(Debug, Args)]
pub struct DemoCommand {
    /// Size of the TPC-H data: 1 is about 1 GB and 6 million order lines
    #[arg(long, env = "PGFLIGHT_SCALE_FACTOR", default_value_t = 0.1, value_name = "SF")]
    pub scale_factor: f64,
    /// Leave server and Postgres running until Ctrl-C
    #[arg(long, env = "PGFLIGHT_KEEP")]
    pub keep: bool,
}

/// Reads a command line, program name first.
///
/// # Errors
/// The exit code, after help, version or error were printed.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    spawned::parse(Line::command(), arguments).map_err(|error| {
        // Nothing is left to tell when standard error is closed.
        drop(error.print());
        if error.use_stderr() {
            ExitCode::from(EXIT_USAGE)
        } else {
            ExitCode::SUCCESS
        }
    })
}

fn from_matches(matches: &clap::ArgMatches, warnings: Vec<String>) -> Result<Invocation, clap::Error> {
    let line = Line::from_arg_matches(matches)?;
    Ok(Invocation {
        command: line.command,
        warnings,
    })
}

impl Command {
    /// What the command line says about the configuration; empty for commands that read none.
    pub fn config_flags(&self) -> Flags {
        match self {
            Self::Serve(serve) => serve.flags(),
            Self::Load(load) => load.config.flags(),
            Self::Check(check) => check.config.flags(),
            Self::Plan(plan) => plan.config.flags(),
            Self::Health(health) => health.config.flags(),
            Self::Embeddings(command) => command.config_flags(),
            Self::Config(ConfigCommand::Print(config)) => config.flags(),
            Self::Config(ConfigCommand::Schema) | Self::Demo(_) => Flags::default(),
        }
    }
}
