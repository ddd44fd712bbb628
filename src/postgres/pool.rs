//! Connections: a bounded pool, and a guard that never lets a session with an open transaction or a broken COPY back in.
//!
//! Sessions are `deadpool-postgres`'; `sessions` opens and judges them, `session` is what one is.

mod session;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, TimeoutType};

use super::connect::Connector;
use super::error::Error;
use crate::config::Pooler;
use crate::model::ident::Ident;
use sessions::{OpenError, SETUP_PATIENCE, Sessions};

pub use session::{Ask, Begin, Session};

/// Staging tables that a session may keep; with more it is closed instead of going back.
const STAGES_KEPT: usize = 16;
/// Shortest and longest pause while a server has no free connection or is starting.
const CONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How many connections, and how long one may be waited for.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Most connections at once.
    pub max_size: usize,
    /// Longest wait for a free one.
    pub wait: Duration,
    /// Age after which a connection is not used again.
    pub max_lifetime: Duration,
    /// Idle time after which a connection is not used again.
    pub idle_timeout: Duration,
    /// Whether statements are kept under names.
    pub keep_statements: KeepStatements,
}

/// Whether sessions keep prepared statements, which are found again only where a session keeps its server process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepStatements {
    /// A session always has its own process.
    Always,
    /// Where the process that answers is the one that greeted us: a pooler greets its clients itself.
    WithoutPooler,
    /// Another process may answer after each transaction.
    Never,
}

impl From<Pooler> for KeepStatements {
    fn from(pooler: Pooler) -> Self {
        match pooler {
            Pooler::Auto => Self::WithoutPooler,
            Pooler::None | Pooler::Session => Self::Always,
            Pooler::Transaction => Self::Never,
        }
    }
}

/// The pool of one server.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: Pool<Sessions>,
    wait: Duration,
    generation: Arc<AtomicU64>,
}

impl Connections {
    /// A pool that opens connections on demand and runs `setup` on each; nothing is connected yet.
    ///
    /// # Errors
    /// Settings that the pool refuses.
    pub fn new(connector: Connector, setup: String, settings: PoolSettings) -> Result<Self, Error> {
        let generation = Arc::new(AtomicU64::new(0));
        let sessions = Sessions::new(connector, setup, settings, Arc::clone(&generation));
        let pool = Pool::builder(sessions)
            .max_size(settings.max_size)
            .wait_timeout(Some(settings.wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            pool,
            wait: settings.wait,
            generation,
        })
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

    /// A connection for one transaction.
    ///
    /// # Errors
    /// Postgres cannot be reached or refuses us, or all connections stay in use.
    pub async fn get(&self) -> Result<Connection, Error> {
        let since = Instant::now();
        let mut pause = CONNECT_PAUSE.0;
        loop {
            let error = match self.get_once().await {
                Err(error) if error.is_crowded() && since.elapsed() + pause < self.wait => error,
                done => return done,
            };
            tracing::debug!(error = %error, "waiting for a connection");
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(CONNECT_PAUSE.1);
        }
    }

    async fn get_once(&self) -> Result<Connection, Error> {
        match self.pool.get().await {
            Ok(object) => Ok(Connection {
                object: Some(object),
                siblings: self.clone(),
                clean: true,
            }),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Error::PoolExhausted {
                seconds: self.wait.as_secs_f64(),
            }),
            Err(PoolError::Backend(OpenError::Connect(error))) => Err(error.into()),
            Err(PoolError::Backend(OpenError::TakesNoWrites(error))) => Err(*error),
            Err(PoolError::Backend(OpenError::Silent)) => Err(Error::Silent {
                seconds: SETUP_PATIENCE.as_secs_f64(),
            }),
            Err(PoolError::Backend(OpenError::Setup(error))) => Err(Error::statement("setting up a session", error)),
            Err(other) => Err(Error::Internal(other.to_string())),
        }
    }
}

/// A pooled connection. Dropped while not clean, it is closed instead of going back.
#[derive(Debug)]
pub struct Connection {
    object: Option<Object<Sessions>>,
    siblings: Connections,
    clean: bool,
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

    /// The pool that this connection is from.
    pub(crate) fn siblings(&self) -> Connections {
        self.siblings.clone()
    }

    /// From here on the session has state that no one else may meet, until [`Connection::mark_clean`].
    pub fn mark_dirty(&mut self) {
        self.clean = false;
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
    }
}
