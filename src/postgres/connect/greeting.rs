//! Which server process greeted a connection. The driver keeps that number for cancel requests and does not show it, so a
//! cancel request is written to memory and read there; nothing is sent to anybody.
//!
//! Against a server the number is that of the process that answers. A pooler greets its clients itself, with a number of its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Length and code of a cancel request, before the process and its key.
const HEAD: [u8; 8] = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e];

/// The number that the other side gave its process when it took this client.
pub async fn greeted_by(client: &Client) -> Option<i32> {
    let note = Note::default();
    let written = client.cancel_token().cancel_query_raw(note.clone(), Plain).await;
    written.ok()?;
    let bytes = note.0.lock().unwrap_or_else(PoisonError::into_inner);
    let start = bytes.windows(HEAD.len()).position(|window| window == HEAD)? + HEAD.len();
    let process = bytes.get(start..start + 4)?;
    Some(i32::from_be_bytes(process.try_into().ok()?))
}

/// Keeps what is written, and agrees to TLS when asked.
#[derive(Clone, Default)]
struct Note(Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Note {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Note {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Note {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// The TLS of what never leaves memory.
struct Plain;

impl TlsConnect<Note> for Plain {
    type Stream = Note;
    type Error = Infallible;
    type Future = Ready<Result<Note, Infallible>>;

    fn connect(self, stream: Note) -> Self::Future {
        ready(Ok(stream))
    }
}
