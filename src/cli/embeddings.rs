//! `pgflight embeddings ...`: what can be typed.

use clap::{Args, Subcommand};

use super::config_flags::ConfigFlags;
use crate::config::Flags;

/// `pgflight embeddings ...`.
#[derive(Debug, Subcommand)]
pub enum EmbeddingsCommand {
    /// Show how every embedded table stands
    Status(EmbeddingsStatus),
    /// Embed what waits, as a process of its own; any number of them may run
    Work(EmbeddingsWork),
    /// Mark the rows for embedding that a table held before it was configured
    Backfill(EmbeddingsTable),
    /// Backfill, remove chunks without a row, and embed rows again whose chunks are gone
    Reconcile(EmbeddingsTable),
    /// Try rows again that were given up
    RetryDead(EmbeddingsRetryDead),
    /// Send one text to the embeddings service and check what comes back
    Probe(EmbeddingsProbe),
}

/// `pgflight embeddings status`.
#[derive(Debug, Args)]
pub struct EmbeddingsStatus {
    /// Print the status as JSON [env: PGFLIGHT_JSON]
    #[arg(long, env = "PGFLIGHT_JSON", hide_env = true)]
    pub json: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings work`.
#[derive(Debug, Args)]
pub struct EmbeddingsWork {
    /// End when nothing waits any more; exit code 3 when rows were given up or still wait
    #[arg(long, env = "PGFLIGHT_DRAIN")]
    pub drain: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings backfill` and `reconcile`.
#[derive(Debug, Args)]
pub struct EmbeddingsTable {
    /// Only the table with this source_table_name
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: Option<String>,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings retry-dead`.
#[derive(Debug, Args)]
pub struct EmbeddingsRetryDead {
    /// Only the table with this source_table_name
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: Option<String>,
    /// Only rows that were given up for this reason, as `status` names it
    #[arg(long, value_name = "REASON")]
    pub code: Option<String>,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings probe`.
#[derive(Debug, Args)]
pub struct EmbeddingsProbe {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl EmbeddingsCommand {
    /// What the command line says about the configuration.
    pub fn config_flags(&self) -> Flags {
        match self {
            Self::Status(status) => status.config.flags(),
            Self::Work(work) => work.config.flags(),
            Self::Backfill(table) | Self::Reconcile(table) => table.config.flags(),
            Self::RetryDead(retry) => retry.config.flags(),
            Self::Probe(probe) => probe.config.flags(),
        }
    }
}
