//! The connections of one port: how many there are, whose they are, and which of them have said nothing yet.
//!
//! A connection that made no call may be closed to make room for another, the oldest of the address that has most of them
//! first; one that made a call stays, and a newcomer beyond the limits is closed instead. So whoever only connects cannot
//! keep others out. Knows no protocol and no socket.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::telemetry::names;

/// Shortest time between two lines about one matter; what they leave out is counted in them.
const SELDOM: Duration = Duration::from_secs(10);
/// Connections that may be on their way out at once, beyond the limit, before the next is let in.
const LEAVING_AT_ONCE: usize = 16;
/// Age from which a connection that says nothing makes room where the system has none: a younger one may be about to speak.
const GRACE: Duration = Duration::from_millis(200);
/// How long a connection that has to go may take to do so, before the next is let in all the same.
const LEAVING: Duration = Duration::from_millis(200);

/// What the connections of one port may use.
#[derive(Clone, Copy, Debug)]
pub struct CrowdLimits {
    /// Connections at once.
    pub total: usize,
    /// Connections at once of one address; an IPv6 network of 64 bits counts as one.
    pub per_address: usize,
    /// Time from the beginning of a connection to its first call.
    pub first_call: Duration,
    /// Whether a connection has to end in that time even when it makes a call.
    pub brief: bool,
}

/// The connections of one port. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Crowd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    port: &'static str,
    limits: CrowdLimits,
    members: Mutex<Members>,
    left: Notify,
    refused: Seldom,
    replaced: Seldom,
    silent: Seldom,
    failed: Seldom,
}

#[derive(Debug, Default)]
struct Members {
    /// By number, so that the oldest comes first.
    present: BTreeMap<u64, Member>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    address: Option<IpAddr>,
    talks: bool,
    since: Instant,
    leave: CancellationToken,
}

/// One connection's place among the others, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    voice: Voice,
    leave: CancellationToken,
}

/// By which a connection's first call is noted.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    crowd: Crowd,
    number: u64,
    spoke: Arc<AtomicBool>,
}

impl Voice {
    /// A call came over this connection: it stays until it ends by itself.
    pub(crate) fn speak(&self) {
        if !self.spoke.swap(true, Ordering::Relaxed) {
            self.crowd.talks(self.number);
        }
    }

    /// Whether a call came.
    pub(crate) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }
}

/// Why a connection was closed or not let in, as the metric names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Total,
    Address,
    Replaced,
    Silent,
    Files,
}

impl Reason {
    const fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::Replaced => "replaced",
            Self::Silent => "silent",
            Self::Files => "files",
        }
    }
}

impl Crowd {
    pub(crate) fn new(port: &'static str, limits: CrowdLimits) -> Self {
        Self(Arc::new(Shared {
            port,
            limits,
            members: Mutex::default(),
            left: Notify::new(),
            refused: Seldom::default(),
            replaced: Seldom::default(),
            silent: Seldom::default(),
            failed: Seldom::default(),
        }))
    }

    /// A place for a connection from that address; `None` where there is none and nobody who says nothing.
    pub(crate) async fn admit(&self, peer: Option<SocketAddr>) -> Option<Place> {
        let address = peer.map(|peer| network(peer.ip()));
        if let Some(reason) = self.crowded(address) {
            let among = address.filter(|_| reason == Reason::Address);
            let mut left = std::pin::pin!(self.0.left.notified());
            left.as_mut().enable();
            if !self.send_one_away(among, Duration::ZERO) {
                self.count(reason);
                self.0.refused.say(|times| {
                    let (port, limit) = (self.0.port, self.limit(reason));
                    tracing::warn!(
                        port,
                        limit,
                        times,
                        peer = peer.map(tracing::field::display),
                        "connections are refused: so many are open that have made a call ({})",
                        match reason {
                            Reason::Address => "limits.max_connections_per_address",
                            _ => "limits.max_connections",
                        }
                    );
                });
                return None;
            }
            if self.leaving() > LEAVING_AT_ONCE {
                drop(tokio::time::timeout(LEAVING, left).await);
            }
        }
        Some(self.enter(address))
    }

    /// The system gave no connection: says so, and makes room.
    pub(crate) fn accept_failed(&self, error: &std::io::Error) {
        self.count(Reason::Files);
        self.0.failed.say(|times| {
            let port = self.0.port;
            tracing::warn!(port, %error, times, "connections cannot be taken");
        });
        self.send_one_away(None, GRACE);
    }

