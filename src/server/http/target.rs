//! From the path, the query and the headers of a request to a table and what is asked of it. Pure.

use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::refusal::Refusal;
use super::unpacked::Packing;
use crate::formats::{BodyFormat, TextOptions};
use crate::ingest::error::RequestError;
use crate::ingest::ports::ReadRequest;
use crate::model::ident::{Ident, TableName};
use crate::model::options::StreamOptions;
use crate::server::flight::descriptor::{Once, Target};

/// What a client calls its request, so that it happens once.
const KEY: &str = "idempotency-key";

/// Bytes of text that are kept while types are looked for.
const SAMPLE_BYTES: usize = 8 << 20;

/// Parameters about text, which `pgflight load` has as flags.
const OF_TEXT: [&str; 6] = ["delimiter", "header", "null", "text_columns", "all_text", "infer_rows"];

/// Parameters of a read.
const OF_READS: [&str; 2] = ["columns", "limit"];

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An Arrow IPC stream.
    ArrowStream,
    /// An Arrow IPC file.
    ArrowFile,
    /// Anything that is read as rows first.
    Rows(BodyFormat),
}

/// Content types, and what they say of a body.
const FORMS: [(&str, Form); 6] = [
    ("application/vnd.apache.arrow.stream", Form::ArrowStream),
    ("application/vnd.apache.arrow.file", Form::ArrowFile),
    ("application/x-ndjson", Form::Rows(BodyFormat::Ndjson)),
    ("application/json", Form::Rows(BodyFormat::Json)),
    ("text/csv", Form::Rows(BodyFormat::Csv)),
    ("application/vnd.apache.parquet", Form::Rows(BodyFormat::Parquet)),
];

/// What is to be loaded where.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) target: Target,
    pub(super) text: TextOptions,
}

/// The table that the path names.
pub(super) fn table(path: &RawPathParams) -> Result<TableName, RequestError> {
    let part = |what: &'static str| {
        let found = path.iter().find(|(name, _)| *name == what);
        let name = found.map(|(_, value)| value).unwrap_or_default();
        Ident::new(name).map_err(|source| RequestError::Name { what, source })
    };
    Ok(TableName::qualified(part("schema")?, part("table")?))
}

/// What a load asks for, by its query and its headers.
pub(super) fn of_load(table: TableName, query: &str, headers: &HeaderMap) -> Result<Wanted, RequestError> {
    let mut options = Once::of("query");
    let mut text = Text::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match OF_TEXT.contains(&name.as_ref()) {
            true => text.set(&name, &value)?,
            false => options.set(&name, &value)?,
        }
    }
    let mut options = options.into_options();
    if let Some(key) = headers.get(KEY) {
        let key = key.to_str().ok().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| malformed("the Idempotency-Key is empty, or not ASCII text".to_owned()))?;
        name_stream(&mut options, key)?;
    }
    Ok(Wanted {
        target: Target {
            table,
            options,
            ingest: None,
        },
        text: text.options,
    })
}

fn name_stream(options: &mut StreamOptions, key: &str) -> Result<(), RequestError> {
    match &options.stream_id {
        Some(id) if id != key => Err(RequestError::Conflict(
            "the Idempotency-Key and stream_id are two names for one thing; send one of them".to_owned(),
        )),
        _ => {
            options.stream_id = Some(key.to_owned());
            Ok(())
        }
    }
}

/// What a read asks for, by its query.
pub(super) fn of_read(table: TableName, query: &str) -> Result<ReadRequest, RequestError> {
    let mut request = ReadRequest::all(table);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let twice = match name.as_ref() {
            "columns" => {
                let names = columns(&name, &value)?;
                request.columns.replace(names).is_some()
            }
            "limit" => {
                let limit = value.parse().map_err(|_| unfit(&name, &value, "a number of rows"))?;
                request.limit.replace(limit).is_some()
            }
            _ => {
                let known = OF_READS.join(", ");
                return Err(malformed(format!(
                    "there is no parameter {name:?} of a read; there are {known}"
                )));
            }
        };
        once(&name, twice)?;
    }
    Ok(request)
}

/// What the body is, as the request says.
pub(super) fn form(headers: &HeaderMap) -> Result<(Form, Packing), Refusal> {
    let said = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let bare = said.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let found = FORMS.iter().find(|(name, _)| *name == bare);
    let form = found.map(|(_, form)| *form).ok_or_else(|| {
        let known: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
        Refusal::Media(format!(
            "the body's Content-Type is {said:?}; send one of {}",
            known.join(", ")
        ))
    })?;
    let packed = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let packing = match packed.unwrap_or("identity").trim().to_ascii_lowercase().as_str() {
        "identity" => Packing::None,
        "gzip" | "x-gzip" => Packing::Gzip,
        "zstd" => Packing::Zstd,
        other => {
            return Err(Refusal::Media(format!(
                "the body's Content-Encoding is {other:?}; send gzip, zstd, or none"
            )));
        }
    };
    Ok((form, packing))
}

/// How text is read, each parameter once.
struct Text {
    options: TextOptions,
    named: Vec<String>,
}

impl Default for Text {
    fn default() -> Self {
        let options = TextOptions {
            sample_bytes: SAMPLE_BYTES,
            ..TextOptions::default()
        };
        let named = Vec::new();
        Self { options, named }
    }
}

impl Text {
    fn set(&mut self, name: &str, value: &str) -> Result<(), RequestError> {
        once(name, self.named.iter().any(|named| named == name))?;
        self.named.push(name.to_owned());
        let flag = || value.parse().map_err(|_| unfit(name, value, "true, false"));
        match name {
            "delimiter" => self.options.delimiter = Some(delimiter(value)?),
            "header" => self.options.header = flag()?,
            "null" => value.clone_into(&mut self.options.null_text),
            "text_columns" => self.options.text_columns = columns(name, value)?,
            "all_text" => self.options.all_text = flag()?,
            _ => self.options.infer_rows = value.parse().map_err(|_| unfit(name, value, "a number of rows"))?,
        }
        Ok(())
    }
}

fn delimiter(value: &str) -> Result<u8, RequestError> {
    match value.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ if value == "tab" => Ok(b'\t'),
        _ => Err(unfit("delimiter", value, "one ASCII character, or tab")),
    }
}

/// As the option `primary_key` takes names.
fn columns(name: &str, value: &str) -> Result<Vec<String>, RequestError> {
    let mut options = StreamOptions::default();
    let read = options.set("primary_key", value);
    read.map_err(|_| {
        unfit(
            name,
            value,
            "column names: a JSON array of strings, or names separated by commas",
        )
    })?;
    Ok(options.primary_key.unwrap_or_default())
}

fn once(name: &str, twice: bool) -> Result<(), RequestError> {
    match twice {
        true => Err(malformed(format!(
            "the parameter {name} stands twice in the query; send it once"
        ))),
        false => Ok(()),
    }
}

fn unfit(name: &str, value: &str, allowed: &str) -> RequestError {
    malformed(format!("query: parameter {name:?} is {value:?}; allowed: {allowed}"))
}

fn malformed(reason: String) -> RequestError {
    RequestError::Malformed(reason)
}
