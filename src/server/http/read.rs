//! GET: a table as an Arrow stream, or as lines of JSON or CSV, by the reads that DoGet has. An answer that ends as HTTP says is complete; one
//! that fails on its way is cut off.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};

use super::door::HttpDoor;
use super::refusal::Refusal;
use super::target;
use super::text::Lines;
use crate::ingest::aside::aside_if_large;
use crate::ingest::error::{Error, RequestError};
use crate::ingest::ports::ReadRequest;
use crate::model::caller::Caller;
use crate::server::flight::stream::pumped;

const ARROW: &str = "application/vnd.apache.arrow.stream";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// Reads the table that the path names.
pub(super) async fn read(door: HttpDoor, caller: Caller, request: Request) -> Result<Response, Refusal> {
    let (mut parts, _) = request.into_parts();
    let path: RawPathParams = parts
        .extract()
        .await
        .map_err(|_| RequestError::Malformed("the path is not UTF-8 in percent encoding".to_owned()))?;
    let table = target::table(&path)?;
    let told = table.to_string();
    let refused = |error: Error| {
        tracing::info!(class = ?error.class(), %error, "call refused");
        Refusal::Core {
            error,
            table: told.clone(),
        }
    };
    if door.put.life.draining.is_cancelled() {
        return Err(refused(Error::Draining));
    }
    let wanted = accepted(&parts.headers)?;
    let request = target::of_read(table, parts.uri.query().unwrap_or("")).map_err(|error| refused(error.into()))?;
    let pieces = match wanted {
        ARROW => arrow(&door, &caller, request).await,
        form => lines(&door, &caller, request, form).await,
    };
    let pieces = pieces.map_err(refused)?;
    let kind = [(CONTENT_TYPE, HeaderValue::from_static(wanted))];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// The first form that the client takes and that there is.
fn accepted(headers: &HeaderMap) -> Result<&'static str, Refusal> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut wanted = values.flat_map(|value| value.split(',')).peekable();
    if wanted.peek().is_none() {
        return Ok(ARROW);
    }
    let known = wanted.find_map(|form| {
        let form = form.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match form.as_str() {
            "*/*" | "application/*" | ARROW => Some(ARROW),
            NDJSON => Some(NDJSON),
            CSV | "text/*" => Some(CSV),
            _ => None,
        }
    });
    known.ok_or_else(|| {
        Refusal::NotAcceptable(format!(
            "a table is sent as {ARROW}, {NDJSON} or {CSV}; ask for one of them by Accept"
        ))
    })
}

type Pieces = BoxStream<'static, Result<Bytes, Error>>;

async fn arrow(door: &HttpDoor, caller: &Caller, request: ReadRequest) -> Result<Pieces, Error> {
    let put = &door.put;
    let reader = put.destination.read(caller, request).await?;
    let writer = StreamWriter::try_new(Vec::new(), &reader.schema).map_err(unencodable)?;
    let batches = pumped(reader, put.idle_timeout, &put.life);
    let pieces = futures::stream::unfold(Some((writer, batches)), |state| async move {
        let (mut writer, mut batches) = state?;
        let (written, over) = match batches.next().await {
            Some(Ok(batch)) => {
                let bytes = batch.get_array_memory_size();
                (aside_if_large(bytes, || writer.write(&batch)).await, false)
            }
            Some(Err(error)) => return Some((Err(error), None)),
            None => (writer.finish(), true),
        };
        let piece = Bytes::from(std::mem::take(writer.get_mut()));
        let next = (!over).then_some((writer, batches));
        match written {
            Ok(()) => Some((Ok(piece), next)),
            Err(error) => Some((Err(unencodable(error)), None)),
        }
    });
    Ok(pieces.boxed())
}

/// Text is what Postgres prints, so all columns are read as text.
async fn lines(door: &HttpDoor, caller: &Caller, request: ReadRequest, form: &str) -> Result<Pieces, Error> {
    let put = &door.put;
    let described = put.destination.describe(caller, request.clone()).await?;
    let schema = as_text(&described.schema);
    let lines = match form {
        CSV => Lines::Csv,
        _ => Lines::json(&schema, &described.types),
    };
    let request = ReadRequest {
        columns: None,
        schema: Some(Arc::clone(&schema)),
        ..request
    };
    let reader = put.destination.read(caller, request).await?;
    let head = Bytes::from(lines.head(&schema));
    let batches = pumped(reader, put.idle_timeout, &put.life);
    let lines = Arc::new(lines);
    let rows = batches.then(move |batch| {
        let lines = Arc::clone(&lines);
        async move { written(&lines, &batch?).await }
    });
    Ok(futures::stream::iter([Ok(head)]).chain(rows).boxed())
}

async fn written(lines: &Lines, batch: &RecordBatch) -> Result<Bytes, Error> {
    let written = aside_if_large(batch.get_array_memory_size(), || lines.of(batch)).await;
    written
        .map(Bytes::from)
        .map_err(|reason| Error::Internal(reason.to_owned()))
}

fn as_text(schema: &Schema) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn unencodable(error: ArrowError) -> Error {
    Error::Internal(format!("the table cannot be encoded: {error}"))
}
