//! CSV lines as rows of texts: RFC 4180 quoting, any one-byte delimiter, header line or numbered columns.
//!
//! An empty field is NULL, unless another text was chosen to mean NULL. Lines without any character are skipped.

use std::io::BufRead;

use arrow::array::{Array, StringBuilder};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::TextOptions;
use super::error::SourceError;
use super::kind::Dialect;
use super::text::{BLOCK_BYTES, Block, TextRows};

pub(super) struct CsvRows {
    input: String,
    reader: Reader<Box<dyn BufRead + Send>>,
    names: Vec<String>,
    null_text: String,
    /// Without a header line the first record was read to count the columns.
    pending: Option<StringRecord>,
}

impl CsvRows {
    pub(super) fn open(
        input: String,
        bytes: Box<dyn BufRead + Send>,
        options: &TextOptions,
    ) -> Result<Self, SourceError> {
        let delimiter = options
            .delimiter
            .unwrap_or(if is_tab_separated(&input) { b'\t' } else { b',' });
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .from_reader(bytes);
        let mut first = StringRecord::new();
        let found = reader
            .read_record(&mut first)
            .map_err(|error| csv_error(&input, &error))?;
        let mut rows = Self {
            input,
            reader,
            names: Vec::new(),
            null_text: options.null_text.clone(),
            pending: None,
        };
        if options.header {
            rows.names = first.iter().map(str::to_owned).collect();
            rows.check_header()?;
        } else if found {
            rows.names = (1..=first.len()).map(|number| format!("column_{number}")).collect();
            rows.pending = Some(first);
        }
        Ok(rows)
    }

    fn check_header(&self) -> Result<(), SourceError> {
        for (index, name) in self.names.iter().enumerate() {
            let reason = if name.is_empty() {
                format!(
                    "column {} has no name in the header line; name it, or use --no-header",
                    index + 1
                )
            } else if self.names.iter().take(index).any(|earlier| earlier == name) {
                format!("the header names the column {name:?} twice; rename one")
            } else {
                continue;
            };
            return Err(SourceError::Line {
                input: self.input.clone(),
                line: 1,
                reason,
            });
        }
        Ok(())
    }

    fn read(&mut self, record: &mut StringRecord) -> Result<bool, SourceError> {
        if let Some(first) = self.pending.take() {
            *record = first;
            return Ok(true);
        }
        self.reader
            .read_record(record)
            .map_err(|error| csv_error(&self.input, &error))
    }
}

impl TextRows for CsvRows {
    fn dialect(&self) -> Dialect {
        Dialect::Csv
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn close_columns(&mut self, _columns: &[String], _sampled: usize) {
        // The header closed them, and a record of another length is an error already.
    }

    fn next_block(&mut self, max_rows: usize) -> Result<Option<Block>, SourceError> {
        let mut columns: Vec<StringBuilder> = self.names.iter().map(|_| StringBuilder::new()).collect();
        let mut lines = Vec::new();
        let mut byte_count = 0;
        let mut record = StringRecord::new();
        while lines.len() < max_rows && byte_count < BLOCK_BYTES && self.read(&mut record)? {
            lines.push(record.position().map_or(0, csv::Position::line));
            byte_count += record.as_slice().len();
            for (column, cell) in columns.iter_mut().zip(&record) {
                column.append_option((cell != self.null_text).then_some(cell));
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let columns = columns.iter_mut().map(StringBuilder::finish).collect::<Vec<_>>();
        debug_assert!(columns.iter().all(|column| column.len() == lines.len()));
        Ok(Some(Block { columns, lines }))
    }
}

fn is_tab_separated(input: &str) -> bool {
    let lower = input.to_ascii_lowercase();
    lower.ends_with(".tsv") || lower.ends_with(".tsv.gz") || lower.ends_with(".tsv.zst")
}

/// The sentence for a failed record; `csv`'s own text would show where, but not what to do.
fn csv_error(input: &str, error: &csv::Error) -> SourceError {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        ErrorKind::Io(io) => {
            return SourceError::Io {
                input: input.to_owned(),
                source: std::io::Error::new(io.kind(), io.to_string()),
            };
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => format!(
            "the line has {len} fields where {expected_len} are expected; check the delimiter (--delimiter) and quoting"
        ),
        ErrorKind::Utf8 { .. } => "the line is not valid UTF-8; convert the file to UTF-8 first".to_owned(),
        _ => error.to_string(),
    };
    SourceError::Line {
        input: input.to_owned(),
        line,
        reason,
    }
}
