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
    Backfill(EmbeddingsBackfill),
    /// Backfill, remove chunks without a row, and embed rows again whose chunks are gone
    Reconcile(EmbeddingsTable),
    /// Try rows again that were given up
    RetryDead(EmbeddingsRetryDead),
    /// Embed a table's rows with another model, beside the vectors that serve, and swap the tables
    Migrate(EmbeddingsMigrate),
    /// Take over a vector table that CloudQuery's own plugin made
    Adopt(EmbeddingsAdopt),
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

/// `pgflight embeddings backfill`.
#[derive(Debug, Args)]
pub struct EmbeddingsBackfill {
    /// Only the table with this source_table_name
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: Option<String>,
    /// Only rows for which this SQL condition on the table `t` is true, as in --where "t.id > 1000"; needs --table
    #[arg(long = "where", value_name = "CONDITION", requires = "table")]
    pub condition: Option<String>,
    /// At most so many of the rows that need it; needs --table
    #[arg(long, value_name = "ROWS", requires = "table")]
    pub limit: Option<u64>,
    /// Only say how many rows and tokens it would be
    #[arg(long)]
    pub dry_run: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings migrate`.
#[derive(Debug, Args)]
pub struct EmbeddingsMigrate {
    /// Only the table with this source_table_name
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: Option<String>,
    /// Do it; without this, only say what would be done and what it would cost
    #[arg(long)]
    pub confirm: bool,
    /// Swap the tables although rows were given up; they have no vectors then
    #[arg(long)]
    pub incomplete: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings adopt`.
#[derive(Debug, Args)]
pub struct EmbeddingsAdopt {
    /// Only the table with this source_table_name
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: Option<String>,
    /// Keep vectors whose chunks are those of the present texts: they are of the configured model
    #[arg(long)]
    pub trust: bool,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    pub confirm: bool,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFlags,
}

/// `pgflight embeddings reconcile`.
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
            Self::Backfill(backfill) => backfill.config.flags(),
            Self::Reconcile(table) => table.config.flags(),
            Self::Migrate(migrate) => migrate.config.flags(),
            Self::Adopt(adopt) => adopt.config.flags(),
            Self::RetryDead(retry) => retry.config.flags(),
            Self::Probe(probe) => probe.config.flags(),
        }
    }
}
