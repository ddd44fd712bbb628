//! Connections: a bounded pool, and a guard that never lets a session with an open transaction or a broken COPY back in.
//!
//! Built on `deadpool` itself and not on `deadpool-postgres`, whose manager can only report the driver's error: our
//! connector tells apart what went wrong and follows several hosts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::connect::{ConnectError, Connector};
use super::error::Error;
use crate::model::ident::Ident;

/// Connections that are being made at once: a server that comes back is not stormed by all streams together.
const CONNECTS_AT_ONCE: usize = 4;
/// Staging tables that a session may keep; with more it is closed instead of going back.
const STAGES_KEPT: usize = 16;
/// Idle time after which a connection is asked whether it is still one, and how long it may take to say so.
const CHECKED_AFTER: Duration = Duration::from_secs(2);
const CHECK_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the answers that make a connection a session of ours.
const SETUP_PATIENCE: Duration = Duration::from_secs(30);
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
}

/// The pool of one server.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: Pool<Sessions>,
    wait: Duration,
    generation: Arc<AtomicU64>,
}

/// Opens and checks the pool's sessions.
#[derive(Debug)]
struct Sessions {
    connector: Connector,
    setup: String,
    max_lifetime: Duration,
    idle_timeout: Duration,
    connects: Semaphore,
    /// Counts how often all sessions were condemned.
    generation: Arc<AtomicU64>,
}

/// One session with the task that moves its bytes.
#[derive(Debug)]
struct Session {
    client: Client,
    driver: JoinHandle<()>,
    opened: Instant,
    generation: u64,
    /// Staging tables that this session has; they are empty between two transactions.
    stages: BTreeSet<Ident>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Closes the socket at once, so that Postgres rolls back whatever was open.
        self.driver.abort();
    }
}

/// A connection or its settings were refused while the pool made one.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Setup(#[from] tokio_postgres::Error),
    #[error("the server takes no writes")]
    Standby,
    #[error("the server accepted a connection and answers nothing on it")]
    Silent,
}

impl Manager for Sessions {
    type Type = Session;
    type Error = OpenError;

    async fn create(&self) -> Result<Session, OpenError> {
        // The semaphore is never closed; without a permit the connection would only be made a little early.
        let _turn = self.connects.acquire().await.ok();
        let generation = self.generation.load(Ordering::Acquire);
        // On the heap, like all that is deep and rare: each caller's future holds this one, and copies of it fill the stack.
        let connected = Box::pin(self.connector.connect()).await?;
        let (connection, address) = (connected.connection, connected.address);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, address, "a Postgres connection ended");
            }
        });
        let session = Session {
            client: connected.client,
            driver,
            opened: Instant::now(),
            generation,
            stages: BTreeSet::new(),
        };
        let setting_up = async {
            session.client.batch_execute(&self.setup).await?;
            // A server that was once found read-only may still be the one that the host's name leads to.
            match generation > 0 && is_read_only(&session.client).await? {
                true => Err(OpenError::Standby),
                false => Ok(()),
            }
        };
        let set_up = tokio::time::timeout(SETUP_PATIENCE, setting_up).await;
        set_up.unwrap_or(Err(OpenError::Silent))?;
        Ok(session)
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<OpenError> {
        let idle = metrics.recycled.unwrap_or(metrics.created).elapsed();
        let condemned = session.generation != self.generation.load(Ordering::Acquire);
        if condemned
            || session.client.is_closed()
            || session.opened.elapsed() > self.max_lifetime
            || idle > self.idle_timeout
        {
            return Err(RecycleError::message("closed or too old"));
        }
        if idle > CHECKED_AFTER {
            let asked = tokio::time::timeout(CHECK_PATIENCE, session.client.simple_query("")).await;
            if !matches!(asked, Ok(Ok(_))) {
                return Err(RecycleError::message("it answers no more"));
            }
        }
        Ok(())
    }
}

impl Connections {
    /// A pool that opens connections on demand and runs `setup` on each; nothing is connected yet.
    ///
    /// # Errors
    /// Settings that the pool refuses.
    pub fn new(connector: Connector, setup: String, settings: PoolSettings) -> Result<Self, Error> {
        let generation = Arc::new(AtomicU64::new(0));
        let sessions = Sessions {
            connects: Semaphore::new(CONNECTS_AT_ONCE),
            generation: Arc::clone(&generation),
            connector,
            setup,
            max_lifetime: settings.max_lifetime,
            idle_timeout: settings.idle_timeout,
        };
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
            Err(PoolError::Backend(OpenError::Standby)) => Err(Error::Standby),
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
    /// The driver's client.
    pub fn client(&self) -> &Client {
        self.object.as_deref().map_or_else(
            || unreachable!("a connection is taken only when dropped"),
            |it| &it.client,
        )
    }

    /// The driver's client, for transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        match self.object.as_deref_mut() {
            Some(session) => &mut session.client,
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

async fn is_read_only(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let rows = client
        .query_typed("select pg_catalog.current_setting('transaction_read_only')", &[])
        .await?;
    Ok(rows.first().is_some_and(|row| row.get::<_, &str>(0) == "on"))
}
