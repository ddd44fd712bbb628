//! `pgflight load`: its flags as what `client::load` takes.

use clap::Args;

use super::config_flags::ConfigFile;
use super::input::InputFlags;
use super::target::{TableNameError, TargetFlags};
use crate::client::load::LoadArgs;
use crate::client::progress::Display;
use crate::client::put::PutRequest;

/// `pgflight load`.
#[derive(Debug, Args)]
pub struct LoadCommand {
    /// Files, globs, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub inputs: Vec<String>,
    /// Where to.
    #[command(flatten)]
    pub target: TargetFlags,
    /// append, overwrite, overwrite-delete-stale or replace
    #[arg(long, env = "PGFLIGHT_WRITE_MODE")]
    pub write_mode: Option<String>,
    /// safe, forced or off
    #[arg(long, env = "PGFLIGHT_MIGRATE_MODE")]
    pub migrate_mode: Option<String>,
    /// atomic or batch
    #[arg(long, env = "PGFLIGHT_COMMIT")]
    pub commit: Option<String>,
    /// fail or reject
    #[arg(long, env = "PGFLIGHT_ON_BAD_ROW")]
    pub on_bad_row: Option<String>,
    /// What becomes of rows that a trigger of the table leaves out: fail or accept
    #[arg(long, env = "PGFLIGHT_ON_SUPPRESSED_ROW")]
    pub on_suppressed_row: Option<String>,
    /// How many rows may be rejected before the load fails
    #[arg(long, env = "PGFLIGHT_MAX_REJECTS", value_name = "ROWS")]
    pub max_rejects: Option<u64>,
    /// Keep the values of rejected rows, too
    #[arg(long, env = "PGFLIGHT_REJECT_VALUES")]
    pub reject_values: bool,
    /// How the inputs are read.
    #[command(flatten)]
    pub input: InputFlags,
    /// Print the summary as JSON
    #[arg(long, env = "PGFLIGHT_JSON")]
    pub json: bool,
    /// Show no progress
    #[arg(long, short, env = "PGFLIGHT_QUIET")]
    pub quiet: bool,
    /// Configuration of the server in this process.
    #[command(flatten)]
    pub config: ConfigFile,
}

impl LoadCommand {
    /// What the client needs to load.
    ///
    /// # Errors
    /// A word that names no table.
    pub fn into_args(self) -> Result<LoadArgs, TableNameError> {
        let (schema, table) = self.target.table_name()?;
        Ok(LoadArgs {
            inputs: self.inputs,
            format: self.input.format(),
            text: self.input.into_text(),
            request: PutRequest {
                table,
                schema,
                write_mode: self.write_mode,
                commit: self.commit,
                migrate_mode: self.migrate_mode,
                on_bad_row: self.on_bad_row,
                on_suppressed_row: self.on_suppressed_row,
                max_rejects: self.max_rejects,
                reject_values: self.reject_values,
                primary_key: self.target.primary_key,
            },
            display: if self.quiet {
                Display::Silent
            } else {
                Display::for_stderr()
            },
            json: self.json,
        })
    }
}
