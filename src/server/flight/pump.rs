//! Moves the messages of one stream from its client to its session, and ends it only where its end came.

use std::sync::Arc;
use std::time::Instant;

use arrow_flight::FlightData;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};
use tracing::Instrument;

use super::context::PutContext;
use super::decode::{Decoder, Message};
use super::result::read_metadata;
use super::room::{DictionaryRefused, Room};
use crate::ingest::aside::aside_if_large;
use crate::ingest::batcher::IncomingBatch;
use crate::ingest::error::{Error, Kept, RequestError, StreamError};
use crate::ingest::ports::Label;
use crate::ingest::session::{Session, StreamEnd, Summary};
use crate::ingest::shares::Place;
use crate::server::arrow_ipc::Dictionary;
use crate::server::upload::Gate;
use crate::telemetry::spans;

/// A first message of so many bytes needs no memory that others have to give back: a schema of some thousand columns.
const SCHEMA_BYTES: usize = 256 << 10;

/// Why no further message comes.
#[derive(Debug)]
pub enum Lost {
    /// The client went away or gave up, in the transport's words.
    Gone(String),
    /// More comes at once than is taken.
    TooLarge(String),
    /// What comes is no message.
    Malformed(String),
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::OutOfRange => Self::TooLarge(format!("{} (limits.max_message_bytes)", status.message())),
            _ => Self::Gone(status.message().to_owned()),
        }
    }
}

impl Lost {
    /// The failure of a stream of which so many messages and rows came.
    pub(crate) fn error(self, messages: u64, received: u64, kept: Kept) -> StreamError {
        match self {
            Self::Gone(reason) => StreamError::Broken { received, reason, kept },
            Self::TooLarge(what) => StreamError::TooLarge { what, kept },
            Self::Malformed(reason) => StreamError::Decode {
                message: messages + 1,
                reason,
                kept,
            },
        }
    }
}

/// The first message, which has the schema; a large one waits for memory like all others. `None` where none comes.
pub(crate) async fn first_message<S, E>(
    put: &PutContext,
    rest: &mut S,
    gate: &Gate,
) -> Result<Option<FlightData>, Error>
where
    S: Stream<Item = Result<FlightData, E>> + Unpin,
    Lost: From<E>,
{
    let (idle, kept) = (put.idle_timeout, Kept::default());
    let (mut waiting, mut _room) = (Instant::now(), None);
    gate.close();
    loop {
        tokio::select! {
            biased;
            () = put.life.stopping.cancelled() => return Err(Error::Draining),
            first = rest.next() => {
                let first = first.transpose().map_err(Lost::from);
                return first.map_err(|lost| lost.error(0, 0, kept).into());
            }
            bytes = gate.asked() => {
                if bytes > SCHEMA_BYTES {
                    _room = Some(put.budget.acquire(bytes).await);
                }
                gate.grant();
                waiting = Instant::now();
            }
            () = tokio::time::sleep_until(gate.idle_at(waiting, idle).into()) => {
                if gate.idle_at(waiting, idle) <= Instant::now() {
                    return Err(StreamError::Idle { idle, kept }.into());
                }
            }
        }
    }
}

/// What tells a batch from another one under the same sequence number.
fn hash(data: &FlightData) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((data.data_header.len() as u64).to_le_bytes());
    hash.update(&data.data_header);
    hash.update(&data.data_body);
    hash.finalize().into()
}

/// Moves messages from the client to the session.
#[derive(Debug)]
pub(crate) struct Pump<S> {
    context: PutContext,
    decoder: Decoder,
    rest: S,
    gate: Gate,
    room: Room,
    message: u64,
    has_stream: bool,
    _place: Place,
}

impl<S> Pump<S> {
    pub(super) fn new(
        context: PutContext,
        decoder: Decoder,
        rest: S,
        gate: Gate,
        has_stream: bool,
        place: Place,
    ) -> Self {
        Self {
            room: Room::new(&context),
            context,
            decoder,
            rest,
            gate,
            message: 1,
            has_stream,
            _place: place,
        }
    }
}

