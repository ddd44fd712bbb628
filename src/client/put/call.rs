//! The `DoPut` call itself, with a request stream that can be broken off.
//!
//! The generated client cannot do that: its request stream can only end, which looks like a complete upload, and
//! dropping the call leaves the stream open, because hyper goes on pumping the request body by itself. So the call is
//! made with a codec of ours, for which "broken off" is an encoding error: hyper then resets the HTTP/2 stream, with
//! the code CANCEL that it finds in the error's causes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_flight::{FlightData, PutResult};
use futures::stream::{self, Stream};
use prost::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Status, Streaming};

use super::status::Refusal;
use crate::client::connect::Connection;
use crate::client::progress::Progress;

const DO_PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// What goes to the network.
pub(super) enum Outgoing {
    Message(FlightData),
    /// The commit message: nothing follows it.
    Commit(FlightData),
    /// Reset the stream.
    BreakOff,
}

/// Uploads what `waiting` brings and drains the results, of which the last one counts. The upload is broken off if
/// `abandoned` is cancelled or `waiting` closes without a commit message.
pub(super) async fn do_put(
    connection: &Connection,
    waiting: mpsc::Receiver<Outgoing>,
    abandoned: CancellationToken,
    progress: Arc<Progress>,
) -> Result<Option<PutResult>, Refusal> {
    let mut grpc = connection.grpc();
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let request = connection.request(outgoing(waiting, abandoned, progress));
    let mut results: Streaming<PutResult> = grpc
        .streaming(request, PathAndQuery::from_static(DO_PUT), PutCodec)
        .await?
        .into_inner();
    let mut last = None;
    while let Some(result) = results.message().await? {
        last = Some(result);
    }
    Ok(last)
}

/// The request stream: it ends behind a commit message, and nowhere else.
fn outgoing(
    waiting: mpsc::Receiver<Outgoing>,
    abandoned: CancellationToken,
    progress: Arc<Progress>,
) -> impl Stream<Item = Outgoing> + Send {
    stream::unfold(Some(waiting), move |state| {
        let abandoned = abandoned.clone();
        let progress = Arc::clone(&progress);
        async move {
            let mut waiting = state?;
            let next = tokio::select! {
                biased;
                () = abandoned.cancelled() => None,
                next = waiting.recv() => next,
            };
            match next {
                Some(Outgoing::Message(message)) => Some((Outgoing::Message(message), Some(waiting))),
                Some(Outgoing::Commit(message)) => {
                    progress.all_sent.store(true, Ordering::Release);
                    Some((Outgoing::Commit(message), None))
                }
                Some(Outgoing::BreakOff) | None => Some((Outgoing::BreakOff, None)),
            }
        }
    })
}

struct PutCodec;

impl Codec for PutCodec {
    type Encode = Outgoing;
    type Decode = PutResult;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for PutCodec {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match item {
            Outgoing::Message(message) | Outgoing::Commit(message) => message
                .encode(buffer)
                .map_err(|error| Status::internal(error.to_string())),
            Outgoing::BreakOff => {
                let mut status = Status::cancelled("the upload was broken off");
                status.set_source(Arc::new(h2::Error::from(h2::Reason::CANCEL)));
                Err(status)
            }
        }
    }
}

impl Decoder for PutCodec {
    type Item = PutResult;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<PutResult>, Status> {
        PutResult::decode(buffer)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
