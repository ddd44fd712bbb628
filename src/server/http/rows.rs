//! Moves rows of text and of files from a body to a session. What the reader holds and has not handed over is held against the same
//! memory as Flight's messages, asked for before it is read; what is longer than a message may be is refused.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use memchr::memchr_iter;
use tokio::sync::mpsc;

use super::body::{Event, Piped, pipe, start};
use super::noted::Noted;
use super::unpacked::Unpacked;
use crate::formats::{BodyFormat, Contents, SourceError, TextOptions};
use crate::ingest::batcher::IncomingBatch;
use crate::ingest::budget::BytePermit;
use crate::ingest::error::{Error, Kept, StreamError};
use crate::ingest::request::LoadOptions;
use crate::ingest::session::{Session, StreamEnd, Summary};
use crate::server::flight::pump::Lost;
use crate::server::flight::put::{Asked, PutContext};
use crate::server::flight::room::Room;

/// Memory that is asked for at first where nobody knows how much comes.
const FIRST: usize = 256 << 10;
/// What a field of CSV takes beside its text while its record is read.
const FIELD_BYTES: usize = 8;

/// A body that is read as rows.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Unpacked,
    pub(super) format: BodyFormat,
    pub(super) text: TextOptions,
    /// Largest row of text, or file.
    pub(super) most: usize,
}

/// Loads the rows of a body.
pub(super) async fn load(
    context: &PutContext,
    asked: &Asked,
    body: Body,
    noted: &Noted,
) -> Result<(Summary, LoadOptions), Error> {
    let mut memory = Memory::new(context, &body);
    let (events, feed) = match body.format {
        BodyFormat::Parquet => {
            let file = whole(context, body.bytes, &mut memory).await?;
            memory.file = memory.room.take();
            (start(Contents::Whole(file), body.format, body.text), None)
        }
        BodyFormat::Csv | BodyFormat::Ndjson | BodyFormat::Json => {
            let (to, piped): (_, Piped) = pipe();
            let feed = Feed::new(body.bytes, to);
            let contents = Contents::Coming(Box::new(piped));
            (start(contents, body.format, body.text), Some(feed))
        }
    };
    let rows = Rows {
        context,
        memory,
        session: None,
        events,
        feed,
    };
    rows.run(asked, noted).await
}

/// What the reader's bytes are held against.
struct Memory {
    room: Room,
    /// Bytes that the reader has, as they count, and for how many of them memory is held.
    held: usize,
    covered: usize,
    first: usize,
    most: usize,
    /// What separates fields, where these cost something.
    field_end: Option<u8>,
    /// Held for a file as long as it is read.
    file: Option<BytePermit>,
}

impl Memory {
    fn new(context: &PutContext, body: &Body) -> Self {
        let length = body.bytes.length().and_then(|length| usize::try_from(length).ok());
        let first = match body.format {
            // All of it is needed before anything is read.
            BodyFormat::Parquet => length.unwrap_or(FIRST).min(body.most),
            _ => length.unwrap_or(FIRST).min(FIRST),
        };
        let field_end = (body.format == BodyFormat::Csv).then(|| body.text.delimiter.unwrap_or(b','));
        Self {
            room: Room::new(context),
            held: 0,
            covered: 0,
            first,
            most: body.most,
            field_end,
            file: None,
        }
    }

    /// The reader is to have this piece as well.
    async fn cover(&mut self, piece: &[u8], session: Option<&mut Session>) -> Result<(), Error> {
        let fields = self.field_end.map_or(0, |end| memchr_iter(end, piece).count());
        self.held += piece.len() + fields * FIELD_BYTES;
        if self.held > self.most {
            return Err(StreamError::TooLarge {
                what: format!(
                    "a row, or a file, takes more than {} bytes (limits.max_message_bytes)",
                    self.most
                ),
                kept: kept(session.as_deref()),
            }
            .into());
        }
        if self.held > self.covered {
            let covered = self
                .held
                .max(self.first)
                .max(self.covered.saturating_mul(2))
                .min(self.most);
            self.room.grow(covered, session).await?;
            self.covered = covered;
        }
        Ok(())
    }