impl<S> Pump<S>
where
    S: Stream<Item = Result<FlightData, Lost>> + Send + Unpin,
{
    pub(crate) async fn run(self, session: Session) -> Result<Summary, Error> {
        let entry = session.entry();
        self.move_all(session).await.inspect_err(|error| entry.failed(error))
    }

    async fn move_all(mut self, mut session: Session) -> Result<Summary, Error> {
        let mut end = StreamEnd::default();
        while let Some(data) = self.next(&mut session).await? {
            self.message += 1;
            if end.committed_rows.is_some() {
                return Err(self.protocol(&session, "came after the commit message, which ends a stream"));
            }
            let metadata = read_metadata(&data.app_metadata)?;
            if metadata.seq.is_some() && !self.has_stream {
                return Err(RequestError::Conflict(
                    "seq and token in app_metadata need a stream_id; name the stream, or leave them out".to_owned(),
                )
                .into());
            }
            self.take(data, metadata.seq, metadata.token, &mut session).await?;
            end.committed_rows = metadata.commit.map(|commit| commit.rows);
        }
        session.finish(end).await
    }

    /// The next message; waits while bytes of it come, at most the idle timeout for each, and writes a part-filled chunk
    /// when its time has come.
    async fn next(&mut self, session: &mut Session) -> Result<Option<FlightData>, Error> {
        let idle = self.context.idle_timeout;
        let mut waiting = Instant::now();
        loop {
            let idle_at = tokio::time::Instant::from_std(self.gate.idle_at(waiting, idle));
            let flush_at = session.flush_at().map(tokio::time::Instant::from_std);
            tokio::select! {
                biased;
                // First, since with a client that is faster than Postgres a message is always ready.
                () = self.context.life.stopping.cancelled() => return Err(Error::Draining),
                message = self.rest.next() => return match message {
                    Some(Ok(data)) => Ok(Some(data)),
                    Some(Err(lost)) => Err(lost.error(self.message, session.received(), session.kept()).into()),
                    None => Ok(None),
                },
                bytes = self.gate.asked() => {
                    self.room.let_in(bytes, session).await?;
                    self.gate.grant();
                    waiting = Instant::now();
                }
                () = tokio::time::sleep_until(flush_at.unwrap_or(idle_at)), if flush_at.is_some() => session.flush().await?,
                // Others wait for memory that this stream holds for a chunk that is not full yet.
                () = self.context.budget.pressed(), if session.holds_rows() => session.flush().await?,
                () = tokio::time::sleep_until(idle_at) => {
                    if self.gate.idle_at(waiting, idle) <= Instant::now() {
                        return Err(StreamError::Idle { idle, kept: session.kept() }.into());
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        data: FlightData,
        seq: Option<u64>,
        token: Option<String>,
        session: &mut Session,
    ) -> Result<(), Error> {
        let wire_bytes = data.data_body.len();
        let weight = self.decoder.weigh(&data);
        let weight = weight.map_err(|reason| self.undecodable(session, reason))?;
        if let Some(dictionary) = weight.dictionary {
            return self.take_dictionary(data, dictionary, weight.bytes, session).await;
        }
        let permit = self.room.of_batch(weight.bytes, session).await?;
        let decoding = aside_if_large(weight.bytes, || {
            let hash = seq.map(|seq| (seq, hash(&data)));
            (hash, self.decoder.read(data))
        });
        let span = session.entry().span().in_scope(spans::decode);
        let (label, read) = decoding.instrument(span).await;
        let label = label.map(|(seq, hash)| Label { seq, token, hash });
        let read = read.map_err(|reason| self.undecodable(session, reason))?;
        match read {
            Message::Batch(batch) if batch.num_rows() > 0 || label.is_some() => {
                if let (None, Some(stream_id)) = (&label, session.wants_labels()) {
                    return Err(StreamError::Unlabelled {
                        stream_id: stream_id.to_owned(),
                        message: self.message,
                    }
                    .into());
                }
                self.room.settle();
                session
                    .push(IncomingBatch {
                        batch,
                        wire_bytes,
                        permit: Some(Arc::new(permit)),
                        label,
                    })
                    .await
            }
            Message::Batch(_) | Message::Dictionary | Message::Metadata => Ok(()),
        }
    }

    async fn take_dictionary(
        &mut self,
        data: FlightData,
        coming: Dictionary,
        bytes: usize,
        session: &mut Session,
    ) -> Result<(), Error> {
        let room = self.room.of_dictionary(coming, bytes, &mut self.decoder, session);
        match room.await {
            Ok(()) => {}
            Err(DictionaryRefused::TooLarge(reason)) => return Err(self.undecodable(session, reason)),
            Err(DictionaryRefused::Other(error)) => return Err(error),
        }
        let read = aside_if_large(bytes, || self.decoder.read(data)).await;
        read.map_err(|reason| self.undecodable(session, reason))?;
        self.room.let_go();
        Ok(())
    }

    fn undecodable(&self, session: &Session, reason: String) -> Error {
        StreamError::Decode {
            message: self.message,
            reason,
            kept: session.kept(),
        }
        .into()
    }

    fn protocol(&self, session: &Session, reason: &str) -> Error {
        StreamError::Protocol {
            message: self.message,
            reason: reason.to_owned(),
            kept: session.kept(),
        }
        .into()
    }
}
