//! Connections: a bounded pool, and a guard that never lets a session with an open transaction or a broken COPY back in.
//!
//! Sessions are `deadpool-postgres`'; `sessions` opens and judges them, `session` is what one is, `turns` says who is next.

mod session;
mod sessions;
mod turns;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager as _, Object, Pool, PoolError};
use tokio_postgres::Transaction;

use super::connect::{ConnectError, Connector};
use super::error::Error;
use super::scope::{Scope, Tenure};
use super::serial::Serial;
use super::session::SessionSettings;
use crate::config::Pooler;
use crate::model::caller::Caller;
use crate::model::ident::Ident;
use sessions::{OpenError, Sessions};
use turns::{Borrower, Promise, Span, Turn, Turns};

pub use session::{Ask, Begin, Session};

/// Staging tables that a session may keep; with more it is closed instead of going back.
const STAGES_KEPT: usize = 16;
/// Shortest and longest pause while a server cannot be reached, has no free connection or is starting.
const CONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How many connections, and how long one may be waited for.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Most connections at once.
    pub max_size: usize,
    /// Longest wait for a free one.
    pub wait: Duration,
    /// Longest wait for a server that cannot be reached.
    pub away: Duration,
    /// Age after which a connection is not used again.
    pub max_lifetime: Duration,
    /// Idle time after which a connection is not used again.
    pub idle_timeout: Duration,
    /// What is known of a pooler in between.
    pub pooler: Pooler,
}

/// The pool of one server, as one borrower sees it.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: Pool<Sessions>,
    turns: Turns,
    borrower: Borrower,
    wait: Duration,
    away: Duration,
    generation: Arc<AtomicU64>,
    /// Why the last attempt to connect failed, where none went well since.
    failing: Arc<Mutex<Option<(Instant, ConnectError)>>>,
}

impl Connections {
    /// A pool that opens connections on demand, whose sessions or transactions have `settings`; nothing is connected yet.
    ///
    /// # Errors
    /// Settings that the pool refuses.
    pub fn new(connector: Connector, session: SessionSettings, settings: PoolSettings) -> Result<Self, Error> {
        let generation = Arc::new(AtomicU64::new(0));
        let sessions = Sessions::new(connector, session, settings, Arc::clone(&generation));
        let pool = Pool::builder(sessions)
            .max_size(settings.max_size)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            pool,
            turns: Turns::new(settings.max_size),
            borrower: Borrower::ourselves(),
            wait: settings.wait,
            away: settings.away,
            generation,
            failing: Arc::default(),
        })
    }

    /// The same pool, lent from to this caller.
    #[must_use]
    pub fn lent_to(&self, caller: &Caller) -> Self {
        Self {
            borrower: Borrower::from(caller),
            ..self.clone()
        }
    }

    /// Most connections at once.
    pub fn max_size(&self) -> usize {
        self.pool.status().max_size
    }

    /// No session that is open now is used again: the server behind them takes no writes any more. New ones are made
    /// from the start, host names resolved again, and must be writable.
    pub fn condemn(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.pool.retain(|_, _| false);
    }

    /// A connection for work that waits for nobody but Postgres. A server that cannot be reached or starts is waited for, too.
    ///
    /// # Errors
    /// Postgres cannot be reached or refuses us, or all connections stay in use.
    pub async fn get(&self) -> Result<Connection, Error> {
        self.lend(Span::Short).await
    }

    /// A connection for work that waits for its client in between, of which there is only so much at once.
    ///
    /// # Errors
    /// As [`Connections::get`].
    pub async fn get_long(&self) -> Result<Connection, Error> {
        self.lend(Span::Long).await
    }

    /// A connection now, to tell how the server does: only for a free one it waits.
    ///
    /// # Errors
    /// As [`Connections::get`].
    pub async fn get_now(&self) -> Result<Connection, Error> {
        self.get_once(Span::Short, Instant::now()).await
    }

    async fn lend(&self, span: Span) -> Result<Connection, Error> {
        let since = Instant::now();
        let mut pause = CONNECT_PAUSE.0;
        loop {
            let error = match self.get_once(span, since).await {
                Err(error) if error.may_pass() && since.elapsed() + pause < self.away => error,
                done => return done,
            };
            tracing::debug!(error = %error, "waiting for a connection");
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(CONNECT_PAUSE.1);
        }
    }

    async fn get_once(&self, span: Span, since: Instant) -> Result<Connection, Error> {
        let left = self.wait.saturating_sub(since.elapsed());
        let taking = self.turns.take(self.borrower.clone(), span);
        let Ok(turn) = tokio::time::timeout(left, taking).await else {
            return Err(self.why_none(since));
        };
        match self.pool.get().await {
            Ok(object) => {
                self.note(None);
                Ok(Connection {
                    object: Some(object),
                    siblings: self.clone(),
                    clean: true,
                    turn,
                })
            }
            Err(PoolError::Backend(error)) => {
                if let OpenError::Connect(error) = &error {
                    self.note(Some(error));
                }
                Err(error.into())
            }
            Err(other) => Err(Error::Internal(other.to_string())),
        }
    }

    /// A session that is not the pool's, for questions while all of those are lent.
    ///
    /// # Errors
    /// Postgres cannot be reached or refuses us.
    pub(crate) async fn beside(&self) -> Result<Session, Error> {
        Ok(self.pool.manager().create().await?)
    }

    fn note(&self, failure: Option<&ConnectError>) {
        let failing = failure.map(|error| (Instant::now(), error.clone()));
        let mut last = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) if last.is_none() => tracing::warn!(error = %error, "no connection to Postgres could be made"),
            None if last.is_some() => tracing::info!("connections to Postgres can be made again"),
            _ => {}
        }
        *last = failing;
    }

    /// Why a wait was in vain: those who had a turn could not connect while it lasted, or turns were too few.
    fn why_none(&self, since: Instant) -> Error {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match failing.filter(|(when, _)| *when >= since) {
            Some((_, error)) => error.into(),
            None => Error::PoolExhausted {
                seconds: self.wait.as_secs_f64(),
            },
        }
    }
}

