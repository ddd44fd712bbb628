//! One HTTP/2 connection as the doors see it: a number, the peer's address, and a signal when it ends.
//!
//! CloudQuery's calls carry no session id, so the connection stands for the client. Peer addresses do not serve: a unix
//! socket has none. Knows no protocol.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

/// Number of a connection, unique in this process.
pub type ConnectionId = u64;

/// What a call can learn about the connection that it came over.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The connection's number.
    pub id: ConnectionId,
    /// Remote address; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Cancelled when the connection ended.
    pub ended: CancellationToken,
}

impl ConnectionInfo {
    /// The connection of a call; `None` where the call came through no [`Tracked`] transport.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// A transport that says when it ends.
#[derive(Debug)]
pub struct Tracked<Io> {
    io: Io,
    info: ConnectionInfo,
    _ended: DropGuard,
}

impl<Io> Tracked<Io> {
    /// Gives a connection its number.
    pub fn new(io: Io, peer: Option<SocketAddr>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let ended = CancellationToken::new();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            io,
            info: ConnectionInfo {
                id,
                peer,
                ended: ended.clone(),
            },
            _ended: ended.drop_guard(),
        }
    }
}

impl<Io> Connected for Tracked<Io> {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Tracked<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Tracked<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
