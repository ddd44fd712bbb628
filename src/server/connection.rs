//! One connection as the doors see it: a number, the peer's address, and a signal when it ends. One that makes no call in
//! its time, or is in the way meanwhile, ends with an error where its bytes are read: before, in or after a TLS handshake.
//!
//! CloudQuery's calls carry no session id, so the connection stands for the client. Peer addresses do not serve: a unix
//! socket has none. Knows no protocol.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

use super::crowd::{Place, Voice};

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
    /// Who is at its other end, as the connection itself tells.
    pub peer_name: PeerName,
    /// By which its first call is noted.
    pub(crate) voice: Option<Voice>,
}

/// Who is at the other end of a connection, as its transport knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerName {
    /// User at the other end of a unix socket.
    pub uid: Option<u32>,
    /// What a client's certificate calls it.
    pub certificate: Option<Arc<str>>,
}

impl ConnectionInfo {
    /// The connection of a call; `None` where the call came through no [`Tracked`] transport.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// A transport that says when it ends.
pub struct Tracked<Io> {
    io: Io,
    info: ConnectionInfo,
    /// Until the first call, or the end of a brief one: ready when the connection has to end.
    silence: Option<Pin<Box<dyn Future<Output = bool> + Send + Sync>>>,
    place: Place,
    /// Runs from the moment when our side was closed.
    lingering: Option<Pin<Box<Sleep>>>,
    _ended: DropGuard,
}

/// How long what a client still sends is taken off after we have closed our side. A socket that is closed over unread
/// input is reset, and a reset destroys the last answer on its way to a client that has not read it yet.
const LINGER: Duration = Duration::from_secs(1);

impl<Io> Tracked<Io> {
    /// Gives a connection its number.
    pub(crate) fn new(io: Io, peer: Option<SocketAddr>, uid: Option<u32>, place: Place) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let ended = CancellationToken::new();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (leave, time) = (place.leave(), tokio::time::sleep(place.first_call()));
        let silence = async move {
            tokio::select! {
                () = leave.cancelled_owned() => false,
                () = time => true,
            }
        };
        Self {
            io,
            info: ConnectionInfo {
                id,
                peer,
                ended: ended.clone(),
                peer_name: PeerName { uid, certificate: None },
                voice: Some(place.voice()),
            },
            silence: Some(Box::pin(silence)),
            place,
            lingering: None,
            _ended: ended.drop_guard(),
        }
    }
}

impl<Io: std::fmt::Debug> std::fmt::Debug for Tracked<Io> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracked")
            .field("io", &self.io)
            .field("info", &self.info)
            .finish_non_exhaustive()
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
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io> Tracked<Io> {
    /// An error where it has to end for having made no call.
    fn check(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        if !self.place.is_brief() && self.info.voice.as_ref().is_some_and(Voice::spoke) {
            self.silence = None;
        }
        let Some(silence) = &mut self.silence else {
            return Ok(());
        };
        let Poll::Ready(in_vain) = silence.as_mut().poll(cx) else {
            return Ok(());
        };
        if in_vain {
            self.place.stayed_silent();
        }
        // The next look is an error as well.
        self.silence = Some(Box::pin(std::future::ready(false)));
        Err(std::io::ErrorKind::TimedOut.into())
    }
}

impl<Io: AsyncRead + Unpin> Tracked<Io> {
    /// Takes off what comes until the client closes, breaks, or its time is over.
    fn poll_drained(&mut self, cx: &mut Context<'_>, mut time: Pin<&mut Sleep>) -> Poll<()> {
        let mut scrap = [0; 16 << 10];
        loop {
            if time.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tracked<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut time = match self.lingering.take() {
            Some(time) => time,
            None => {
                ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
                Box::pin(tokio::time::sleep(LINGER))
            }
        };
        let drained = self.poll_drained(cx, time.as_mut());
        self.lingering = Some(time);
        drained.map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