    /// The connection with that number made a call: it stays until it ends.
    fn talks(&self, number: u64) {
        if let Some(member) = self.members().present.get_mut(&number) {
            member.talks = true;
        }
    }

    fn enter(&self, address: Option<IpAddr>) -> Place {
        let (leave, spoke) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let mut members = self.members();
        let number = members.next;
        members.next += 1;
        let member = Member {
            address,
            talks: false,
            since: Instant::now(),
            leave: leave.clone(),
        };
        members.present.insert(number, member);
        metrics::gauge!(names::CONNECTIONS, "port" => self.0.port).set(members.present.len() as f64);
        drop(members);
        Place {
            voice: Voice {
                crowd: self.clone(),
                number,
                spoke,
            },
            leave,
        }
    }

    fn crowded(&self, address: Option<IpAddr>) -> Option<Reason> {
        let members = self.members();
        let staying = members.present.values().filter(|member| !member.leave.is_cancelled());
        let (mut total, mut siblings) = (0, 0);
        for member in staying {
            total += 1;
            siblings += usize::from(address.is_some() && member.address == address);
        }
        if siblings >= self.0.limits.per_address {
            return Some(Reason::Address);
        }
        (total >= self.0.limits.total).then_some(Reason::Total)
    }

    fn leaving(&self) -> usize {
        let members = self.members();
        members
            .present
            .values()
            .filter(|member| member.leave.is_cancelled())
            .count()
    }

    /// Asks the oldest connection without a call to leave: of that address, or of the one that has most of them.
    fn send_one_away(&self, among: Option<IpAddr>, age: Duration) -> bool {
        let members = self.members();
        let silent = || {
            let silent =
                move |member: &&Member| !member.talks && !member.leave.is_cancelled() && member.since.elapsed() >= age;
            members.present.values().filter(silent)
        };
        let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for member in silent().filter(|member| among.is_none() || member.address == among) {
            *counts.entry(member.address).or_default() += 1;
        }
        let Some((worst, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
            return false;
        };
        if let Some(member) = silent().find(|member| member.address == worst) {
            member.leave.cancel();
            self.count(Reason::Replaced);
            self.0.replaced.say(|times| {
                let (port, peer) = (self.0.port, worst.map(tracing::field::display));
                tracing::warn!(
                    port,
                    times,
                    peer,
                    "connections that made no call were closed, because others came"
                );
            });
        }
        true
    }

    fn limit(&self, reason: Reason) -> usize {
        match reason {
            Reason::Address => self.0.limits.per_address,
            _ => self.0.limits.total,
        }
    }

    fn count(&self, reason: Reason) {
        metrics::counter!(names::CONNECTIONS_CLOSED, "port" => self.0.port, "reason" => reason.label()).increment(1);
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Cancelled when the connection has to make room.
    pub(crate) fn leave(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// By which its first call is noted.
    pub(crate) fn voice(&self) -> Voice {
        self.voice.clone()
    }

    /// Whether its time is over only with its end.
    pub(crate) fn is_brief(&self) -> bool {
        self.voice.crowd.0.limits.brief
    }

    /// Time from its beginning to its first call.
    pub(crate) fn first_call(&self) -> Duration {
        self.voice.crowd.0.limits.first_call
    }

    /// It made no call in time and is closed.
    pub(crate) fn stayed_silent(&self) {
        let crowd = &self.voice.crowd;
        crowd.count(Reason::Silent);
        crowd.0.silent.say(|times| {
            let (port, seconds) = (crowd.0.port, self.first_call().as_secs_f64());
            tracing::info!(
                port,
                seconds,
                times,
                "connections were closed that made no call in time"
            );
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let crowd = &self.voice.crowd;
        let mut members = crowd.members();
        members.present.remove(&self.voice.number);
        metrics::gauge!(names::CONNECTIONS, "port" => crowd.0.port).set(members.present.len() as f64);
        drop(members);
        crowd.0.left.notify_waiters();
    }
}

/// One line in a while, with how many events it stands for.
#[derive(Debug, Default)]
struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    fn say(&self, line: impl FnOnce(u64)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *state;
        *times += 1;
        if last.is_none_or(|last| last.elapsed() >= SELDOM) {
            let told = std::mem::take(times);
            *last = Some(Instant::now());
            drop(state);
            line(told);
        }
    }
}

/// What one client can have many addresses of counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}
