//! Where rows go: the table, and the server that was named for it, the same for every command that takes them.

use std::path::PathBuf;

use clap::Args;

use crate::client::connect::Server;

/// Flags of a table and of a server.
#[derive(Debug, Args)]
pub struct TargetFlags {
    /// Table, as `table` or `schema.table`; a dot in a name: give --table-schema too
    #[arg(long, env = "PGFLIGHT_TABLE")]
    pub table: String,
    /// Schema of the table; --table is then the bare name
    #[arg(long, env = "PGFLIGHT_TABLE_SCHEMA", value_name = "SCHEMA")]
    pub table_schema: Option<String>,
    /// Server to use; without it, and with a connection string, this process does it itself
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
}

impl TargetFlags {
    /// The server that was named, if one was.
    pub fn server(&self) -> Option<Server> {
        let uri = self.to.clone()?;
        Some(Server {
            uri,
            token: self.token.clone(),
            ca_file: self.ca_file.clone(),
        })
    }

    /// `table`, `schema.table`, or a schema given by itself and then a bare name: schema and table.
    pub fn table_name(&self) -> (Option<String>, String) {
        match (&self.table_schema, self.table.split_once('.')) {
            (Some(schema), _) => (Some(schema.clone()), self.table.clone()),
            (None, Some((schema, table))) => (Some(schema.to_owned()), table.to_owned()),
            (None, None) => (None, self.table.clone()),
        }
    }
}
