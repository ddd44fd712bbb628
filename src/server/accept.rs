//! Takes connections from a socket, as far as there are places for them. Where the system gives none, it says so now and
//! then, makes room, and tries again after a pause. Knows no protocol.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::authority::NamedAuthority;
use super::connection::Tracked;
use super::crowd::Crowd;

/// Pause after the system gave no connection: what is wrong (no file descriptors, no memory) does not pass at once.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that connections come from.
pub(super) trait Socket: Send + 'static {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A connection, the address it came from, and the user at the other end.
    fn take(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>, Option<u32>)>> + Send;
}

impl Socket for TcpListener {
    type Io = TcpStream;

    async fn take(&self) -> io::Result<(TcpStream, Option<SocketAddr>, Option<u32>)> {
        let (stream, peer) = self.accept().await?;
        // Small answers shall not wait for acknowledgements; a connection that is gone already will show it.
        drop(stream.set_nodelay(true));
        Ok((stream, Some(peer), None))
    }
}

impl Socket for UnixListener {
    type Io = NamedAuthority<UnixStream>;

    async fn take(&self) -> io::Result<(Self::Io, Option<SocketAddr>, Option<u32>)> {
        let (stream, _) = self.accept().await?;
        let user = stream.peer_cred().ok().map(|peer| peer.uid());
        Ok((NamedAuthority::new(stream), None, user))
    }
}

/// Connections of one port.
#[derive(Debug)]
pub(super) struct Incoming<S> {
    socket: S,
    crowd: Crowd,
    /// A file descriptor that can be given up for a connection when there is no other.
    spare: Option<Option<File>>,
}

impl<S: Socket> Incoming<S> {
    pub(super) fn new(socket: S, crowd: Crowd) -> Self {
        let spare = None;
        Self { socket, crowd, spare }
    }

    /// Keeps a file descriptor back, so that there is a connection even when the process has used up all others.
    pub(super) fn with_spare(mut self) -> Self {
        self.spare = Some(None);
        self
    }

    /// The next connection that there is a place for.
    pub(super) async fn next(&mut self) -> Tracked<S::Io> {
        loop {
            if let Some(spare @ None) = &mut self.spare {
                *spare = File::open("/dev/null").ok();
            }
            match self.socket.take().await {
                Ok((io, peer, uid)) => {
                    if let Some(place) = self.crowd.admit(peer).await {
                        return Tracked::new(io, peer, uid, place);
                    }
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    self.crowd.accept_failed(&error);
                    // With the spare one given up there is a descriptor for the connection that waits.
                    if self.spare.as_mut().is_none_or(|spare| spare.take().is_none()) {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// As the gRPC server takes them.
    pub(super) fn stream(self) -> impl Stream<Item = io::Result<Tracked<S::Io>>> {
        futures::stream::unfold(self, |mut incoming| async {
            let connection = incoming.next().await;
            Some((Ok(connection), incoming))
        })
    }
}

/// The connection went away before it was taken, which says nothing about the next.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
