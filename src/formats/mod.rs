//! Files, globs, standard input and bodies of requests as one bounded stream of record batches with one schema.
//!
//! [`open`] looks at every input once to settle the schema before a single row is sent, then [`Source`] reads them one
//! after the other on the thread that iterates it. At most a few batches are in memory at any time. Reading blocks:
//! iterate a source on a thread of its own, never on the async runtime.

mod binary;
mod body;
mod csv;
mod documents;
mod error;
mod format;
mod input;
mod kind;
mod ndjson;
mod options;
mod own_text;
mod parquet_bounds;
mod reader;
mod text;
mod thrift;
mod unify;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use body::{BodyFormat, Contents, open_body};
pub use error::SourceError;
pub use format::Format;
pub use input::{Input, expand};
pub use options::{Given, TextOptions};

use input::{Bytes, Counted};
use reader::BatchReader;
use text::{TextColumns, TypedText};

/// Rows to be sent: one schema and batches of it, read on demand.
pub struct Source {
    schema: SchemaRef,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, SourceError>> + Send>,
    hint: Option<String>,
}

impl Source {
    /// A source that is not files. Every batch must have `schema`.
    pub fn new(
        schema: SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch, SourceError>> + Send + 'static,
    ) -> Self {
        Self {
            schema,
            batches: Box::new(batches),
            hint: None,
        }
    }

    /// A sentence about what was read that is probably not what was meant.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Iterator for Source {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next()
    }
}

/// Opens `inputs` as one [`Source`]. `format` overrides what bytes and names say. `bytes_read` grows as inputs are
/// read (the look at the schemas is not counted). Also gives the number of rows, where all inputs tell it in advance.
pub fn open(
    inputs: Vec<Input>,
    format: Option<Format>,
    options: &TextOptions,
    bytes_read: &Arc<AtomicU64>,
) -> Result<(Source, Option<u64>), SourceError> {
    if let [single] = inputs.as_slice() {
        let reader = open_one(single, format, options, None, bytes_read)?;
        check_columns(&reader.schema(), &single.name())?;
        check_text_columns(options, reader.schema(), &single.name())?;
        let row_count = reader.row_count();
        return Ok((
            Source {
                schema: reader.schema(),
                hint: reader.hint(),
                batches: Box::new(reader),
            },
            row_count,
        ));
    }
    let settled = settle(&inputs, format, options)?;
    let files = Files {
        waiting: inputs.into(),
        current: None,
        format,
        options: options.clone(),
        columns: settled.columns,
        schema: Arc::clone(&settled.schema),
        bytes_read: Arc::clone(bytes_read),
    };
    Ok((
        Source {
            schema: settled.schema,
            batches: Box::new(files),
            hint: settled.hint,
        },
        settled.row_count,
    ))
}