/// A pooled connection. Dropped while not clean, it is closed instead of going back.
#[derive(Debug)]
pub struct Connection {
    object: Option<Object<Sessions>>,
    siblings: Connections,
    clean: bool,
    /// After the object, so that whoever comes next finds it.
    turn: Turn,
}

impl Connection {
    /// The session.
    pub fn client(&self) -> &Session {
        match self.object.as_deref() {
            Some(session) => session,
            None => unreachable!("a connection is taken only when dropped"),
        }
    }

    /// The session, for transactions.
    pub fn client_mut(&mut self) -> &mut Session {
        match self.object.as_deref_mut() {
            Some(session) => session,
            None => unreachable!("a connection is taken only when dropped"),
        }
    }

    /// Whose the server session is.
    pub(crate) fn tenure(&self) -> &Tenure {
        &self.client().tenure
    }

    /// A transaction with our settings.
    ///
    /// # Errors
    /// Postgres' refusal.
    pub(crate) async fn transaction(&mut self) -> Result<Transaction<'_>, tokio_postgres::Error> {
        let tenure = self.tenure().clone();
        tenure.begin(self.client_mut().driver_mut()).await
    }

    /// A place for statements that belong to no transaction.
    ///
    /// # Errors
    /// Postgres' refusal.
    pub(crate) async fn scope(&mut self) -> Result<Scope<'_>, Error> {
        Scope::open(self.client()).await
    }

    /// The pool that this connection is from.
    pub(crate) fn siblings(&self) -> Connections {
        self.siblings.clone()
    }

    /// Ready when somebody waits who would have this connection if it were given back; give it back then, and drop the promise.
    pub(crate) fn wanted(&self) -> impl Future<Output = Promise> + Send + 'static {
        self.turn.wanted()
    }

    /// Keeps the connection for work that waits for its client, where there may be more of that.
    pub(crate) fn lengthen(&mut self) -> bool {
        self.turn.lengthen()
    }

    /// From here on the session has state that no one else may meet, until [`Connection::mark_clean`].
    pub fn mark_dirty(&mut self) {
        self.clean = false;
    }

    /// A name for the session's next transaction.
    pub(crate) fn next_serial(&mut self) -> Serial {
        self.client_mut().serials.next()
    }

    /// Whether the session was there before `then` and is ours: what was seen of the server then has not been undone by a crash,
    /// which ends all sessions.
    pub(crate) fn vouches_for(&self, then: Instant) -> bool {
        !self.tenure().is_lent() && self.client().opened < then
    }

    /// Whether the session knows a statement by this name of SQL; `None` where nobody tried to give it one.
    pub(crate) fn knows(&self, name: &str) -> Option<bool> {
        self.client().taught.get(name).copied()
    }

    /// Notes whether a statement has a name of SQL now, which lasts as long as the session.
    pub(crate) fn note_taught(&mut self, name: &'static str, known: bool) {
        self.client_mut().taught.insert(name, known);
    }

    /// Whether this session has a staging table of that name.
    pub(crate) fn has_stage(&self, name: &Ident) -> bool {
        self.object
            .as_deref()
            .is_some_and(|session| session.stages.contains(name))
    }

    /// Notes a staging table; call it when the transaction that created it is committed.
    pub(crate) fn note_stage(&mut self, name: &Ident) {
        if let Some(session) = self.object.as_deref_mut() {
            session.stages.insert(name.clone());
        }
    }

    /// The session is as it was when it came from the pool.
    pub fn mark_clean(&mut self) {
        self.clean = self
            .object
            .as_deref()
            .is_some_and(|session| session.stages.len() <= STAGES_KEPT);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.clean
            && let Some(object) = self.object.take()
        {
            // Taken out of the pool and dropped: the socket closes, and Postgres rolls back what was open.
            drop(Object::take(object));
        }
        // A clean one goes back here, before its turn ends.
        drop(self.object.take());
    }
}
