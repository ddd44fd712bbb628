//! Parquet and Arrow IPC: formats that bring their own schema.
//!
//! Only adapts the decoders of `parquet` and `arrow` to [`BatchReader`]; values are theirs, untouched. The logical types UUID and
//! JSON of Parquet come as extension types; VARIANT is noted here, on columns and not inside them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::LogicalType;
use parquet::file::reader::ChunkReader;
use parquet::schema::types::Type;

use super::error::SourceError;
use super::format::Format;
use super::input::Counted;
use super::parquet_bounds::{self, Unfit};
use super::reader::BatchReader;
use crate::model::extension;

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
        check_ends(&input, format, &file, &[b"PAR1", b"PARE"])?;
        Self::parquet_of(input, file, PARQUET_BATCH_ROWS)
    }

    /// The body of a request, whose sizes nobody has looked at.
    pub(super) fn parquet_body(input: String, bytes: Bytes) -> Result<Self, SourceError> {
        let format = Format::Parquet;
        if bytes.starts_with(b"PAR1") && !bytes.ends_with(b"PAR1") && !bytes.ends_with(b"PARE") {
            return Err(SourceError::CutOff {
                input,
                format: format.name(),
            });
        }
        let rows = parquet_bounds::batch_rows(&bytes, PARQUET_BATCH_ROWS).map_err(|why| match why {
            Unfit::Unreadable(source) => decode_error(&input, format, source),
            Unfit::TooMuch(reason) => SourceError::TooMuch {
                input: input.clone(),
                reason,
            },
        })?;
        Self::parquet_of(input, bytes, rows)
    }

    fn parquet_of<R: ChunkReader + 'static>(input: String, file: R, batch_rows: usize) -> Result<Self, SourceError> {
        let format = Format::Parquet;
        let fail = |source| decode_error(&input, format, source);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.into()))?;
        let row_count = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
        let schema = with_variants(builder.schema(), builder.parquet_schema().root_schema());
        let reader = builder
            .with_batch_size(batch_rows)
            .build()
            .map_err(|error| fail(error.into()))?;
        let noted = SchemaRef::clone(&schema);
        let batches =
            reader.map(move |batch| RecordBatch::try_new(SchemaRef::clone(&noted), batch?.columns().to_vec()));
        Ok(Self {
            input,
            format,
            schema,
            row_count,
            batches: Box::new(batches),
        })
    }

    pub(super) fn arrow_file(input: String, file: Counted<File>) -> Result<Self, SourceError> {
        let format = Format::ArrowFile;
        check_ends(&input, format, &file.inner, &[b"ARROW1"])?;
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

/// The schema with what the decoder leaves out: which columns are variants.
fn with_variants(schema: &SchemaRef, columns: &Type) -> SchemaRef {
    let noted = |(field, column): (&FieldRef, &parquet::schema::types::TypePtr)| match column
        .get_basic_info()
        .logical_type_ref()
    {
        Some(LogicalType::Variant(_)) => {
            let mut metadata = field.metadata().clone();
            metadata.insert(extension::NAME.to_owned(), "arrow.parquet.variant".to_owned());
            FieldRef::new(Field::clone(field).with_metadata(metadata))
        }
        _ => FieldRef::clone(field),
    };
    let fields: Vec<FieldRef> = schema.fields().iter().zip(columns.get_fields()).map(noted).collect();
    SchemaRef::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Such a file ends with the mark that it begins with (or, of encrypted ones, with another). Where the end is missing, the reader would
/// speak of a corrupt footer.
fn check_ends(input: &str, format: Format, mut file: &File, marks: &[&[u8]]) -> Result<(), SourceError> {
    let mut looking = || -> std::io::Result<(Vec<u8>, Vec<u8>)> {
        let mark = marks.first().map_or(0, |mark| mark.len());
        let (mut first, mut last) = (vec![0; mark], vec![0; mark]);
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut first)?;
        file.seek(SeekFrom::Start(length.saturating_sub(mark as u64)))?;
        file.read_exact(&mut last)?;
        file.seek(SeekFrom::Start(0))?;
        // A file that is only its beginning has no end.
        Ok((first, if length < 2 * mark as u64 { Vec::new() } else { last }))
    };
    match looking() {
        Ok((first, last)) if marks.contains(&&first[..]) && !marks.contains(&&last[..]) => Err(SourceError::CutOff {
            input: input.to_owned(),
            format: format.name(),
        }),
        Ok(_) => Ok(()),
        // Shorter than a mark: whoever reads it says so.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        Err(source) => Err(SourceError::Io {
            input: input.to_owned(),
            source,
        }),
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
