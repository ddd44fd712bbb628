//! A line to PostgreSQL that counts: how often the client had to wait for an answer, and what it asked for each time.
//!
//! Answers are held for a moment, so that everything that was sent without waiting for one is seen before it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::wire::{Framer, Message, Side};

/// How long an answer is held.
const HELD: Duration = Duration::from_millis(25);

/// What passed since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Times that something was sent after an answer: round trips.
    pub(crate) trips: usize,
    /// What each of them began: a line per message that asks for something.
    pub(crate) asked: Vec<String>,
}

#[derive(Debug, Default)]
struct Ledger {
    passed: Passed,
    /// Whether the server spoke last.
    answered: bool,
}

/// A running line; closed when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    ledger: Arc<Mutex<Ledger>>,
    accepting: JoinHandle<()>,
}

impl Counted {
    /// A line in front of the server that a connection string names, and the string that leads through it.
    pub(crate) async fn before(uri: &str) -> (Self, String) {
        let (head, rest) = uri.rsplit_once('@').expect("a user");
        let (address, database) = rest.split_once('/').expect("a database");
        let upstream: SocketAddr = address.parse().expect("an address and a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri = format!("{head}@{}/{database}", listener.local_addr().expect("a bound socket"));
        let ledger = Arc::new(Mutex::new(Ledger {
            answered: true,
            ..Ledger::default()
        }));
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&ledger)));
        (Self { ledger, accepting }, uri)
    }

    /// What passed since this was last asked.
    pub(crate) fn taken(&self) -> Passed {
        std::mem::take(&mut lock(&self.ledger).passed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, upstream: SocketAddr, ledger: Arc<Mutex<Ledger>>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(upstream).await else {
            continue;
        };
        for socket in [&client, &server] {
            socket.set_nodelay(true).expect("a TCP socket");
        }
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(asks(from_client, to_server, Arc::clone(&ledger)));
        tokio::spawn(answers(from_server, to_client, Arc::clone(&ledger)));
    }
}

async fn asks(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, ledger: Arc<Mutex<Ledger>>) {
    let mut framer = Framer::new(Side::Client);
    while matches!(from.read_buf(framer.input()).await, Ok(1..)) {
        while let Some(message) = framer.next(false) {
            {
                let mut ledger = lock(&ledger);
                if let Some(asked) = told(&message) {
                    ledger.passed.asked.push(asked);
                }
                if std::mem::take(&mut ledger.answered) {
                    ledger.passed.trips += 1;
                }
            }
            if to.write_all(&message.bytes).await.is_err() {
                return;
            }
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, ledger: Arc<Mutex<Ledger>>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(HELD).await;
        lock(&ledger).answered = true;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// What a message asks for; `None` where it belongs to one that was told already.
fn told(message: &Message) -> Option<String> {
    match message.tag()? {
        b'Q' => Some(format!("query: {}", message.text())),
        // Its name comes first, then the text.
        b'P' => {
            let body = message.bytes.get(5..)?;
            let text = body.split(|byte| *byte == 0).nth(1)?;
            Some(format!("parse: {}", String::from_utf8_lossy(text)))
        }
        b'E' => Some("execute".to_owned()),
        b'C' => Some("close".to_owned()),
        b'c' => Some("end of rows".to_owned()),
        _ => None,
    }
}