fn open_one(
    input: &Input,
    format: Option<Format>,
    options: &TextOptions,
    columns: Option<&TextColumns>,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Box<dyn BatchReader>, SourceError> {
    let name = input.name();
    let opened = input::open(input, format, bytes_read)?;
    Ok(match (opened.format, opened.bytes) {
        (Format::Parquet, Bytes::Seekable(file)) => Box::new(binary::BinaryReader::parquet(name, file)?),
        (Format::ArrowFile, Bytes::Seekable(file)) => {
            let file = Counted {
                inner: file,
                counter: Arc::clone(bytes_read),
            };
            Box::new(binary::BinaryReader::arrow_file(name, file)?)
        }
        (Format::ArrowStream, Bytes::Sequential(bytes)) => Box::new(binary::BinaryReader::arrow_stream(name, bytes)?),
        (Format::Csv, Bytes::Sequential(bytes)) => {
            let rows = csv::CsvRows::open(name.clone(), bytes, options)?;
            Box::new(TypedText::open(name, rows, options, columns)?)
        }
        (Format::Ndjson, Bytes::Sequential(bytes)) => {
            let rows = ndjson::NdjsonRows::new(documents::Documents::lines(name.clone(), bytes));
            Box::new(TypedText::open(name, rows, options, columns)?)
        }
        (_, Bytes::Seekable(_) | Bytes::Sequential(_)) => return Err(SourceError::UnknownFormat { input: name }),
    })
}

/// What the first look at all inputs settled.
struct Settled {
    schema: SchemaRef,
    columns: Option<TextColumns>,
    row_count: Option<u64>,
    hint: Option<String>,
}

fn settle(inputs: &[Input], format: Option<Format>, options: &TextOptions) -> Result<Settled, SourceError> {
    let uncounted = Arc::new(AtomicU64::new(0));
    let mut settled: Option<Settled> = None;
    let first = inputs.first().map(Input::name).unwrap_or_default();
    for input in inputs {
        let reader = open_one(input, format, options, None, &uncounted)?;
        let mismatch = |reason| SourceError::Mismatch {
            input: input.name(),
            first: first.clone(),
            reason,
        };
        let (columns, row_count) = (reader.text_columns().cloned(), reader.row_count());
        // A text file without a single name says nothing about the columns of the others.
        if columns.as_ref().is_some_and(|columns| columns.columns.is_empty()) {
            continue;
        }
        settled = Some(match settled {
            None => Settled {
                schema: reader.schema(),
                columns,
                row_count,
                hint: reader.hint(),
            },
            Some(before) => match (before.columns, columns) {
                (Some(mut known), Some(columns)) => {
                    known.merge(&columns).map_err(mismatch)?;
                    Settled {
                        schema: known.schema(),
                        columns: Some(known),
                        row_count: None,
                        hint: before.hint,
                    }
                }
                (known, _) => Settled {
                    schema: Arc::new(unify::merge(&before.schema, &reader.schema()).map_err(mismatch)?),
                    columns: known,
                    row_count: before.row_count.zip(row_count).map(|(a, b)| a + b),
                    hint: before.hint,
                },
            },
        });
    }
    let settled = settled.ok_or_else(|| no_columns(&first))?;
    check_text_columns(options, Arc::clone(&settled.schema), &first)?;
    Ok(settled)
}

fn no_columns(input: &str) -> SourceError {
    SourceError::Line {
        input: input.to_owned(),
        line: 1,
        reason: "there are no columns: the input is empty".to_owned(),
    }
}

/// A table needs a column, and so does a file that is to be one.
fn check_columns(schema: &SchemaRef, input: &str) -> Result<(), SourceError> {
    match schema.fields().is_empty() {
        true => Err(no_columns(input)),
        false => Ok(()),
    }
}

fn check_text_columns(options: &TextOptions, schema: SchemaRef, input: &str) -> Result<(), SourceError> {
    match options
        .text_columns
        .iter()
        .find(|column| schema.field_with_name(column).is_err())
    {
        Some(column) => Err(SourceError::NoSuchColumn {
            input: input.to_owned(),
            column: column.clone(),
        }),
        None => Ok(()),
    }
}

/// Several inputs, one after the other, each opened when its turn comes.
struct Files {
    waiting: VecDeque<Input>,
    current: Option<Box<dyn BatchReader>>,
    format: Option<Format>,
    options: TextOptions,
    columns: Option<TextColumns>,
    schema: SchemaRef,
    bytes_read: Arc<AtomicU64>,
}

impl Files {
    fn advance(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some(reader) = &mut self.current {
                if let Some(batch) = reader.next() {
                    return unify::conform(&batch?, &self.schema)
                        .map(Some)
                        .map_err(SourceError::Encode);
                }
                self.current = None;
            }
            let Some(input) = self.waiting.pop_front() else {
                return Ok(None);
            };
            let columns = self.columns.as_ref();
            self.current = Some(open_one(&input, self.format, &self.options, columns, &self.bytes_read)?);
        }
    }
}

impl Iterator for Files {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

#[cfg(test)]
mod tests;