    /// The memory of a batch that the reader has handed over.
    async fn of_batch(&mut self, bytes: usize, session: &mut Session) -> Result<BytePermit, Error> {
        if self.file.is_some() {
            return self.room.beside(bytes, session).await;
        }
        let permit = self.room.of_batch(bytes, session).await?;
        (self.held, self.covered) = (0, 0);
        Ok(permit)
    }
}

/// All bytes of a body.
async fn whole(context: &PutContext, mut body: Unpacked, memory: &mut Memory) -> Result<Bytes, Error> {
    let (idle, kept) = (context.idle_timeout, Kept::default());
    let mut file = BytesMut::new();
    loop {
        let piece = tokio::select! {
            biased;
            () = context.life.stopping.cancelled() => return Err(Error::Draining),
            piece = tokio::time::timeout(idle, body.next()) => piece.map_err(|_| StreamError::Idle { idle, kept })?,
        };
        let Some(piece) = piece else {
            return Ok(file.freeze());
        };
        let piece = piece.map_err(|lost| lost_body(lost, 0, kept))?;
        memory.cover(&piece, None).await?;
        file.extend_from_slice(&piece);
    }
}

/// The bytes of a body on their way to the reader.
struct Feed {
    body: Unpacked,
    /// `None` where all were sent.
    to: Option<mpsc::Sender<Bytes>>,
    /// A piece that memory is held for.
    next: Option<Bytes>,
    /// Since when the client is waited for.
    since: Instant,
}

impl Feed {
    fn new(body: Unpacked, to: mpsc::Sender<Bytes>) -> Self {
        Self {
            body,
            to: Some(to),
            next: None,
            since: Instant::now(),
        }
    }

    /// Whether the client has to send something.
    fn waits(&self) -> bool {
        self.to.is_some() && self.next.is_none()
    }
}

/// What happens next with a feed.
enum Step {
    /// The client sent something, or ended.
    Came(Option<Result<Bytes, Lost>>),
    /// The reader has a piece, which may be the end.
    Taken { ends: bool },
}

/// The next step of a feed; never where there is none any more.
async fn step(feed: Option<&mut Feed>) -> Step {
    let Some(feed) = feed else {
        return std::future::pending().await;
    };
    match (&feed.to, &mut feed.next) {
        (None, _) => std::future::pending().await,
        (Some(_), None) => Step::Came(feed.body.next().await),
        (Some(to), next @ Some(_)) => match to.reserve().await {
            Ok(place) => {
                let ends = next.as_ref().is_some_and(Bytes::is_empty);
                if let Some(piece) = next.take() {
                    place.send(piece);
                }
                feed.since = Instant::now();
                Step::Taken { ends }
            }
            // The reader has ended, and says why.
            Err(_) => std::future::pending().await,
        },
    }
}

struct Rows<'a> {
    context: &'a PutContext,
    memory: Memory,
    session: Option<Session>,
    events: mpsc::Receiver<Event>,
    feed: Option<Feed>,
}

