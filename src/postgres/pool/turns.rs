//! Whose turn it is to have a session: whoever holds fewest comes first. Counts only; knows neither sessions nor Postgres.
//!
//! Work is short when all it needs is here, and long when it waits for a client while it holds its session. Long work never has
//! all sessions, and of one caller not even all of those, so that short work of anybody, and long work of somebody else, finds one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::model::caller::{Caller, Party};
use crate::telemetry::names;

/// Who borrows a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Borrower {
    /// Between these sessions are shared out first, between their connections second; work of no client is ours.
    who: Option<Party>,
    /// The client's connection to us.
    connection: Option<SocketAddr>,
}

impl Borrower {
    pub(super) fn ourselves() -> Self {
        Self {
            who: None,
            connection: None,
        }
    }
}

impl From<&Caller> for Borrower {
    fn from(caller: &Caller) -> Self {
        Self {
            who: Some(Party::from(caller)),
            connection: caller.peer,
        }
    }
}

/// For how long a session is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Until work is done for which everything is here.
    Short,
    /// While a client sends or reads.
    Long,
}

/// The turns of one pool.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Told whenever somebody begins to wait or a turn ends.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    free: usize,
    caps: Caps,
    long: usize,
    by_who: HashMap<Option<Party>, Held>,
    by_borrower: HashMap<Borrower, Held>,
    waiting: VecDeque<Waiter>,
    /// Turns that are about to end for somebody who waits.
    promised: usize,
}

/// How many sessions long work may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caps {
    all: usize,
    each: usize,
}

impl Caps {
    /// An eighth is kept for short work, and another one for long work of others; of few sessions one each.
    fn of(sessions: usize) -> Self {
        let kept = (sessions / 8).max(1);
        let all = sessions.saturating_sub(kept).max(1);
        let each = if sessions < 4 { all } else { all.saturating_sub(kept) };
        Self { all, each }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    all: usize,
    long: usize,
}

#[derive(Debug)]
struct Waiter {
    borrower: Borrower,
    span: Span,
    turn: oneshot::Sender<Turn>,
}

/// The right to one session, for as long as it lives.
#[derive(Debug)]
pub(super) struct Turn {
    inner: Arc<Inner>,
    borrower: Borrower,
    span: Span,
}

/// Says that a turn will end for somebody who waits; drop it after the turn.
#[derive(Debug)]
pub(crate) struct Promise(Arc<Inner>);

impl Turns {
    pub(super) fn new(sessions: usize) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                free: sessions,
                caps: Caps::of(sessions),
                long: 0,
                by_who: HashMap::new(),
                by_borrower: HashMap::new(),
                waiting: VecDeque::new(),
                promised: 0,
            }),
            changed: watch::Sender::new(()),
        }))
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, borrower: Borrower, span: Span) -> Turn {
        let _waiting = Counted::new(names::POOL_WAITING);
        let (turn, given) = oneshot::channel();
        self.0.lock().waiting.push_back(Waiter { borrower, span, turn });
        self.0.serve();
        // A waiter is only let go of with its turn.
        given.await.unwrap_or_else(|_| unreachable!("a waiter was forgotten"))
    }
}

impl Turn {
    /// Ready when somebody waits whom the end of this turn would serve; of several turns only as many as are needed.
    pub(super) fn wanted(&self) -> impl Future<Output = Promise> + Send + 'static {
        let (inner, borrower, span) = (Arc::clone(&self.inner), self.borrower.clone(), self.span);
        async move {
            let mut changed = inner.changed.subscribe();
            loop {
                if inner.lock().promise(&borrower, span) {
                    return Promise(inner);
                }
                // The sender lives in what is held here.
                drop(changed.changed().await);
            }
        }
    }

    /// Makes a short turn a long one, where there may be one more of those.
    pub(super) fn lengthen(&mut self) -> bool {
        let mut state = self.inner.lock();
        if self.span == Span::Short && !state.may_lengthen(&self.borrower) {
            return false;
        }
        if self.span == Span::Short {
            state.count(&self.borrower, |held| held.long += 1);
            state.long += 1;
            self.span = Span::Long;
        }
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inner.lock().end(&self.borrower, self.span);
        self.inner.serve();
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.lock().promised -= 1;
        self.0.changed.send_replace(());
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who wait, as long as there are some.
    fn serve(self: &Arc<Self>) {
        loop {
            let Some(waiter) = self.lock().next() else { break };
            let turn = Turn {
                inner: Arc::clone(self),
                borrower: waiter.borrower,
                span: waiter.span,
            };
            // Outside the lock: a turn that nobody waits for any more ends right here, and the next one is served.
            drop(waiter.turn.send(turn));
        }
        self.changed.send_replace(());
    }
}

