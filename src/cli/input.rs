//! Flags about files, which `load` and `plan` share: their format, and how text is read.

use clap::{Args, ValueEnum};

use crate::formats::{Format, TextOptions};

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

/// How inputs are read.
#[derive(Debug, Args)]
pub struct InputFlags {
    /// Format, when neither content nor name tell
    #[arg(long, env = "PGFLIGHT_FORMAT", value_enum)]
    pub format: Option<FormatName>,
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
}

impl InputFlags {
    /// The format, where one was given.
    pub fn format(&self) -> Option<Format> {
        self.format.map(|format| match format {
            FormatName::Parquet => Format::Parquet,
            FormatName::Arrow => Format::ArrowFile,
            FormatName::Arrows => Format::ArrowStream,
            FormatName::Csv => Format::Csv,
            FormatName::Ndjson => Format::Ndjson,
        })
    }

    /// How text is read.
    pub fn into_text(self) -> TextOptions {
        let defaults = TextOptions::default();
        TextOptions {
            delimiter: self.delimiter,
            header: !self.no_header,
            null_text: self.null,
            infer_rows: self.infer_rows.unwrap_or(defaults.infer_rows),
            text_columns: self.text_columns,
            all_text: self.all_text,
            ..defaults
        }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("\\t" | "tab", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() => Ok(*byte),
        _ => Err("one ASCII character, or `\\t`".to_owned()),
    }
}
