//! `pgflight plan`: its flags as what `client::plan` takes.

use clap::Args;

use super::config_flags::ConfigFlags;
use super::input::InputFlags;
use super::target::{TableNameError, TargetFlags};
use crate::client::plan::PlanArgs;
use crate::config::Config;
use crate::model::ident::{Ident, TableName};

/// `pgflight plan`.
#[derive(Debug, Args)]
pub struct PlanCommand {
    /// File (or glob, or `-`) whose schema the table shall take, or a table of a Flight server: grpc://host:port/[schema/]table
    #[arg(value_name = "FILE|URI")]
    pub source: String,
    /// Where to.
    #[command(flatten)]
    pub target: TargetFlags,
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
    /// What the client needs to plan.
    ///
    /// # Errors
    /// A name that Postgres does not take.
    pub fn into_args(self, config: &Config) -> Result<PlanArgs, TableNameError> {
        let (schema, table) = self.target.table_name()?;
        let table = TableName {
            schema: schema.map(Ident::new).transpose()?,
            name: Ident::new(table)?,
        };
        let mut options = config.stream_options_set(&table);
        if !self.target.primary_key.is_empty() {
            options.primary_key = Some(self.target.primary_key);
        }
        Ok(PlanArgs {
            source: self.source,
            // A secret goes to the server that it was given for, and to no other.
            token: self.target.token.filter(|_| self.target.to.is_none()),
            ca_file: self.target.ca_file,
            format: self.input.format(),
            text: self.input.into_text(),
            table,
            options,
        })
    }
}