impl State {
    /// Takes the one who is next out of those who wait, and counts its turn.
    fn next(&mut self) -> Option<Waiter> {
        self.waiting.retain(|waiter| !waiter.turn.is_closed());
        if self.free == 0 {
            return None;
        }
        let may = |waiter: &&Waiter| waiter.span == Span::Short || self.may_lengthen(&waiter.borrower);
        let places = self.waiting.iter().enumerate().filter(|(_, waiter)| may(waiter));
        // The first of equals, who has waited longest.
        let (place, _) = places.min_by_key(|(_, waiter)| {
            let (who, borrower) = (&waiter.borrower.who, &waiter.borrower);
            (held(&self.by_who, who).all, held(&self.by_borrower, borrower).all)
        })?;
        let waiter = self.waiting.remove(place)?;
        let long = usize::from(waiter.span == Span::Long);
        self.count(&waiter.borrower, |held| {
            held.all += 1;
            held.long += long;
        });
        self.free -= 1;
        self.long += long;
        gauge(names::POOL_CONNECTIONS).increment(1.0);
        Some(waiter)
    }

    fn end(&mut self, borrower: &Borrower, span: Span) {
        let long = usize::from(span == Span::Long);
        self.count(borrower, |held| {
            held.all -= 1;
            held.long -= long;
        });
        self.free += 1;
        self.long -= long;
        gauge(names::POOL_CONNECTIONS).decrement(1.0);
    }

    /// Whether the end of that turn is one that somebody waits for and nobody has promised.
    fn promise(&mut self, borrower: &Borrower, span: Span) -> bool {
        self.waiting.retain(|waiter| !waiter.turn.is_closed());
        let ends = usize::from(span == Span::Long);
        let served = self.waiting.iter().filter(|waiter| {
            let theirs = held(&self.by_who, &waiter.borrower.who).long;
            let theirs = theirs - if waiter.borrower.who == borrower.who { ends } else { 0 };
            waiter.span == Span::Short || (self.long - ends < self.caps.all && theirs < self.caps.each)
        });
        let promise = served.count() > self.promised;
        self.promised += usize::from(promise);
        promise
    }

    fn may_lengthen(&self, borrower: &Borrower) -> bool {
        self.long < self.caps.all && held(&self.by_who, &borrower.who).long < self.caps.each
    }

    fn count(&mut self, borrower: &Borrower, change: impl Fn(&mut Held)) {
        count(&mut self.by_who, &borrower.who, &change);
        count(&mut self.by_borrower, borrower, &change);
    }
}

fn held<K: Eq + Hash>(counts: &HashMap<K, Held>, key: &K) -> Held {
    counts.get(key).copied().unwrap_or_default()
}

/// Whoever holds nothing any more is forgotten.
fn count<K: Eq + Hash + Clone>(counts: &mut HashMap<K, Held>, key: &K, change: impl Fn(&mut Held)) {
    let held = counts.entry(key.clone()).or_default();
    change(held);
    if held.all == 0 {
        counts.remove(key);
    }
}

fn gauge(name: &'static str) -> metrics::Gauge {
    match name {
        names::POOL_CONNECTIONS => metrics::gauge!(name, "state" => "lent"),
        _ => metrics::gauge!(name),
    }
}

/// Counts one in a gauge for as long as it lives.
struct Counted(&'static str);

impl Counted {
    fn new(name: &'static str) -> Self {
        gauge(name).increment(1.0);
        Self(name)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge(self.0).decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
