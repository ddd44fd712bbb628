//! `pgflight load`: its flags as what `client::load` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::config_flags::ConfigFile;
use crate::client::connect::Server;
use crate::client::load::LoadArgs;
use crate::client::progress::Display;
use crate::client::put::PutRequest;
use crate::client::source::{Format, TextOptions};

/// Formats by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC file (Feather V2).
    Arrow,
    /// Arrow IPC stream.
    Arrows,
    /// Character-separated values.
    Csv,
    /// One JSON object per line.
    #[value(alias = "jsonl", alias = "json")]
    Ndjson,
}

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
    /// Format, when neither content nor name tell
    #[arg(long, env = "PGFLIGHT_FORMAT", value_enum)]
    pub format: Option<FormatName>,
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
    /// Key columns, in order, separated by commas
    #[arg(long, env = "PGFLIGHT_PRIMARY_KEY", value_delimiter = ',', value_name = "COLUMNS")]
    pub primary_key: Vec<String>,
    /// CSV field delimiter [default: comma, or tab for .tsv]
    #[arg(long, env = "PGFLIGHT_DELIMITER", value_parser = delimiter, value_name = "CHARACTER")]
    pub delimiter: Option<u8>,
    /// The first CSV line holds data, not names
    #[arg(long, env = "PGFLIGHT_NO_HEADER")]
    pub no_header: bool,
    /// CSV field that means NULL
    #[arg(long, env = "PGFLIGHT_NULL", default_value = "", value_name = "TEXT")]
    pub null: String,
    /// Columns that are text whatever they look like, separated by commas
    #[arg(long, env = "PGFLIGHT_TEXT_COLUMNS", value_delimiter = ',', value_name = "COLUMNS")]
    pub text_columns: Vec<String>,
    /// All columns of CSV and NDJSON are text
    #[arg(long, env = "PGFLIGHT_ALL_TEXT")]
    pub all_text: bool,
    /// Rows per file that are looked at to find types
    #[arg(long, env = "PGFLIGHT_INFER_ROWS", value_name = "ROWS")]
    pub infer_rows: Option<usize>,
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

fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("\\t" | "tab", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() => Ok(*byte),
        _ => Err("one ASCII character, or `\\t`".to_owned()),
    }
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
        let (schema, table) = match (self.table_schema, self.table.split_once('.')) {
            (Some(schema), _) => (Some(schema), self.table),
            (None, Some((schema, table))) => (Some(schema.to_owned()), table.to_owned()),
            (None, None) => (None, self.table),
        };
        let defaults = TextOptions::default();
        LoadArgs {
            inputs: self.inputs,
            format: self.format.map(|format| match format {
                FormatName::Parquet => Format::Parquet,
                FormatName::Arrow => Format::ArrowFile,
                FormatName::Arrows => Format::ArrowStream,
                FormatName::Csv => Format::Csv,
                FormatName::Ndjson => Format::Ndjson,
            }),
            text: TextOptions {
                delimiter: self.delimiter,
                header: !self.no_header,
                null_text: self.null,
                infer_rows: self.infer_rows.unwrap_or(defaults.infer_rows),
                text_columns: self.text_columns,
                all_text: self.all_text,
            },
            request: PutRequest {
                table,
                schema,
                write_mode: self.write_mode,
                commit: self.commit,
                migrate_mode: self.migrate_mode,
                on_bad_row: self.on_bad_row,
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
