//! What the proxy remembers: what is armed, what has passed, how the line behaves, and the trace.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::fault::{Deed, Fault, Point};
use super::stranded::Stranded;

/// How the line behaves all the time; changes apply to open connections too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// Added to each message, each way.
    pub(crate) latency: Duration,
    /// Bytes per second and direction; 0 for no limit.
    pub(crate) bytes_per_second: u64,
    /// Nothing passes.
    pub(crate) black_hole: bool,
    /// New connections are accepted and reset at once.
    pub(crate) refuse: bool,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Since the proxy started.
    pub(crate) after: Duration,
    /// Ordinal of the connection, from 1.
    pub(crate) connection: u64,
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Opened,
    /// A point was passed; `CopyData` and `AnyMessage` are counted only.
    Passed(Point),
    /// An armed fault was carried out.
    Fired(Fault),
    Closed,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstream: SocketAddr,
    pub(super) opaque: bool,
    pub(super) started: Instant,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) armed: Vec<(Fault, u64)>,
    pub(super) counts: HashMap<Point, u64>,
    pub(super) trace: Vec<Event>,
    pub(super) shape: Shape,
    /// Resets all open connections; exchanged on each use.
    pub(super) reset: CancellationToken,
    pub(super) zombies: Vec<TcpStream>,
    pub(super) stranded: Vec<Stranded>,
    pub(super) connections: u64,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr, opaque: bool) -> Self {
        Self {
            upstream,
            opaque,
            started: Instant::now(),
            ledger: Mutex::new(Ledger::default()),
            stop: CancellationToken::new(),
        }
    }

    pub(super) fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, connection: u64, what: What) {
        let after = self.started.elapsed();
        self.ledger().trace.push(Event {
            after,
            connection,
            what,
        });
    }

    /// Counts the points of a message and returns the deed that is due there.
    pub(super) fn judge(&self, connection: u64, points: &[Point]) -> Option<Deed> {
        let mut due = None;
        for point in points {
            *self.ledger().counts.entry(*point).or_default() += 1;
            if !matches!(point, Point::CopyData | Point::AnyMessage | Point::ReadyForQuery) {
                self.note(connection, What::Passed(*point));
            }
            let mut ledger = self.ledger();
            for (fault, seen) in ledger.armed.iter_mut().filter(|(fault, _)| fault.at == *point) {
                *seen += 1;
                if *seen == fault.nth && due.is_none() {
                    due = Some(*fault);
                }
            }
            ledger.armed.retain(|(fault, seen)| *seen < fault.nth);
        }
        let fault = due?;
        self.note(connection, What::Fired(fault));
        Some(fault.deed)
    }
}
