//! The proxy itself: accepts, forwards message by message, does what was armed, writes down what it did.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::fault::{Conversation, Deed, Fault, Point};
use super::ledger::{Shape, Shared, What};
use super::stranded::Stranded;
use super::wire::{Framer, Kind, Message, Side};

/// A running proxy; dropping it resets everything that goes through it.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// How forwarding one direction ended.
enum End {
    /// The sender closed.
    Closed,
    Reset,
    /// The last message of this side has to reach the other one; only the sender is reset.
    Delivered(Side),
    Zombie,
    /// Nothing of the sender passes any more, until it is gone.
    Muted,
    Stranded(Message),
}

impl Proxy {
    /// A proxy in front of `upstream`, on a free loopback port.
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        Self::open(upstream, false).await
    }

    /// A proxy for any other protocol: it shapes and resets, and knows no messages.
    pub(crate) async fn opaque(upstream: SocketAddr) -> Self {
        Self::open(upstream, true).await
    }

    async fn open(upstream: SocketAddr, opaque: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared::new(upstream, opaque));
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// A proxy in front of the server that a connection string names, and the string that leads through the proxy.
    pub(crate) async fn before(uri: &str) -> (Self, String) {
        let (scheme, rest) = uri.split_once("://").expect("a URI");
        let (authority, database) = rest.split_once('/').expect("a database");
        let (user, address) = authority.rsplit_once('@').expect("a user");
        let proxy = Self::start(address.parse().expect("an address and a port")).await;
        let uri = format!("{scheme}://{user}@{}/{database}", proxy.address);
        (proxy, uri)
    }

    /// `http://127.0.0.1:port` of the proxy itself.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Carries the fault out once, when its point is passed for the n-th time from now.
    pub(crate) fn arm(&self, at: Point, nth: u64, deed: Deed) {
        assert!(nth > 0, "occurrences are counted from 1");
        self.shared.ledger().armed.push((Fault { at, nth, deed }, 0));
    }

    /// Forgets what is armed.
    pub(crate) fn disarm(&self) {
        self.shared.ledger().armed.clear();
    }

    pub(crate) fn shape(&self, shape: Shape) {
        self.shared.ledger().shape = shape;
    }

    /// Resets all open connections, both ends.
    pub(crate) fn reset_all(&self) {
        let mut ledger = self.shared.ledger();
        std::mem::take(&mut ledger.reset).cancel();
    }

    /// Lets go of the server's ends that `LeaveZombie` kept.
    pub(crate) fn bury_zombies(&self) {
        self.shared.ledger().zombies.clear();
    }

    /// Gives the server the messages that `Strand` kept, and returns what it answered to each.
    pub(crate) async fn deliver_stranded(&self) -> Vec<String> {
        let stranded = std::mem::take(&mut self.shared.ledger().stranded);
        let mut answers = Vec::new();
        for message in stranded {
            answers.push(message.deliver().await);
        }
        answers
    }

    /// How often a point was passed, whether or not anything was armed there.
    pub(crate) fn passed(&self, point: Point) -> u64 {
        self.shared.ledger().counts.get(&point).copied().unwrap_or(0)
    }

    /// The faults that were carried out, in order.
    pub(crate) fn fired(&self) -> Vec<Fault> {
        let ledger = self.shared.ledger();
        let fired = ledger.trace.iter().filter_map(|event| match event.what {
            What::Fired(fault) => Some(fault),
            _ => None,
        });
        fired.collect()
    }

    /// Everything that happened, a line each.
    pub(crate) fn trace(&self) -> String {
        let ledger = self.shared.ledger();
        let lines = ledger.trace.iter().map(|event| {
            let millis = event.after.as_millis();
            format!("{millis:>6} ms  connection {:<3} {:?}", event.connection, event.what)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        let Ok((client, _)) = client else { continue };
        let (connection, reset, refuse) = {
            let mut ledger = shared.ledger();
            ledger.connections += 1;
            (ledger.connections, ledger.reset.clone(), ledger.shape.refuse)
        };
        if refuse {
            reset_socket(client);
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.note(connection, What::Opened);
            serve(connection, client, &shared, reset).await;
            shared.note(connection, What::Closed);
        });
    }
}

