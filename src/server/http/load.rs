//! POST: one body is one load, through the session that Flight's puts go through. It ends where the body ends as HTTP and its format say;
//! where the client goes away before, nothing of an atomic load is kept, and the log says so.

use std::collections::HashMap;
use std::time::Instant;

use axum::RequestPartsExt;
use axum::extract::{RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

use super::door::HttpDoor;
use super::messages::Messages;
use super::noted::Noted;
use super::refusal::Refusal;
use super::rows;
use super::target::{self, Form};
use super::unpacked::Unpacked;
use crate::formats::{BodyFormat, Given, TextOptions};
use crate::ingest::counted::Door;
use crate::ingest::error::{Error, RequestError, StreamError};
use crate::ingest::ports::ReadRequest;
use crate::ingest::request::LoadOptions;
use crate::ingest::session::Summary;
use crate::ingest::shares::Place;
use crate::model::caller::Caller;
use crate::model::class::Class;
use crate::server::flight::pump::first_message;
use crate::server::flight::put::{Asked, PutCall, PutContext};
use crate::server::flight::result::PutAnswer;
use crate::server::upload::Gate;

/// A request that was read up to its body.
struct Call {
    put: PutContext,
    asked: Asked,
    body: Unpacked,
    form: Form,
    text: TextOptions,
    most: usize,
    place: Place,
}

/// Loads the body of a request, and answers with what Flight's last answer says.
pub(super) async fn load(door: HttpDoor, caller: Caller, request: Request) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    let path: RawPathParams = parts.extract().await.map_err(|_| unreadable_path())?;
    let table = target::table(&path)?;
    let told = table.to_string();
    let refused = |error: Error| Refusal::Core {
        error,
        table: told.clone(),
    };
    if door.put.life.draining.is_cancelled() {
        return Err(refused(Error::Draining));
    }
    let (form, packing) = target::form(&parts.headers)?;
    let wanted = target::of_load(table, parts.uri.query().unwrap_or(""), &parts.headers);
    let wanted = wanted.map_err(|error| refused(error.into()))?;
    let place = door.put.streams.take(&caller).map_err(refused)?;
    let body = Unpacked::new(body, packing).map_err(|error| refused(Error::Internal(error.to_string())))?;
    let call = Call {
        put: door.put.lent_to(&caller),
        asked: Asked {
            caller,
            headers: MetadataMap::from_headers(parts.headers),
            target: wanted.target,
            door: Door::Http,
        },
        body,
        form,
        text: wanted.text,
        most: door.most_bytes,
        place,
    };
    let answer = aside(call).await.map_err(refused)?;
    // Strings, numbers and lists of strings always serialise.
    let answer = serde_json::to_vec(&answer).unwrap_or_default();
    Ok(([(CONTENT_TYPE, "application/json")], answer).into_response())
}

fn unreadable_path() -> Refusal {
    RequestError::Malformed("the path is not UTF-8 in percent encoding".to_owned()).into()
}

/// Loads on a task of its own, so that bytes are received and rows are written at the same time. When the client drops the request, it is
/// told to stop.
async fn aside(call: Call) -> Result<PutAnswer, Error> {
    let (stop, noted) = (CancellationToken::new(), Noted::default());
    let _guard = stop.clone().drop_guard();
    let task = tokio::spawn(async move {
        let started = Instant::now();
        let loaded = tokio::select! {
            loaded = run(call, &noted) => loaded,
            () = stop.cancelled() => Err(StreamError::Broken {
                received: 0,
                reason: "the connection was closed before the answer".to_owned(),
                kept: Default::default(),
            }
            .into()),
        };
        match loaded {
            Ok((summary, options)) => {
                let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                Ok(PutAnswer::finished(summary, options.commit, millis))
            }
            Err(error) => {
                noted.failed(&error);
                Err(error)
            }
        }
    });
    let ended = |error| Error::Internal(format!("the load ended without an answer: {error}"));
    task.await.map_err(ended)?
}

async fn run(call: Call, noted: &Noted) -> Result<(Summary, LoadOptions), Error> {
    let Call {
        put,
        asked,
        body,
        form,
        mut text,
        most,
        place,
    } = call;
    match form {
        Form::ArrowStream | Form::ArrowFile => {
            let gate = Gate::default();
            let mut rest = Messages::new(body, gate.clone(), form == Form::ArrowFile, most);
            let first = first_message(&put, &mut rest, &gate).await?;
            let first = first.ok_or_else(|| {
                RequestError::Malformed("the body is empty; send a schema, also when there are no rows".to_owned())
            })?;
            let call = PutCall {
                asked,
                first,
                rest,
                gate,
                place,
            };
            let (session, pump, options) = put.begin(call).await?;
            noted.note(&session);
            Ok((pump.run(session).await?, options))
        }
        Form::Rows(format) => {
            let _place = place;
            if format != BodyFormat::Parquet {
                text.given = tokio::select! {
                    given = given(&put, &asked) => given?,
                    () = put.life.stopping.cancelled() => return Err(Error::Draining),
                };
            }
            let body = rows::Body {
                bytes: body,
                format,
                text,
                most,
            };
            rows::load(&put, &asked, body, noted).await
        }
    }
}

/// What the columns of the table take, where it exists and may be known of: their types win over what the text looks like.
async fn given(put: &PutContext, asked: &Asked) -> Result<HashMap<String, Given>, Error> {
    let request = ReadRequest::all(asked.target.table.clone());
    let described = match put.destination.describe(&asked.caller, request).await {
        Ok(described) => described,
        // The load itself says what is wrong, where something is.
        Err(error) => {
            return match error.class() {
                Class::NotFound | Class::Denied | Class::BadRequest | Class::Refused | Class::Unsupported => {
                    Ok(HashMap::new())
                }
                _ => Err(error),
            };
        }
    };
    let names = described.schema.fields().iter().map(|field| field.name().clone());
    let given = described.types.iter().map(|kind| match kind.as_str() {
        "json" | "jsonb" => Given::Document,
        list if list.ends_with("[]") => Given::Array,
        _ => Given::Text,
    });
    Ok(names.zip(given).collect())
}
