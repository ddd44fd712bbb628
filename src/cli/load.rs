//! `pgflight load`: its flags as what `client::load` takes.

use std::path::PathBuf;

use clap::Args;

use super::config_flags::ConfigFile;
use super::input::{self, InputFlags};
use crate::client::connect::Server;
use crate::client::load::LoadArgs;
use crate::client::progress::Display;
use crate::client::put::PutRequest;

/// `pgflight load`.
#[derive(Debug, Args)]
pub struct LoadCommand {
    /// Files, globs, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub inputs: Vec<String>,
    /// Table, as `table` or `schema.table`; a dot in a name: give --table-schema too
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: String,
    /// Schema of the table; --table is then the bare name
    #[arg(long, env = "PGFLIGHT_TABLE_SCHEMA", value_name = "SCHEMA")]
    pub table_schema: Option<String>,
    /// Server to load through; without it, and with a connection string, this process serves itself
    #[arg(long, env = "PGFLIGHT_TO", value_name = "URI")]
    pub to: Option<String>,
    /// Bearer token for the server
    #[arg(long, env = "PGFLIGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// PEM file with the authorities to trust
    #[arg(long, env = "PGFLIGHT_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
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
    /// How many rows may be rejected before the load fails
    #[arg(long, env = "PGFLIGHT_MAX_REJECTS", value_name = "ROWS")]
    pub max_rejects: Option<u64>,
    /// Keep the values of rejected rows, too
    #[arg(long, env = "PGFLIGHT_REJECT_VALUES")]
    pub reject_values: bool,
    /// Key columns, in order, separated by commas
    #[arg(long, env = "PGFLIGHT_PRIMARY_KEY", value_delimiter = ',', value_name = "COLUMNS")]
    pub primary_key: Vec<String>,
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
    /// The server that was named, if one was.
    pub fn server(&self) -> Option<Server> {
        let uri = self.to.clone()?;
        Some(Server {
            uri,
            token: self.token.clone(),
            ca_file: self.ca_file.clone(),
        })
    }

    /// What the client needs to load.
    pub fn into_args(self) -> LoadArgs {
        let (schema, table) = input::table_name(self.table_schema, self.table);
        LoadArgs {
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
                max_rejects: self.max_rejects,
                reject_values: self.reject_values,
                primary_key: self.primary_key,
            },
            display: if self.quiet {
                Display::Silent
            } else {
                Display::for_stderr()
            },
            json: self.json,
        }
    }
}
