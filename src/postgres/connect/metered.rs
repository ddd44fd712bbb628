//! A stream that looks at the length of each message of the server before it lets it in. The driver takes whole messages into memory, and
//! one may have 1 GiB; here a row that is too large, or that others have taken the room of, waits in the socket instead. A large row of a COPY,
//! whose reader does not mind where its bytes are cut, goes on as many small messages, so that the driver never has it whole.
//!
//! A message is a byte that names its kind, then four with its length, which count themselves ("Message Formats" in the manual).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::flow::{Flow, LARGE, LargeRow, RowPermit};

const HEADER: usize = 5;
/// Bytes of a large row of a COPY that go on as one message, and that are read at once.
const CUT: usize = 1 << 20;
const PIECE: usize = 64 << 10;
/// Kinds: a row of a COPY, a row of a statement.
const COPY_DATA: u8 = b'd';
const DATA_ROW: u8 = b'D';

/// What comes first on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Messages.
    Messages,
    /// A byte that answers whether there is TLS: after `S` all is encrypted, else messages follow.
    TlsAnswer,
    /// What cannot be read here.
    Encrypted,
}

/// Reads of `inner`, with room asked for before a large row.
pub struct Metered<S> {
    inner: S,
    start: Start,
    flow: Flow,
    /// The beginning of a header that has not come whole.
    header: [u8; HEADER],
    have: usize,
    /// Bytes of a message that are still to come, and go on as they are.
    left: usize,
    /// Of a large row that is cut: bytes that are still to come, and those of them until the next cut.
    row_left: usize,
    cut_left: usize,
    /// A header of ours that is to go on before anything else.
    ours: ([u8; HEADER], usize),
    piece: Vec<u8>,
    /// Bytes of rows since the read began, and which read that is.
    rows: u64,
    read: u64,
    waiting: Option<BoxFuture<'static, Option<RowPermit>>>,
    is_refused: bool,
}

impl<S> std::fmt::Debug for Metered<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered")
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl<S> Metered<S> {
    pub(super) fn new(inner: S, start: Start, flow: Flow) -> Self {
        Self {
            inner,
            start,
            flow,
            header: [0; HEADER],
            have: 0,
            left: 0,
            row_left: 0,
            cut_left: 0,
            ours: ([0; HEADER], HEADER),
            piece: Vec::new(),
            rows: 0,
            read: 0,
            waiting: None,
            is_refused: false,
        }
    }

    /// Follows the messages in bytes that came. So many at their end are the beginning of a header, and must not go on yet.
    fn see(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            match (self.start, rest.first()) {
                (Start::Encrypted, _) => return 0,
                (Start::TlsAnswer, Some(b'S')) => self.start = Start::Encrypted,
                (Start::TlsAnswer, answer) => {
                    at += usize::from(answer == Some(&b'N'));
                    self.start = Start::Messages;
                }
                (Start::Messages, _) if self.left > 0 => {
                    let seen = self.left.min(rest.len());
                    self.left -= seen;
                    at += seen;
                }
                (Start::Messages, _) => match rest.split_first_chunk_mut() {
                    Some((header, rest)) => {
                        *header = self.begin(*header, rest.len());
                        at += HEADER;
                    }
                    None => {
                        self.have = rest.len();
                        self.header
                            .iter_mut()
                            .zip(&*rest)
                            .for_each(|(place, byte)| *place = *byte);
                        return rest.len();
                    }
                },
            }
        }
        0
    }

    /// A message begins, of which so many bytes are here at most; the header that goes on.
    fn begin(&mut self, header: [u8; HEADER], here: usize) -> [u8; HEADER] {
        let [kind, length @ ..] = header;
        let bytes = (u32::from_be_bytes(length) as usize).saturating_sub(length.len());
        self.left = bytes;
        let is_row = matches!(kind, COPY_DATA | DATA_ROW);
        if is_row {
            let read = self.flow.reads();
            if read != self.read {
                (self.read, self.rows) = (read, 0);
            }
            self.rows += bytes as u64;
        }
        if bytes < LARGE {
            return header;
        }
        self.is_refused = self.flow.refuses(bytes);
        if !is_row || self.is_refused {
            return header;
        }
        self.waiting = self.flow.begins(LargeRow {
            bytes,
            end: self.rows,
            stays: kind == DATA_ROW,
        });
        if self.waiting.is_none() || kind == DATA_ROW || bytes <= here {
            return header;
        }
        self.left = here;
        self.row_left = bytes - here;
        self.cut_left = CUT.max(here).min(bytes) - here;
        copy_data(here + self.cut_left)
    }
}

/// The header of so many bytes of a COPY.
fn copy_data(bytes: usize) -> [u8; HEADER] {
    let length = u32::try_from(bytes + 4).unwrap_or(u32::MAX).to_be_bytes();
    let [a, b, c, d] = length;
    [COPY_DATA, a, b, c, d]
}

impl<S: AsyncRead + Unpin> Metered<S> {
    /// What is to be read or waited for first; whether there was nothing of the kind.
    fn poll_first(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let (header, gone) = &mut self.ours;
        while let Some(byte) = header.get(*gone).filter(|_| into.remaining() > 0) {
            into.put_slice(&[*byte]);
            *gone += 1;
        }
        if into.remaining() == 0 {
            return Poll::Ready(Ok(false));
        }
        if let Some(waiting) = &mut self.waiting {
            let permit = ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
            match permit {
                Some(permit) => self.flow.keep(permit),
                None => self.is_refused = true,
            }
        }
        if self.is_refused {
            return Poll::Ready(Err(io::Error::other("a large row is not read")));
        }
        if self.row_left > 0 {
            if self.cut_left == 0 {
                self.cut_left = CUT.min(self.row_left);
                self.ours = (copy_data(self.cut_left), 0);
                return self.poll_first(cx, into);
            }
            let most = self.cut_left.min(PIECE).min(into.remaining());
            self.piece.resize(PIECE, 0);
            let mut piece = ReadBuf::new(self.piece.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece))?;
            into.put_slice(piece.filled());
            self.cut_left -= piece.filled().len();
            self.row_left -= piece.filled().len();
            if self.row_left == 0 {
                self.piece = Vec::new();
            }
            return Poll::Ready(Ok(false));
        }
        if self.have > 0 {
            let mut rest = ReadBuf::new(self.header.get_mut(self.have..).unwrap_or_default());
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut rest))?;
            let came = rest.filled().len();
            if came == 0 {
                return Poll::Ready(Ok(false));
            }
            self.have += came;
            if self.have == HEADER {
                self.have = 0;
                self.ours = (self.begin(self.header, 0), 0);
            }
            return self.poll_first(cx, into);
        }
        Poll::Ready(Ok(true))
    }

    fn poll_all(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !ready!(self.poll_first(cx, into))? {
                return Poll::Ready(Ok(()));
            }
            let before = into.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
            let came = into.filled().len() - before;
            let back = self.see(into.filled_mut().get_mut(before..).unwrap_or_default());
            into.set_filled(before + came - back);
            // Without a byte it would be the end of the stream.
            if came == 0 || came > back {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = self.get_mut().poll_all(cx, into);
        match into.filled().len() > before {
            // What came goes on; what there is to wait for, or to say, is there the next time.
            true => Poll::Ready(Ok(())),
            false => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Metered<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests;
