//! DoPut: one call is one session of the core. Answers never block the load: progress is a latest value, the client may
//! read it or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tracing::Instrument;

pub use super::answers::PutAnswers;
use super::answers::{update_result, with_progress};
use super::decode::{Decoder, Message};
use super::descriptor::{self, Target};
use super::result::{PutAnswer, read_metadata};
use super::room::{DictionaryRefused, Room};
use super::sql;
use crate::config::Config;
use crate::ingest::aside::aside_if_large;
use crate::ingest::batcher::IncomingBatch;
use crate::ingest::budget::ByteBudget;
use crate::ingest::counted::Door;
use crate::ingest::error::{Error, RequestError, StreamError};
use crate::ingest::guard::Guarded;
use crate::ingest::journal::Journal;
use crate::ingest::ports::Label;
use crate::ingest::request::{LoadOptions, LoadRequest};
use crate::ingest::session::{Session, StreamEnd, Summary};
use crate::ingest::shares::{Place, Places};
use crate::model::caller::Caller;
use crate::model::options::Acks;
use crate::server::arrow_ipc::Dictionary;
use crate::server::status::{about, status};
use crate::server::upload::Gate;
use crate::telemetry::spans;

/// What every put shares.
#[derive(Clone, Debug)]
pub struct PutContext {
    /// Where rows go.
    pub destination: Guarded,
    /// Defaults and per-table options.
    pub config: Arc<Config>,
    /// Memory for batches in flight.
    pub budget: ByteBudget,
    /// Memory for dictionaries, each as long as its stream has it.
    pub dictionaries: ByteBudget,
    /// Places for streams: `limits.max_streams` of all clients together.
    pub streams: Places,
    /// Longest pause between two messages.
    pub idle_timeout: Duration,
    /// Where the server is in its life.
    pub life: Life,
    /// Where streams are noted.
    pub journal: Journal,
}

/// Steps of a shutdown: first balancers are told, then nothing new is taken, then what still runs is ended.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Health says that this server is leaving; calls are still taken.
    pub leaving: CancellationToken,
    /// New calls are refused, running ones go on.
    pub draining: CancellationToken,
    /// Running calls end; what they did not commit is rolled back.
    pub stopping: CancellationToken,
}

/// An incoming call: its headers were read, its first message was taken off the stream.
#[derive(Debug)]
pub struct PutCall<S> {
    /// Who calls.
    pub caller: Caller,
    /// gRPC headers.
    pub headers: MetadataMap,
    /// Where to, from the first message's descriptor.
    pub target: Target,
    /// The message that carried the descriptor, with the schema.
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
        S: Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
    {
        let started = Instant::now();
        let decoder = Decoder::new(&call.first).map_err(|reason| StreamError::Decode {
            message: 1,
            reason,
            kept: Default::default(),
        })?;
        let options = self.resolve(&call, &decoder)?;
        let (request, door) = Self::request(&call, &decoder, options.clone());
        let session = tokio::select! {
            session = Session::open(&self.journal, door, &self.destination, &call.caller, request) => session?,
            // While Postgres is away this may last.
            () = self.life.stopping.cancelled() => return Err(Error::Draining),
        };
        let (table, failed_in) = (session.table().to_owned(), session.table().to_owned());
        let progress = (options.acks == Acks::Progress).then(|| session.watch());
        let (answer, outcome) = oneshot::channel();
        let pump = Pump {
            room: Room::new(&self),
            context: self,
            decoder,
            rest: call.rest,
            gate: call.gate,
            message: 1,
            has_stream: options.stream_id.is_some(),
            _place: call.place,
        };
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

    /// The same, with memory lent to this caller.
    pub(super) fn lent_to(&self, caller: &Caller) -> Self {
        Self {
            budget: self.budget.lent_to(caller),
            ..self.clone()
        }
    }

    /// What is asked of the core, and by which door.
    fn request<S>(call: &PutCall<S>, decoder: &Decoder, options: LoadOptions) -> (LoadRequest, Door) {
        let (name, schema) = (call.target.table.clone(), Arc::clone(decoder.schema()));
        let request = LoadRequest::new(&call.caller, name, schema, options);
        match call.target.ingest {
            Some(presence) => (request.expecting(presence), Door::FlightSql),
            None => (request, Door::Flight),
        }
    }

    fn resolve<S>(&self, call: &PutCall<S>, decoder: &Decoder) -> Result<LoadOptions, RequestError> {
        let asked = call
            .target
            .options
            .clone()
            .merge_over(descriptor::header_options(&call.headers)?)
            .merge_over(descriptor::metadata_options(decoder.schema())?);
        let merged = asked.clone().merge_over(self.config.stream_options(&call.target.table));
        LoadOptions::resolve(match call.target.ingest {
            Some(presence) => sql::ingest::agree(presence, &asked, merged)?,
            None => merged,
        })
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

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Moves messages from the client to the session.
struct Pump<S> {
    context: PutContext,
    decoder: Decoder,
    rest: S,
    gate: Gate,
    room: Room,
    message: u64,
    has_stream: bool,
    _place: Place,
}

impl<S> Pump<S>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin,
{
    async fn run(self, session: Session) -> Result<Summary, Error> {
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
                    Some(Err(status)) => Err(broken(session, &status)),
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

/// The transport's error while reading: a message over the limit is the client's to mend, the rest is a client gone.
fn broken(session: &Session, status: &Status) -> Error {
    let (received, kept) = (session.received(), session.kept());
    if status.code() == tonic::Code::OutOfRange {
        let reason = format!("{} (limits.max_message_bytes); send smaller batches", status.message());
        return StreamError::Protocol {
            message: 0,
            reason,
            kept,
        }
        .into();
    }
    StreamError::Broken {
        received,
        reason: status.message().to_owned(),
        kept,
    }
    .into()
}
