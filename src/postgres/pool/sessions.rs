//! Opens the pool's sessions and decides which of them are used again. Nothing here lends or waits for a free one.
//!
//! Sessions are made by `deadpool-postgres` through a [`Connect`] of ours. Its trait can only return the driver's error, which
//! no one else can make and which tells too little; so why a connection failed is left beside it, in a cell of the one attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::{Connect, ManagerConfig, RecyclingMethod};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::PoolSettings;
use super::session::Session;
use crate::postgres::connect::{ConnectError, Connector, Flow};
use crate::postgres::error::{Error, driver};
use crate::postgres::scope::{Scope, Tenure};
use crate::postgres::session::SessionSettings;
use crate::postgres::writable;
use crate::sql::state::Remedy;
use crate::telemetry::names;

/// Connections that are being made at once: a server that comes back is not stormed by all streams together.
const CONNECTS_AT_ONCE: usize = 4;
/// Idle time after which a connection is asked whether it is still one, and how long it may take to say so.
const CHECKED_AFTER: Duration = Duration::from_secs(2);
const CHECK_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the answers that make a connection a session of ours.
const SETUP_PATIENCE: Duration = Duration::from_secs(30);

/// Opens and checks the pool's sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    manager: Arc<deadpool_postgres::Manager>,
    session: SessionSettings,
    /// Those of the connection.
    options: String,
    /// Where it leads.
    addresses: String,
    settings: PoolSettings,
    connects: Semaphore,
    /// Counts how often all sessions were condemned.
    generation: Arc<AtomicU64>,
}

/// A connection or its settings were refused while the pool made one.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Setup(#[from] tokio_postgres::Error),
    #[error(transparent)]
    TakesNoWrites(#[from] Box<Error>),
    #[error("the server accepted a connection and answers nothing on it")]
    Silent,
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Connect(error) => error.into(),
            OpenError::TakesNoWrites(error) => *error,
            OpenError::Setup(error) => Self::statement("setting up a session", error),
            OpenError::Silent => Self::Silent {
                seconds: SETUP_PATIENCE.as_secs_f64(),
            },
        }
    }
}

impl Sessions {
    pub(super) fn new(
        connector: Connector,
        session: SessionSettings,
        settings: PoolSettings,
        generation: Arc<AtomicU64>,
    ) -> Self {
        let options = connector.plan().options().to_owned();
        let addresses: Vec<String> = connector.plan().targets.iter().map(ToString::to_string).collect();
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        // Hosts, login and TLS are the connector's.
        let nothing = tokio_postgres::Config::new();
        Self {
            manager: Arc::new(deadpool_postgres::Manager::from_connect(
                nothing,
                Reach(connector),
                config,
            )),
            connects: Semaphore::new(CONNECTS_AT_ONCE),
            session,
            options,
            addresses: addresses.join(", "),
            settings,
            generation,
        }
    }

    async fn connect(&self, generation: u64) -> Result<Session, OpenError> {
        let attempt = Arc::new(Attempt::default());
        // On the heap, like all that is deep and rare: each caller's future holds this one, and copies of it fill the stack.
        let creating = Box::pin(ATTEMPT.scope(Arc::clone(&attempt), self.manager.create()));
        let created = creating.await;
        let outcome = if created.is_ok() { "connected" } else { "failed" };
        metrics::counter!(names::CONNECTS, "outcome" => outcome).increment(1);
        match created {
            Ok(client) => {
                let flow = attempt.flow.get().cloned();
                Ok(Session::new(client, Arc::clone(&self.manager), generation, flow))
            }
            Err(error) => Err(attempt
                .why
                .get()
                .cloned()
                .map_or(OpenError::Setup(error), OpenError::Connect)),
        }
    }

    /// What another program made of a lent session says nothing about the server.
    async fn must_write(&self, session: &Session) -> Result<(), Error> {
        writable::check(&*Scope::open(session).await?).await
    }

    /// A connection that ends before it is a session is one that could not be made: a pooler lets clients in while there is no server.
    fn not_established(&self, error: tokio_postgres::Error) -> OpenError {
        match driver::remedy(&error) {
            Remedy::Reconnect => OpenError::Connect(ConnectError::from_driver(&self.addresses, &error)),
            _ => OpenError::Setup(error),
        }
    }

    async fn set_up(&self, session: &mut Session) -> Result<(), OpenError> {
        let pooler = self.settings.pooler;
        let tenure = Tenure::establish(session, pooler, &self.session, &self.options).await;
        session.tenure = tenure.map_err(|error| self.not_established(error))?;
        // A server that was once found read-only may still be the one that the host's name leads to.
        match session.generation > 0 {
            true => Ok(self.must_write(session).await.map_err(Box::new)?),
            false => Ok(()),
        }
    }
}

impl Manager for Sessions {
    type Type = Session;
    type Error = OpenError;

    async fn create(&self) -> Result<Session, OpenError> {
        // The semaphore is never closed; without a permit the connection would only be made a little early.
        let _turn = self.connects.acquire().await.ok();
        let mut session = self.connect(self.generation.load(Ordering::Acquire)).await?;
        let set_up = tokio::time::timeout(SETUP_PATIENCE, self.set_up(&mut session)).await;
        set_up.unwrap_or(Err(OpenError::Silent))?;
        Ok(session)
    }

    async fn recycle(&self, session: &mut Session, metrics: &Metrics) -> RecycleResult<OpenError> {
        let idle = metrics.recycled.unwrap_or(metrics.created).elapsed();
        let condemned = session.generation != self.generation.load(Ordering::Acquire);
        if condemned
            || session.is_closed()
            || session.opened.elapsed() > self.settings.max_lifetime
            || idle > self.settings.idle_timeout
        {
            return Err(RecycleError::message("closed or too old"));
        }
        if idle > CHECKED_AFTER {
            let asking = self.manager.recycle(session.wrapper(), metrics);
            let asked = tokio::time::timeout(CHECK_PATIENCE, asking).await;
            if !matches!(asked, Ok(Ok(()))) {
                return Err(RecycleError::message("it answers no more"));
            }
        }
        Ok(())
    }
}

/// What the driver's trait has no place for.
#[derive(Default)]
struct Attempt {
    why: OnceLock<ConnectError>,
    flow: OnceLock<Flow>,
}

tokio::task_local! {
    /// The attempt that this task is making: why it failed, or where the connection's rows are counted.
    static ATTEMPT: Arc<Attempt>;
}

/// Our connector as `deadpool-postgres` calls it.
struct Reach(Connector);

impl Connect for Reach {
    fn connect(
        &self,
        _: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        Box::pin(async {
            let connected = match self.0.connect().await {
                Ok(connected) => connected,
                Err(why) => {
                    // Nobody else writes to the cell, and an attempt fails once.
                    drop(ATTEMPT.try_with(|attempt| attempt.why.set(why)));
                    return Err(empty_error());
                }
            };
            drop(ATTEMPT.try_with(|attempt| attempt.flow.set(connected.flow)));
            let (connection, address) = (connected.connection, connected.address);
            let driving = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, address, "a Postgres connection ended");
                }
            });
            Ok((connected.client, driving))
        })
    }
}

/// An error of the driver that stands for what the cell says. The driver gives no other way to make one than to misread.
fn empty_error() -> tokio_postgres::Error {
    match "port=none".parse::<tokio_postgres::Config>() {
        Err(error) => error,
        Ok(_) => unreachable!("a port is a number"),
    }
}
