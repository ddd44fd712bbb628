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
//! Knows nothing of what messages hold.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
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

    /// Whether a message of so many bytes may pass.
    fn passes(&self, bytes: usize) -> bool {
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
}

impl Upload<tonic::body::Body> {
    /// Puts the body of a request into one, and its gate beside it.
    pub(crate) fn guard(
        mut request: http::Request<tonic::body::Body>,
        max_message_bytes: usize,
    ) -> http::Request<tonic::body::Body> {
        let gate = Gate::default();
        request.extensions_mut().insert(gate.clone());
        request.map(|body| tonic::body::Body::new(Upload::new(body, gate, max_message_bytes)))
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
        }
    }

    /// The next bytes to pass on, of what came; `Pending` where a message has to wait for memory, `None` where more has to
    /// come first.
    fn passed(&mut self) -> Poll<Option<Bytes>> {
        if self.left > 0 && self.received.has_remaining() {
            let part = self.received.split_to(self.left.min(self.received.len()));
            self.left -= part.len();
            if self.left == 0 {
                self.gate.state().coming = None;
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
            self.gate.state().coming = None;
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
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            this.over = !matches!(frame, Some(Ok(_)));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    this.gate.state().received = Some(Instant::now());
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
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    use super::*;

    /// Longest message.
    const LIMIT: usize = 1_000;

    /// A body as hyper and tonic hand it over: frames, then a reset, or the end that the client set.
    struct Received {
        frames: VecDeque<Result<Frame<Bytes>, Status>>,
        ended_by_client: bool,
    }

    impl Body for Received {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.get_mut().frames.pop_front())
        }

        fn is_end_stream(&self) -> bool {
            self.ended_by_client && self.frames.is_empty()
        }
    }

    async fn collected(reset: Option<Status>, ended_by_client: bool) -> Result<Bytes, Status> {
        let data = Frame::data(Bytes::from_static(b"\0\0\0\0\x04rows"));
        let body = Received {
            frames: [Ok(data)].into_iter().chain(reset.map(Err)).collect(),
            ended_by_client,
        };
        let upload = Upload::new(body, Gate::default(), LIMIT);
        let collected = upload.collect().await?;
        Ok(collected.to_bytes())
    }

    #[tokio::test]
    async fn an_upload_that_its_client_ended_is_whole() {
        assert_eq!(collected(None, true).await.unwrap(), "\0\0\0\0\x04rows");
    }

    #[tokio::test]
    async fn a_cancelled_upload_is_an_error_that_tonic_does_not_read_as_an_end() {
        let error = collected(Some(Status::cancelled("reset")), false).await.unwrap_err();
        assert_eq!(error.code(), Code::Aborted);
    }

    #[tokio::test]
    async fn an_upload_that_stops_without_an_end_is_an_error() {
        assert_eq!(collected(None, false).await.unwrap_err().code(), Code::Aborted);
    }

    #[tokio::test]
    async fn other_errors_stay_what_they_are() {
        let error = collected(Some(Status::unavailable("gone")), false).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
    }

    fn received(parts: &[&[u8]]) -> Received {
        let data = |part: &&[u8]| Ok(Frame::data(Bytes::copy_from_slice(part)));
        Received {
            frames: parts.iter().map(data).collect(),
            ended_by_client: true,
        }
    }

    /// A message with its header: not compressed.
    fn message(length: usize) -> Vec<u8> {
        let announced = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &announced, &vec![7; length]].concat()
    }

    /// The next part that is passed on; `None` where the upload waits at its gate.
    async fn next(upload: &mut Upload<Received>) -> Option<Bytes> {
        let frame = futures::poll!(upload.frame());
        match frame {
            Poll::Ready(frame) => Some(frame.unwrap().unwrap().into_data().unwrap()),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn however_an_upload_is_cut_its_bytes_pass_in_order_and_end_where_messages_end() {
        let whole = [message(300), message(0), message(5), message(40)].concat();
        for size in [1, 2, 3, 4, 5, 7, 64, 305, 306, 1_000] {
            let parts: Vec<&[u8]> = whole.chunks(size).collect();
            let mut upload = Upload::new(received(&parts), Gate::default(), LIMIT);
            let (mut passed, mut ends) = (Vec::new(), Vec::new());
            while let Some(frame) = upload.frame().await {
                passed.extend_from_slice(&frame.unwrap().into_data().unwrap());
                ends.push(passed.len());
            }
            assert_eq!(passed, whole, "frames of {size} bytes");
            for end in [305, 310, 320, 365] {
                assert!(ends.contains(&end), "frames of {size} bytes: {ends:?}");
            }
            assert!(upload.is_end_stream());
        }
    }

    #[tokio::test]
    async fn behind_a_closed_gate_each_message_waits_for_its_memory() {
        let gate = Gate::default();
        let whole = [message(3), message(20), message(30)].concat();
        let mut upload = Upload::new(received(&[&whole]), gate.clone(), LIMIT);
        assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
        assert_eq!(next(&mut upload).await.unwrap().len(), 3);
        gate.close();
        for length in [20, 30] {
            assert_eq!(next(&mut upload).await, None);
            assert_eq!(gate.asked().await, length);
            assert_eq!(next(&mut upload).await, None, "asking again changes nothing");
            gate.grant();
            assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
            assert_eq!(next(&mut upload).await.unwrap().len(), length);
        }
        assert!(upload.frame().await.is_none());
        assert!(gate.state().received.is_some());
    }

    #[tokio::test]
    async fn a_message_over_the_limit_passes_without_asking_since_it_will_be_refused() {
        let gate = Gate::default();
        gate.close();
        let mut upload = Upload::new(received(&[&message(LIMIT + 1)]), gate, LIMIT);
        assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
    }

    #[tokio::test]
    async fn a_message_that_is_cut_short_is_no_end_even_where_the_stream_ended() {
        let whole = message(20);
        for cut in [1, 4, 5, 6, 24] {
            for trailers in [false, true] {
                let mut body = received(&[&whole, &whole[..cut]]);
                if trailers {
                    body.frames.push_back(Ok(Frame::trailers(http::HeaderMap::new())));
                }
                let outcome = Upload::new(body, Gate::default(), LIMIT).collect().await;
                let error = outcome.expect_err("it is not whole");
                assert_eq!(error.code(), Code::Aborted, "{cut} bytes, trailers: {trailers}");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_announces_much_and_sends_little_is_idle_in_the_end() {
        let (gate, idle) = (Gate::default(), Duration::from_secs(1));
        gate.close();
        let announced = message(20 * LOWEST_RATE);
        let mut upload = Upload::new(received(&[&announced[..100]]), gate.clone(), usize::MAX);
        assert_eq!(next(&mut upload).await, None);
        assert_eq!(gate.overdue_at(idle), None, "nothing was let in");
        let before = Instant::now();
        gate.grant();
        assert_eq!(next(&mut upload).await.unwrap().len(), HEADER);
        let silent = gate.overdue_at(idle).expect("a message is coming");
        assert!(silent >= before + idle && silent < before + 10 * idle);
        gate.state().received = Some(before + 100 * idle);
        let dripping = gate.overdue_at(idle).expect("a message is coming");
        assert!(dripping >= before + 21 * idle && dripping < before + 30 * idle);
    }
}
