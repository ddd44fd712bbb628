//! `pgflight plan`: its flags as what `client::plan` takes.

use std::path::PathBuf;

use clap::Args;

use super::config_flags::ConfigFlags;
use super::input::{self, InputFlags};
use crate::client::connect::Server;
use crate::client::plan::PlanArgs;
use crate::config::Config;
use crate::model::ident::{Ident, IdentError, TableName};

/// `pgflight plan`.
#[derive(Debug, Args)]
pub struct PlanCommand {
    /// File (or glob, or `-`) whose schema the table shall take, or a table of a Flight server: grpc://host:port/[schema/]table
    #[arg(value_name = "FILE|URI")]
    pub source: String,
    /// Table, as `table` or `schema.table`; a dot in a name: give --table-schema too
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: String,
    /// Schema of the table; --table is then the bare name
    #[arg(long, env = "PGFLIGHT_TABLE_SCHEMA", value_name = "SCHEMA")]
    pub table_schema: Option<String>,
    /// Server to ask; without it, and with a connection string, this process looks itself
    #[arg(long, env = "PGFLIGHT_TO", value_name = "URI")]
    pub to: Option<String>,
    /// Bearer token for the server; with --to for that one only
    #[arg(long, env = "PGFLIGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// PEM file with the authorities to trust
    #[arg(long, env = "PGFLIGHT_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Key columns, in order, separated by commas
    #[arg(long, env = "PGFLIGHT_PRIMARY_KEY", value_delimiter = ',', value_name = "COLUMNS")]
    pub primary_key: Vec<String>,
    /// How the file is read.
    #[command(flatten)]
    pub input: InputFlags,
    /// Print the plan as JSON [env: PGFLIGHT_JSON]
    #[arg(long, env = "PGFLIGHT_JSON", hide_env = true)]
    pub json: bool,
    /// Configuration; its options of a stream (`--migrate-mode`, `--write-mode`, ...) are those of the load that is planned.
    #[command(flatten)]
    pub config: ConfigFlags,
}

impl PlanCommand {
    /// The server that was named, if one was.
    pub fn server(&self) -> Option<Server> {
        let uri = self.to.clone()?;
        Some(Server {
            uri,
            token: self.token.clone(),
            ca_file: self.ca_file.clone(),
        })
    }

    /// What the client needs to plan.
    ///
    /// # Errors
    /// A name that Postgres does not take.
    pub fn into_args(self, config: &Config) -> Result<PlanArgs, IdentError> {
        let (schema, table) = input::table_name(self.table_schema, self.table);
        let table = TableName {
            schema: schema.map(Ident::new).transpose()?,
            name: Ident::new(table)?,
        };
        let mut options = config.stream_options_set(&table);
        if !self.primary_key.is_empty() {
            options.primary_key = Some(self.primary_key);
        }
        Ok(PlanArgs {
            source: self.source,
            // A secret goes to the server that it was given for, and to no other.
            token: self.token.filter(|_| self.to.is_none()),
            ca_file: self.ca_file,
            format: self.input.format(),
            text: self.input.into_text(),
            table,
            options,
        })
    }
}