async fn serve(connection: u64, client: TcpStream, shared: &Shared, reset: CancellationToken) {
    let Ok(server) = TcpStream::connect(shared.upstream).await else {
        return reset_socket(client);
    };
    for socket in [&client, &server] {
        socket.set_nodelay(true).expect("a TCP socket");
    }
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    let state = Mutex::new(State::default());
    let leg = |side| Leg {
        connection,
        side,
        shared,
        state: &state,
    };
    let (mut up, mut down) = (Pipe::new(client_in, server_out), Pipe::new(server_in, client_out));
    let (upward, downward) = (leg(Side::Client), leg(Side::Server));
    let end = tokio::select! {
        end = upward.forward(&mut up) => end,
        end = downward.forward(&mut down) => end,
        () = reset.cancelled() => End::Reset,
        () = shared.stop.cancelled() => End::Reset,
    };
    let (client, server) = (up.from.reunite(down.to), down.from.reunite(up.to));
    let (Ok(client), Ok(server)) = (client, server) else {
        unreachable!("halves of one socket")
    };
    match end {
        End::Closed | End::Muted => {
            tokio::join!(part_gently(client), part_gently(server));
        }
        End::Reset => {
            reset_socket(client);
            reset_socket(server);
        }
        // A reset of the receiver could overtake what it has not read yet.
        End::Delivered(Side::Client) => {
            reset_socket(client);
            part_gently(server).await;
        }
        End::Delivered(Side::Server) => {
            reset_socket(server);
            part_gently(client).await;
        }
        End::Zombie => {
            reset_socket(client);
            shared.ledger().zombies.push(server);
        }
        End::Stranded(message) => {
            reset_socket(client);
            shared.ledger().stranded.push(Stranded::new(server, message));
        }
    }
}

/// The end learns of an orderly close; unread input is taken off first, since closing over it would reset the
/// connection and could destroy the last words on their way.
async fn part_gently(mut socket: TcpStream) {
    // One that is gone already cannot be told.
    drop(socket.shutdown().await);
    let drain = async {
        let mut rest = [0_u8; 4096];
        while matches!(socket.read(&mut rest).await, Ok(1..)) {}
    };
    drop(tokio::time::timeout(Duration::from_secs(1), drain).await);
}

fn reset_socket(socket: TcpStream) {
    // A socket that is dead already needs no reset.
    drop(socket.set_zero_linger());
    drop(socket);
}

/// What both directions of a connection share.
#[derive(Debug, Default)]
struct State {
    conversation: Conversation,
    encryption_asked: bool,
    silent: bool,
}

struct Leg<'a> {
    connection: u64,
    side: Side,
    shared: &'a Shared,
    state: &'a Mutex<State>,
}

struct Pipe {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl Pipe {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf) -> Self {
        Self { from, to }
    }
}

impl Leg<'_> {
    async fn forward(&self, pipe: &mut Pipe) -> End {
        let mut framer = Framer::new(self.side);
        loop {
            while let Some(message) = self.next(&mut framer) {
                match self.pass(message, &mut pipe.to).await {
                    None => {}
                    Some(End::Muted) => {
                        let mut unheard = [0_u8; 4096];
                        while matches!(pipe.from.read(&mut unheard).await, Ok(1..)) {}
                        return End::Closed;
                    }
                    Some(end) => return end,
                }
            }
            if !matches!(pipe.from.read_buf(framer.input()).await, Ok(1..)) {
                return End::Closed;
            }
        }
    }

    fn next(&self, framer: &mut Framer) -> Option<Message> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let message = match self.shared.opaque {
            true => framer.everything()?,
            false => framer.next(state.encryption_asked)?,
        };
        match message.kind {
            Kind::Encryption => state.encryption_asked = true,
            Kind::EncryptionAnswer(answer) => {
                assert_eq!(answer, b'N', "the proxy cannot read an encrypted connection");
                state.encryption_asked = false;
            }
            _ => {}
        }
        Some(message)
    }

    /// Forwards one message or does what is due there; `Some` ends the connection.
    async fn pass(&self, message: Message, to: &mut OwnedWriteHalf) -> Option<End> {
        let deed = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let points = state.conversation.points(self.side, &message);
            let deed = self.shared.judge(self.connection, &points);
            state.silent |= deed == Some(Deed::BlackHole);
            deed
        };
        self.wait_for_the_line(message.bytes.len()).await;
        match deed {
            Some(Deed::Cut) => return Some(End::Reset),
            Some(Deed::SwallowThenCut(pause)) => {
                tokio::time::sleep(pause).await;
                return Some(End::Reset);
            }
            Some(Deed::Mute) => return Some(End::Muted),
            Some(Deed::Strand) => return Some(End::Stranded(message)),
            Some(Deed::Delay(pause)) => tokio::time::sleep(pause).await,
            Some(Deed::BlackHole | Deed::DeliverThenCut | Deed::LeaveZombie) | None => {}
        }
        if to.write_all(&message.bytes).await.is_err() {
            return Some(End::Closed);
        }
        match deed {
            Some(Deed::DeliverThenCut) => Some(End::Delivered(self.side)),
            Some(Deed::LeaveZombie) => Some(End::Zombie),
            _ => None,
        }
    }

    async fn wait_for_the_line(&self, bytes: usize) {
        loop {
            let silent = self.state.lock().unwrap_or_else(PoisonError::into_inner).silent;
            let shape = self.shared.ledger().shape;
            if !silent && !shape.black_hole {
                let sending = match shape.bytes_per_second {
                    0 => Duration::ZERO,
                    rate => Duration::from_micros(bytes as u64 * 1_000_000 / rate),
                };
                if !(shape.latency + sending).is_zero() {
                    tokio::time::sleep(shape.latency + sending).await;
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
