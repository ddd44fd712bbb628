//! Parquet and Arrow IPC: formats that bring their own schema.
//!
//! Only adapts the decoders of `parquet` and `arrow` to [`BatchReader`]; values are theirs, untouched.

use std::fs::File;
use std::io::{BufRead, BufReader};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::BatchReader;
use super::error::SourceError;
use super::format::Format;
use super::input::Counted;

/// Rows per batch decoded from Parquet: a few MiB for usual tables; wider rows are split again before sending.
const PARQUET_BATCH_ROWS: usize = 8192;

/// A self-describing file as batches.
pub(super) struct BinaryReader {
    input: String,
    format: Format,
    schema: SchemaRef,
    row_count: Option<u64>,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
}

impl BinaryReader {
    pub(super) fn parquet(input: String, file: File) -> Result<Self, SourceError> {
        let format = Format::Parquet;
        let fail = |source| decode_error(&input, format, source);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.into()))?;
        let row_count = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
        let reader = builder
            .with_batch_size(PARQUET_BATCH_ROWS)
            .build()
            .map_err(|error| fail(error.into()))?;
        let schema = reader.schema();
        Ok(Self {
            input,
            format,
            schema,
            row_count,
            batches: Box::new(reader),
        })
    }

    pub(super) fn arrow_file(input: String, file: Counted<File>) -> Result<Self, SourceError> {
        let format = Format::ArrowFile;
        let reader =
            FileReader::try_new(BufReader::new(file), None).map_err(|error| decode_error(&input, format, error))?;
        Ok(Self {
            format,
            schema: reader.schema(),
            row_count: None,
            batches: Box::new(reader),
            input,
        })
    }

    pub(super) fn arrow_stream(input: String, bytes: Box<dyn BufRead + Send>) -> Result<Self, SourceError> {
        let format = Format::ArrowStream;
        let reader = StreamReader::try_new(bytes, None).map_err(|error| decode_error(&input, format, error))?;
        Ok(Self {
            format,
            schema: reader.schema(),
            row_count: None,
            batches: Box::new(reader),
            input,
        })
    }
}

fn decode_error(input: &str, format: Format, source: ArrowError) -> SourceError {
    SourceError::Decode {
        input: input.to_owned(),
        format: format.name(),
        source,
    }
}

impl Iterator for BinaryReader {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(batch.map_err(|error| decode_error(&self.input, self.format, error)))
    }
}

impl BatchReader for BinaryReader {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn row_count(&self) -> Option<u64> {
        self.row_count
    }
}