impl Rows<'_> {
    async fn run(mut self, asked: &Asked, noted: &Noted) -> Result<(Summary, LoadOptions), Error> {
        let mut options = None;
        loop {
            match self.next().await? {
                Event::Opened(schema) => {
                    let (session, resolved) = self.context.open(asked, &schema).await?;
                    noted.note(&session);
                    (self.session, options) = (Some(session), Some(resolved));
                }
                Event::Batch(batch) => self.push(batch).await?,
                Event::End => break,
                Event::Failed(error) => return Err(unreadable(&error, kept(self.session.as_ref())).into()),
            }
        }
        let (Some(session), Some(options)) = (self.session, options) else {
            return Err(Error::Internal("a body ended before it was opened".to_owned()));
        };
        Ok((session.finish(StreamEnd::default()).await?, options))
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        let Some(session) = self.session.as_mut().filter(|_| batch.num_rows() > 0) else {
            return Ok(());
        };
        let bytes = batch.get_array_memory_size();
        let permit = self.memory.of_batch(bytes, session).await?;
        self.memory.room.settle();
        session
            .push(IncomingBatch {
                batch,
                wire_bytes: bytes,
                permit: Some(Arc::new(permit)),
                label: None,
            })
            .await
    }

    /// What the reader finds next; feeds it meanwhile, and writes what waits where that is needed.
    async fn next(&mut self) -> Result<Event, Error> {
        let idle = self.context.idle_timeout;
        loop {
            let waits = self.feed.as_ref().is_some_and(Feed::waits);
            let idle_at = self.feed.as_ref().map_or_else(Instant::now, |feed| feed.since) + idle;
            let flush_at = self.session.as_ref().and_then(Session::flush_at);
            let holds = self.session.as_ref().is_some_and(Session::holds_rows);
            tokio::select! {
                biased;
                () = self.context.life.stopping.cancelled() => return Err(Error::Draining),
                event = self.events.recv() => return event.ok_or_else(|| {
                    let reason = "the body is malformed in a way that its reader cannot name".to_owned();
                    StreamError::Unreadable { reason, kept: kept(self.session.as_ref()) }.into()
                }),
                step = step(self.feed.as_mut()) => self.fed(step).await?,
                () = tokio::time::sleep_until(flush_at.unwrap_or(idle_at).into()), if flush_at.is_some() => self.flush().await?,
                // Others wait for memory that this load holds for a chunk that is not full yet.
                () = self.context.budget.pressed(), if holds => self.flush().await?,
                () = tokio::time::sleep_until(idle_at.into()), if waits => {
                    return Err(StreamError::Idle { idle, kept: kept(self.session.as_ref()) }.into());
                }
            }
        }
    }

    async fn fed(&mut self, step: Step) -> Result<(), Error> {
        let Some(feed) = &mut self.feed else { return Ok(()) };
        match step {
            Step::Taken { ends: true } => feed.to = None,
            Step::Taken { ends: false } => {}
            // An empty piece is the end, which no other one is.
            Step::Came(None) => feed.next = Some(Bytes::new()),
            Step::Came(Some(Ok(piece))) => {
                self.memory.cover(&piece, self.session.as_mut()).await?;
                feed.next = Some(piece);
            }
            Step::Came(Some(Err(lost))) => {
                let received = self.session.as_ref().map_or(0, Session::received);
                return Err(lost_body(lost, received, kept(self.session.as_ref())).into());
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.session {
            Some(session) => session.flush().await,
            None => Ok(()),
        }
    }
}

fn kept(session: Option<&Session>) -> Kept {
    session.map_or_else(Kept::default, Session::kept)
}

fn lost_body(lost: Lost, received: u64, kept: Kept) -> StreamError {
    match lost {
        Lost::Malformed(reason) => StreamError::Unreadable { reason, kept },
        Lost::Gone(_) | Lost::TooLarge(_) => lost.error(0, received, kept),
    }
}

/// A reader's failure in words of this door: what are flags of `load` are parameters here.
fn unreadable(error: &SourceError, kept: Kept) -> StreamError {
    const WORDS: [(&str, &str); 5] = [
        ("--no-header", "header=false"),
        ("--infer-rows", "infer_rows"),
        ("--delimiter", "delimiter"),
        ("--text-columns names", "text_columns names"),
        ("--text-columns ", "text_columns="),
    ];
    let reason = WORDS
        .iter()
        .fold(error.to_string(), |text, (flag, word)| text.replace(flag, word));
    match error {
        SourceError::TooMuch { .. } => StreamError::TooLarge { what: reason, kept },
        _ => StreamError::Unreadable { reason, kept },
    }
}
