//! A request body that ends only where its client ended it, and that lets a message in when there is memory for it.
//!
//! A client that gives up resets its HTTP/2 stream (RFC 9113, 8.1): a call that was cancelled, ran into its deadline, or
//! whose program was stopped. tonic reads a reset with CANCEL as the end of the upload, and hyper one with NO_ERROR; the
//! rows that came until then would be committed as if they were all. Here both are errors, so that no door can take
//! a part for the whole.
//!
//! A message's length stands before it (gRPC over HTTP/2: a flag, then four bytes, most significant first). Where the door
//! has closed its [`Gate`], a message waits there, as a part of the HTTP/2 window, until the door has memory for all
//! of it. What is passed on ends where the message ends: the gRPC library's buffer would otherwise grow to twice its size
//! for the first bytes of the next one, and rows are read in place from that buffer.
//!
//! A call with one message has to send it: nobody else waits for that, and a client that falls silent would keep its place for
//! good. Where messages come one after another, the door knows how long to wait.
//!
//! Knows nothing of what messages hold.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::{Code, Status};

/// Bytes before a message: the flag that says whether it is compressed, and its length.
const HEADER: usize = 5;

/// Where the messages of one upload ask for memory. Open until a door closes it; then each message asks. Upload and door
/// are polled by one task, so neither wakes the other.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    turn: Turn,
    /// When bytes came last.
    received: Option<Instant>,
    /// When the message that is coming was let in, and its size.
    coming: Option<(Instant, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Turn {
    /// Messages pass.
    #[default]
    Open,
    /// The next message has to ask.
    Shut,
    /// A message of so many bytes asks.
    Asked(usize),
    /// The message that asked may come in.
    Granted,
}

/// Calls whose messages come one after another.
const STREAMS: [&str; 5] = ["/DoPut", "/DoExchange", "/Handshake", "/Write", "/Transform"];

/// Bytes per second at which a message has to come that memory is held for: a client that announces much and sends little
/// would keep it from all others.
const LOWEST_RATE: usize = 256 << 10;

impl State {
    fn late_at(&self, idle: Duration) -> Option<Instant> {
        let (since, bytes) = self.coming?;
        Some(since + idle + Duration::from_secs((bytes / LOWEST_RATE) as u64))
    }
}

impl Gate {
    /// The gate of a call; one that nobody asks at where the call came through no upload of ours.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// From now on messages ask.
    pub fn close(&self) {
        self.state().turn = Turn::Shut;
    }

    /// When a client that was waited for since then counts as idle: so long after its last byte, and so long after a message
    /// that was let in could have come at the lowest rate.
    pub fn idle_at(&self, since: Instant, idle: Duration) -> Instant {
        let state = self.state();
        let quiet = state.received.map_or(since, |received| received.max(since)) + idle;
        state.late_at(idle).map_or(quiet, |late| late.min(quiet))
    }

    /// The same for a client that may send nothing as long as it likes, but not in the middle of a message.
    pub fn overdue_at(&self, idle: Duration) -> Option<Instant> {
        let (since, _) = self.state().coming?;
        Some(self.idle_at(since, idle))
    }

    /// The size of the message that asks, in bytes. To be polled after the stream of messages itself, by the same task.
    pub async fn asked(&self) -> usize {
        std::future::poll_fn(|_| match self.state().turn {
            Turn::Asked(bytes) => Poll::Ready(bytes),
            Turn::Open | Turn::Shut | Turn::Granted => Poll::Pending,
        })
        .await
    }

    /// There is memory for the message that asked.
    pub fn grant(&self) {
        let mut state = self.state();
        if let Turn::Asked(bytes) = state.turn {
            state.coming = Some((Instant::now(), bytes));
        }
        state.turn = Turn::Granted;
    }

    /// Bytes came.
    pub(crate) fn heard(&self) {
        self.state().received = Some(Instant::now());
    }

    /// The message that was let in is whole.
    pub(crate) fn came(&self) {
        self.state().coming = None;
    }

    /// Whether a message of so many bytes may pass; one that may not asks from now on.
    pub(crate) fn passes(&self, bytes: usize) -> bool {
        let mut state = self.state();
        match state.turn {
            Turn::Open => true,
            Turn::Granted => {
                state.turn = Turn::Shut;
                true
            }
            Turn::Shut | Turn::Asked(_) => {
                state.turn = Turn::Asked(bytes);
                false
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request body with that end and that gate.
#[derive(Debug)]
pub(crate) struct Upload<B> {
    body: B,
    /// It ended, one way or the other.
    over: bool,
    /// What came and was not passed on.
    received: Bytes,
    /// The header that is being read, and bytes of its message that have yet to come.
    header: BytesMut,
    left: usize,
    gate: Gate,
    /// Longer messages are refused behind this body, whoever has memory for them.
    max_message_bytes: usize,
    /// Of a call with one message: how long a pause may be, and the one that began last.
    patience: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Upload<tonic::body::Body> {
    /// Puts the body of a request into one, and its gate beside it.
    pub(crate) fn guard(
        mut request: http::Request<tonic::body::Body>,
        max_message_bytes: usize,
        idle: Duration,
    ) -> http::Request<tonic::body::Body> {
        let gate = Gate::default();
        request.extensions_mut().insert(gate.clone());
        let is_stream = STREAMS.iter().any(|call| request.uri().path().ends_with(call));
        request.map(|body| {
            let mut upload = Upload::new(body, gate, max_message_bytes);
            upload.patience = (!is_stream).then(|| (idle, Box::pin(tokio::time::sleep(idle))));
            tonic::body::Body::new(upload)
        })
    }
}

impl<B> Upload<B> {
    /// Whether a message has begun and is not whole.
    fn is_cut(&self) -> bool {
        self.left > 0 || !self.header.is_empty()
    }

    /// Not `CANCELLED`, which the gRPC library would read as an end.
    fn give_up<T>(&mut self) -> Poll<Option<Result<T, Status>>> {
        self.over = true;
        Poll::Ready(Some(Err(Status::aborted(
            "the client gave the call up before the end of its stream",
        ))))
    }

    fn new(body: B, gate: Gate, max_message_bytes: usize) -> Self {
        Self {
            body,
            over: false,
            received: Bytes::new(),
            header: BytesMut::with_capacity(HEADER),
            left: 0,
            gate,
            max_message_bytes,
            patience: None,
        }
    }

    /// Nothing comes: an error when that lasts too long.
    fn poll_silence<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let Some((idle, pause)) = &mut self.patience else {
            return Poll::Pending;
        };
        ready!(pause.as_mut().poll(cx));
        self.over = true;
        Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
            "the call's message did not come within {} s (limits.stream_idle_timeout)",
            idle.as_secs_f64()
        )))))
    }

    /// The next bytes to pass on, of what came; `Pending` where a message has to wait for memory, `None` where more has to
    /// come first.
    fn passed(&mut self) -> Poll<Option<Bytes>> {
        if self.left > 0 && self.received.has_remaining() {
            let part = self.received.split_to(self.left.min(self.received.len()));
            self.left -= part.len();
            if self.left == 0 {
                self.gate.came();
            }
            return Poll::Ready(Some(part));
        }
        let missing = (HEADER - self.header.len()).min(self.received.len());
        self.header.extend_from_slice(&self.received.split_to(missing));
        let Some(length) = self.header.get(1..HEADER) else {
            return Poll::Ready(None);
        };
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length <= self.max_message_bytes && !self.gate.passes(length) {
            return Poll::Pending;
        }
        self.left = length;
        if length == 0 {
            self.gate.came();
        }
        Poll::Ready(Some(self.header.split().freeze()))
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        while !this.over {
            if let Some(part) = ready!(this.passed()) {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
                return this.poll_silence(cx);
            };
            if let (Some(Ok(_)), Some((idle, pause))) = (&frame, &mut this.patience) {
                pause.as_mut().reset(tokio::time::Instant::now() + *idle);
            }
            this.over = !matches!(frame, Some(Ok(_)));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    this.gate.heard();
                    this.received = data;
                }
                // Behind these the gRPC library does not look whether the last message was whole.
                Some(Ok(Err(_))) | None if this.is_cut() => return this.give_up(),
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(status)) if status.code() == Code::Cancelled => return this.give_up(),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if !this.body.is_end_stream() => return this.give_up(),
                None => {}
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.received.is_empty() && !self.is_cut() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.received.is_empty() && self.header.is_empty() {
            true => self.body.size_hint(),
            false => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
