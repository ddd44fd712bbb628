//! CSV lines as rows of texts: RFC 4180 quoting, any one-byte delimiter, header line or numbered columns.
//!
//! An empty field is NULL, unless another text was chosen to mean NULL. Lines without any character are skipped.

use std::io::{BufRead, Read};

use arrow::array::{Array, StringBuilder};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::error::SourceError;
use super::kind::Dialect;
use super::options::TextOptions;
use super::text::{BLOCK_BYTES, Block, CELL_BYTES, MAX_COLUMNS, TextRows};

pub(super) struct CsvRows {
    input: String,
    reader: Reader<Box<dyn BufRead + Send>>,
    names: Vec<String>,
    null_text: String,
    /// One record ahead, because the last one tells whether a quote was left open.
    ahead: StringRecord,
    /// Whether the input ended.
    ended: bool,
}

/// Follows the input. Where a quote is open at its end, this closes it and belongs to the open field; else it is a record
/// of its own with one empty field.
const END_MARK: &[u8] = b"\n\"";

impl CsvRows {
    pub(super) fn open(
        input: String,
        bytes: Box<dyn BufRead + Send>,
        options: &TextOptions,
    ) -> Result<Self, SourceError> {
        let delimiter = options
            .delimiter
            .unwrap_or(if is_tab_separated(&input) { b'\t' } else { b',' });
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(Box::new(bytes.chain(END_MARK)) as Box<dyn BufRead + Send>);
        let mut rows = Self {
            input,
            reader,
            names: Vec::new(),
            null_text: options.null_text.clone(),
            ahead: StringRecord::new(),
            ended: false,
        };
        rows.read_ahead()?;
        if options.header {
            let mut header = StringRecord::new();
            if rows.next(&mut header)? {
                rows.names = header.iter().map(str::to_owned).collect();
            }
            rows.check_header()?;
        } else {
            let columns = 1..=rows.ahead.len();
            rows.names = columns.map(|number| format!("column_{number}")).collect();
            rows.check_columns()?;
        }
        Ok(rows)
    }

    fn check_header(&self) -> Result<(), SourceError> {
        self.check_columns()?;
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

    fn check_columns(&self) -> Result<(), SourceError> {
        match self.names.len() {
            columns if columns > MAX_COLUMNS => Err(SourceError::Line {
                input: self.input.clone(),
                line: 1,
                reason: format!("the line has {columns} columns; Postgres takes at most {MAX_COLUMNS}"),
            }),
            _ => Ok(()),
        }
    }

    /// Whether there was a record.
    fn read_ahead(&mut self) -> Result<bool, SourceError> {
        let read = self.reader.read_record(&mut self.ahead);
        read.map_err(|error| csv_error(&self.input, &error))
    }

    /// Takes the next record; false at the end.
    fn next(&mut self, record: &mut StringRecord) -> Result<bool, SourceError> {
        if self.ended {
            return Ok(false);
        }
        std::mem::swap(record, &mut self.ahead);
        if self.read_ahead()? {
            return Ok(true);
        }
        self.ended = true;
        match record.len() == 1 && record.iter().all(str::is_empty) {
            true => Ok(false),
            false => Err(self.at(
                record,
                "a quote is opened here and never closed; the file may be cut off".to_owned(),
            )),
        }
    }

    fn check_length(&self, record: &StringRecord) -> Result<(), SourceError> {
        let (found, expected) = (record.len(), self.names.len());
        if found == expected {
            return Ok(());
        }
        let reason = format!(
            "the line has {found} fields where {expected} are expected; check the delimiter (--delimiter) and quoting"
        );
        Err(self.at(record, reason))
    }

    fn at(&self, record: &StringRecord, reason: String) -> SourceError {
        SourceError::Line {
            input: self.input.clone(),
            line: record.position().map_or(0, csv::Position::line),
            reason,
        }
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
        while lines.len() < max_rows && byte_count < BLOCK_BYTES && self.next(&mut record)? {
            self.check_length(&record)?;
            lines.push(record.position().map_or(0, csv::Position::line));
            byte_count += record.as_slice().len() + record.len() * CELL_BYTES;
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
        ErrorKind::Utf8 { .. } => "the line is not valid UTF-8; convert the file to UTF-8 first".to_owned(),
        _ => error.to_string(),
    };
    SourceError::Line {
        input: input.to_owned(),
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a text, or why they cannot be read.
    fn count(content: &'static str) -> Result<usize, SourceError> {
        let options = TextOptions::default();
        let mut rows = CsvRows::open("x.csv".to_owned(), Box::new(content.as_bytes()), &options)?;
        let mut found = 0;
        while let Some(block) = rows.next_block(100)? {
            found += block.lines.len();
        }
        Ok(found)
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_with_its_line() {
        for (content, line) in [
            ("id,name\n1,\"abc\n2,d\n", 2),
            ("id,name\n1,x\n2,\"", 3),
            ("a\n\"", 2),
            ("\"a\n1\n", 1),
        ] {
            let error = count(content).unwrap_err().to_string();
            let place = format!("line {line}");
            assert!(
                error.contains(&place) && error.contains("never closed"),
                "{content:?}: {error}"
            );
        }
        for (content, rows) in [
            ("", 0),
            ("a\n", 0),
            ("a\n\"\"\n", 1),
            ("a\n\"x\"", 1),
            ("a,b\n1,\"x\ny\"\n\n", 1),
            ("a\n1\n\"\"", 2),
        ] {
            assert_eq!(count(content).unwrap(), rows, "{content:?}");
        }
    }
}
