//! What can go wrong while reading input: one sentence each, with file, line and column, never a value.

use std::path::PathBuf;

use arrow::error::ArrowError;

/// Why input could not be read. `input` is the path as given, or `standard input`.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A glob or path matched nothing.
    #[error("no file matches {pattern:?}")]
    NothingMatches {
        /// The pattern as given.
        pattern: String,
    },
    /// A glob is malformed.
    #[error("{pattern:?} is not a valid glob")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// Standard input was named together with other inputs.
    #[error("standard input (\"-\") can only be loaded alone, because its rows cannot be looked at twice")]
    StdinNotAlone,
    /// The operating system refused to read.
    #[error("cannot read {input}: {source}{}", cut_off(source))]
    Io {
        /// Which input.
        input: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// What has to be read from its end, and comes as a stream, found no place to be kept.
    #[error(
        "{input} is read from its end, so it is first copied into the directory for temporary files, {}, and that failed: \
         {source}; name another directory in TMPDIR (in a container, mount one), or load it from a file",
        directory.display()
    )]
    Spool {
        /// Which input.
        input: String,
        /// The directory.
        directory: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A directory was named.
    #[error("{path:?} is a directory; name its files or use a glob such as {path:?}/*.parquet")]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The format could not be told.
    #[error("cannot tell the format of {input}; name it with --format (parquet, arrow, csv or ndjson)")]
    UnknownFormat {
        /// Which input.
        input: String,
    },
    /// The bytes are not what the format says.
    #[error("{input} cannot be read as {format}: {source}{}", cut_off(source))]
    Decode {
        /// Which input.
        input: String,
        /// The format it was read as.
        format: &'static str,
        /// The decoder's answer.
        source: ArrowError,
    },
    /// The bytes begin as the format says, and do not end so.
    #[error("{input} begins as {format} and does not end so: it may be cut off; copy or write it again")]
    CutOff {
        /// Which input.
        input: String,
        /// The format that its beginning shows.
        format: &'static str,
    },
    /// What it holds stands for more than is taken.
    #[error("{input} takes more memory than it may: {reason}")]
    TooMuch {
        /// Which input.
        input: String,
        /// What takes it.
        reason: String,
    },
    /// A text file has a malformed line.
    #[error("{input}, line {line}: {reason}")]
    Line {
        /// Which input.
        input: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A value does not fit the type that was inferred for its column.
    #[error(
        "{input}, line {line}, column {column:?}: the value cannot be kept exactly as {kind}, the type inferred from \
         the first {sampled} rows; look at more rows with --infer-rows, or load the column as text with \
         --text-columns {column}"
    )]
    Value {
        /// Which input.
        input: String,
        /// Line number, from 1.
        line: u64,
        /// Column name.
        column: String,
        /// The inferred type, in words.
        kind: &'static str,
        /// How many rows were looked at per file.
        sampled: usize,
    },
    /// Two inputs have different columns.
    #[error("{input} does not fit {first}: {reason}; all files of one load need the same columns")]
    Mismatch {
        /// The input that differs.
        input: String,
        /// The input that set the columns.
        first: String,
        /// Which column, and how it differs.
        reason: String,
    },
    /// A column that the user named is not there.
    #[error("--text-columns names the column {column:?}, which {input} does not have")]
    NoSuchColumn {
        /// Which input.
        input: String,
        /// The name as given.
        column: String,
    },
    /// A record batch could not be sent as Arrow IPC.
    #[error("a batch cannot be encoded as Arrow IPC: {0}")]
    Encode(#[source] ArrowError),
    /// The rows' producer (not a file) failed.
    #[error("the rows could not be produced: {0}")]
    Produce(#[source] ArrowError),
}

/// What a reader says who finds the end too early.
const ENDS: [&str; 6] = [
    "EOF",
    "end of file",
    "nexpected end",
    "failed to fill whole buffer",
    "incomplete frame",
    "incomplete deflate stream",
];

/// A hint where an error is about an end that came too early.
fn cut_off(error: &dyn std::error::Error) -> &'static str {
    let text = error.to_string();
    match ENDS.iter().any(|end| text.contains(end)) {
        true => "; it may be cut off",
        false => "",
    }
}

impl SourceError {
    /// Whether what was asked for is at fault, and not what was found.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NothingMatches { .. }
                | Self::Pattern { .. }
                | Self::StdinNotAlone
                | Self::Directory { .. }
                | Self::UnknownFormat { .. }
                | Self::NoSuchColumn { .. }
        )
    }
}
