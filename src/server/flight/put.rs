//! DoPut: one call is one session of the core. Answers never block the load: progress is a latest value, the client may
//! read it or not.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use futures::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;

pub use super::answers::PutAnswers;
use super::answers::{update_result, with_progress};
pub use super::context::{Life, PutContext};
use super::decode::Decoder;
use super::descriptor::{self, Target};
use super::pump::{Lost, Pump};
use super::result::PutAnswer;
use super::sql;
use crate::ingest::counted::Door;
use crate::ingest::error::{Error, RequestError, StreamError};
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::ingest::session::Session;
use crate::ingest::shares::Place;
use crate::model::caller::Caller;
use crate::model::options::{Acks, CommitMode, StreamOptions};
use crate::server::status::{about, status};
use crate::server::upload::Gate;

/// Who asks for which table, by which door and with which options.
#[derive(Debug)]
pub struct Asked {
    /// Who calls.
    pub caller: Caller,
    /// Headers of the call.
    pub headers: MetadataMap,
    /// Where to.
    pub target: Target,
    /// Where it came in.
    pub door: Door,
}

/// An incoming call: its headers were read, its first message was taken off the stream.
#[derive(Debug)]
pub struct PutCall<S> {
    /// What is asked for.
    pub asked: Asked,
    /// The message that carried the schema.
    pub first: FlightData,
    /// The rest of the stream.
    pub rest: S,
    /// Where its messages ask for memory.
    pub gate: Gate,
    /// One of `limits.max_streams`, for as long as the stream lives.
    pub place: Place,
}

impl PutContext {
    /// Opens the session and answers with a stream that ends with the final result.
    ///
    /// # Errors
    /// Everything that can be refused before the first row.
    pub async fn put<S>(self, call: PutCall<S>) -> Result<PutAnswers, Error>
    where
        S: Stream<Item = Result<FlightData, Lost>> + Send + Unpin + 'static,
    {
        let (started, door) = (Instant::now(), call.asked.door);
        let (session, pump, options) = self.begin(call).await?;
        let (table, failed_in) = (session.table().to_owned(), session.table().to_owned());
        let progress = (options.acks == Acks::Progress).then(|| session.watch());
        let (answer, outcome) = oneshot::channel();
        // The guard lives in the answer stream: when the client drops the call, the pump is told to stop.
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        tokio::spawn(async move {
            let result = tokio::select! {
                result = pump.run(session) => result,
                () = stop.cancelled() => return,
            };
            let sent = result.map(|summary| match door {
                Door::FlightSql => update_result(&summary),
                _ => PutAnswer::finished(summary, options.commit, millis(started)).put_result(),
            });
            // The receiver is gone only when the client is.
            drop(answer.send(sent));
        });
        let last = futures::stream::once(async move {
            let _guard = guard;
            match outcome.await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(about(status(&error), &failed_in)),
                Err(_) => Err(Status::internal("the load ended without an answer")),
            }
        });
        Ok(match progress {
            None => last.boxed(),
            Some(progress) => with_progress(progress, table, options.commit, last.boxed()),
        })
    }

    /// Opens the session of a call, and makes what moves its messages there.
    ///
    /// # Errors
    /// Everything that can be refused before the first row.
    pub(crate) async fn begin<S>(self, call: PutCall<S>) -> Result<(Session, Pump<S>, LoadOptions), Error> {
        let decoder = Decoder::new(&call.first).map_err(|reason| StreamError::Decode {
            message: 1,
            reason,
            kept: Default::default(),
        })?;
        let (session, options) = self.open(&call.asked, decoder.schema()).await?;
        let has_stream = options.stream_id.is_some();
        let pump = Pump::new(self, decoder, call.rest, call.gate, has_stream, call.place);
        Ok((session, pump, options))
    }

    /// Opens a session for rows of this schema.
    ///
    /// # Errors
    /// Everything that can be refused before the first row.
    pub(crate) async fn open(&self, asked: &Asked, schema: &SchemaRef) -> Result<(Session, LoadOptions), Error> {
        let options = self.resolve(asked, schema)?;
        let (name, schema) = (asked.target.table.clone(), Arc::clone(schema));
        let request = LoadRequest::new(&asked.caller, name, schema, options.clone());
        let request = match asked.target.ingest {
            Some(presence) => request.expecting(presence),
            None => request,
        };
        tokio::select! {
            session = Session::open(&self.journal, asked.door, &self.destination, &asked.caller, request) => Ok((session?, options)),
            // While Postgres is away this may last.
            () = self.life.stopping.cancelled() => Err(Error::Draining),
        }
    }

    fn resolve(&self, asked: &Asked, schema: &SchemaRef) -> Result<LoadOptions, RequestError> {
        let target = &asked.target;
        let mut named = target
            .options
            .clone()
            .merge_over(descriptor::header_options(&asked.headers)?)
            .merge_over(descriptor::metadata_options(schema)?);
        if asked.door == Door::Http {
            named = of_one_body(named)?;
        }
        let merged = named.clone().merge_over(self.config.stream_options(&target.table));
        LoadOptions::resolve(match target.ingest {
            Some(presence) => sql::ingest::agree(presence, &named, merged)?,
            None => merged,
        })
    }
}

/// A body is one piece that comes whole or not at all: it has no numbers of batches, and one answer.
fn of_one_body(mut named: StreamOptions) -> Result<StreamOptions, RequestError> {
    if named.stream_id.is_some() && named.commit == Some(CommitMode::Batch) {
        return Err(RequestError::Conflict(
            "commit: batch with a stream_id needs numbers of batches, which HTTP has none of; use commit: atomic"
                .to_owned(),
        ));
    }
    if named.acks == Some(Acks::Progress) {
        return Err(RequestError::Conflict(
            "acks: progress needs Flight; over HTTP there is one answer, at the end".to_owned(),
        ));
    }
    if named.stream_id.is_some() {
        named.commit = Some(CommitMode::Atomic);
    }
    Ok(named)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
