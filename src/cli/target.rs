//! Where rows go: the table, and the server that was named for it, the same for every command that takes them.

use std::path::PathBuf;

use clap::Args;

use crate::client::connect::Server;
use crate::model::ident::IdentError;

/// Flags of a table and of a server.
#[derive(Debug, Args)]
pub struct TargetFlags {
    /// Table, as `table` or `schema.table`; a name with a dot in it goes in double quotes, or give --table-schema too
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
    ///
    /// # Errors
    /// More parts than two, an empty one, or a quote that is not closed.
    pub fn table_name(&self) -> Result<(Option<String>, String), TableNameError> {
        if let Some(schema) = &self.table_schema {
            return Ok((Some(schema.clone()), self.table.clone()));
        }
        let parts = parts(&self.table).ok_or_else(|| TableNameError::Quote {
            word: self.table.clone(),
        })?;
        match <[String; 2]>::try_from(parts) {
            Ok([schema, table]) if !schema.is_empty() && !table.is_empty() => Ok((Some(schema), table)),
            Ok(_) => Err(TableNameError::Empty {
                word: self.table.clone(),
            }),
            Err(mut parts) => match (parts.pop(), parts.len()) {
                (Some(table), 0) => Ok((None, table)),
                (_, others) => Err(TableNameError::Parts {
                    word: self.table.clone(),
                    count: others + 1,
                }),
            },
        }
    }
}

/// Why `--table` names no table.
#[derive(Debug, thiserror::Error)]
pub enum TableNameError {
    /// Too many dots.
    #[error(
        "--table {word:?} has {count} parts; write table or schema.table, with names that hold a dot in double quotes \
         (schema.\"a.b\"), or give the schema with --table-schema; which database it is, the server decides"
    )]
    Parts {
        /// The word as given.
        word: String,
        /// Its parts.
        count: usize,
    },
    /// Nothing before or behind a dot.
    #[error("--table {word:?} has an empty part; write table or schema.table")]
    Empty {
        /// The word as given.
        word: String,
    },
    /// A quote that is not closed, or text beside a quoted part.
    #[error(
        "--table {word:?} has a double quote that does not enclose a whole name; inside of quotes write two for one"
    )]
    Quote {
        /// The word as given.
        word: String,
    },
    /// A name that Postgres does not take.
    #[error(transparent)]
    Name(#[from] IdentError),
}

/// The parts of a name between dots; double quotes enclose one that holds dots. `None` where quotes make no sense.
fn parts(word: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = word;
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (part, behind) = rest.split_at(end);
                if part.contains('"') {
                    return None;
                }
                (part.to_owned(), behind)
            }
            Some(quoted) => enclosed(quoted)?,
        };
        parts.push(part);
        match behind.strip_prefix('.') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// A name up to its closing quote, and what is behind that.
fn enclosed(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}
