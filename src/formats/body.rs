//! The body of a request as rows: the same readers as for files, told the format by name and never by a look at the bytes.

use std::io::BufRead;

use bytes::Bytes;

use super::binary::BinaryReader;
use super::csv::CsvRows;
use super::documents::Documents;
use super::error::SourceError;
use super::ndjson::NdjsonRows;
use super::options::TextOptions;
use super::reader::BatchReader;
use super::text::TypedText;
use super::{Source, check_columns, check_text_columns};

/// How bodies are called in messages.
const NAME: &str = "the body";

/// What a body may hold that is not Arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// Character-separated values.
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// An array of JSON objects, or one object.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// The bytes of a body.
pub enum Contents {
    /// As they come, for text.
    Coming(Box<dyn BufRead + Send>),
    /// All of them, for what is read from its end.
    Whole(Bytes),
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Coming(_) => "Coming",
            Self::Whole(_) => "Whole",
        })
    }
}

/// Opens a body. Reading blocks, as for files.
///
/// # Errors
/// What is wrong with its first rows, or with its end where it is read from there.
pub fn open_body(contents: Contents, format: BodyFormat, options: &TextOptions) -> Result<Source, SourceError> {
    let name = NAME.to_owned();
    let reader: Box<dyn BatchReader> = match (format, contents) {
        (BodyFormat::Csv, Contents::Coming(bytes)) => {
            let rows = CsvRows::open(name.clone(), bytes, options)?;
            Box::new(TypedText::open(name, rows, options, None)?)
        }
        (BodyFormat::Ndjson, Contents::Coming(bytes)) => {
            let rows = NdjsonRows::new(Documents::lines(name.clone(), bytes));
            Box::new(TypedText::open(name, rows, options, None)?)
        }
        (BodyFormat::Json, Contents::Coming(bytes)) => {
            let rows = NdjsonRows::new(Documents::array(name.clone(), bytes));
            Box::new(TypedText::open(name, rows, options, None)?)
        }
        (BodyFormat::Parquet, Contents::Whole(bytes)) => Box::new(BinaryReader::parquet_body(name, bytes)?),
        (_, Contents::Coming(_) | Contents::Whole(_)) => return Err(SourceError::UnknownFormat { input: name }),
    };
    check_columns(&reader.schema(), NAME)?;
    check_text_columns(options, reader.schema(), NAME)?;
    Ok(Source {
        schema: reader.schema(),
        hint: reader.hint(),
        batches: Box::new(reader),
    })
}
