//! The socket to a server, opened as the driver opens its own. It is ours so that what comes over it can be metered.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::Config;

use super::plan::Target;

/// A connected socket.
#[derive(Debug)]
pub enum Wire {
    /// Over a network.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

impl Wire {
    /// Connects to a host's address; to a Unix socket where there is none.
    pub(super) async fn open(config: &Config, target: &Target, address: Option<IpAddr>) -> io::Result<Self> {
        let Some(address) = address else {
            let path = Path::new(&target.host).join(format!(".s.PGSQL.{}", target.port));
            return UnixStream::connect(path).await.map(Self::Unix);
        };
        let stream = TcpStream::connect((address, target.port)).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        #[cfg(target_os = "linux")]
        if let Some(timeout) = config.get_tcp_user_timeout() {
            socket.set_tcp_user_timeout(Some(*timeout))?;
        }
        if config.get_keepalives() {
            let mut alive = TcpKeepalive::new().with_time(config.get_keepalives_idle());
            if let Some(interval) = config.get_keepalives_interval() {
                alive = alive.with_interval(interval);
            }
            if let Some(retries) = config.get_keepalives_retries() {
                alive = alive.with_retries(retries);
            }
            socket.set_tcp_keepalive(&alive)?;
        }
        Ok(Self::Tcp(stream))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
