//! `serve`: binds the ports, runs the doors over one Postgres destination, and stops in order.
//!
//! Shutdown: readiness goes off; after `shutdown.delay` nothing new is taken; running streams get `shutdown.drain_timeout` to end; what runs
//! then is ended with UNAVAILABLE and rolled back. A second signal skips the wait.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, TryFutureExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::first_look;
use super::followers::Followers;
use super::http_port::start_http;
use super::open_files;
use super::ports::{bind, bind_tcp, grpc_settings, tls_files};
use super::reload::{Changeable, Reread, follow};
pub use super::serve_error::ServeError;
use super::terminal::fail;
use super::traces::Traces;
use super::unconfigured::{Unconfigured, names_database};
use crate::cli::EXIT_FAILURE;
use crate::config::{Config, ProcessSource};
use crate::ingest::budget::ByteBudget;
use crate::ingest::counted;
use crate::ingest::journal::Journal;
use crate::ingest::ports::{Destination, Destinations};
use crate::ingest::shares::Places;
use crate::postgres::load::{Login, PgDestination, PgDestinations};
use crate::server::admin::{self, Admin, RenderMetrics};
use crate::server::cloudquery::{CloudQueryFront, Shared};
use crate::server::flight::front::FlightFront;
use crate::server::flight::put::{Life, PutContext};
use crate::server::http::HttpDoor;
use crate::server::overview::Overview;
use crate::server::readiness::Readiness;
use crate::server::{Certificates, Doors};
use crate::telemetry;

/// How long ended streams may take to tell their clients.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long embedding workers may take to give back what they hold.
const WORKERS_END: Duration = Duration::from_secs(6);
/// How often old histogram samples are folded.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// `serve`: exit code 0 after an orderly stop, 1 when the server could not start or failed.
pub(super) fn run(config: Config, login: Login, reread: Reread) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    let traces = match Traces::start(&config, runtime.handle()) {
        Ok(traces) => traces,
        Err(error) => return fail(EXIT_FAILURE, &error),
    };
    if let Err(error) = telemetry::install_log(&config, traces.tracer()) {
        return fail(EXIT_FAILURE, &error);
    }
    open_files::raise();
    let served = runtime.block_on(serve_until_signalled(config, login, reread));
    traces.finish();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_FAILURE, &error),
    }
}

async fn serve_until_signalled(config: Config, login: Login, reread: Reread) -> Result<(), ServeError> {
    // From here on it ends nothing, and whoever sees a port can ask for an orderly end.
    let (hangups, first) = (signal(SignalKind::hangup()).ok(), signalled());
    let metrics = telemetry::install_metrics()?;
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let running = start_for(config, Arc::new(move || metrics.render()), login).await?;
    tokio::spawn(first_look::look(running.readiness.clone()));
    tracing::info!(
        grpc = running.grpc().map(tracing::field::display),
        http = running.http().map(tracing::field::display),
        admin = running.admin().map(tracing::field::display),
        "serving"
    );
    tokio::spawn(follow(running.changeable.clone(), reread, hangups));
    // Not heard before it is waited for: the first one would count as both.
    running.until(first, async { signalled().await }).await
}

/// Ready when SIGTERM or SIGINT comes. They are heard from the call on.
pub(super) fn signalled() -> impl Future<Output = ()> {
    let heard = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let heard = heard.map(|signals| async {
        match signals {
            Ok(mut signals) => drop(signals.recv().await),
            // Without the handler the signal ends the process, which is what it asks for.
            Err(_) => std::future::pending().await,
        }
    });
    async { drop(futures::future::select_all(heard.map(Box::pin)).await) }
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    life: Life,
    readiness: Readiness,
    delay: Duration,
    drain_timeout: Duration,
    socket_file: Option<PathBuf>,
    tasks: Vec<JoinHandle<Result<(), ServeError>>>,
    followers: Followers,
    changeable: Changeable,
}

/// Starts a server; returns once its ports are bound. Postgres is first asked when the first call needs it, so that the
/// server also starts while the database does not run.
///
/// # Errors
/// An address that cannot be bound, or connection settings that are unusable.
pub async fn start(config: Config, metrics: RenderMetrics) -> Result<Running, ServeError> {
    start_for(config, metrics, Login::Servers).await
}

async fn start_for(config: Config, metrics: RenderMetrics, login: Login) -> Result<Running, ServeError> {
    let config = Arc::new(config);
    let own = match PgDestination::new(&config, &ProcessSource) {
        Ok(destination) => Ok(Arc::new(destination)),
        Err(error) if config.raw().connection_string.is_none() => Err(Unconfigured::because(&error, &config)),
        Err(error) => return Err(error.into()),
    };
    let followers = Followers::default();
    if let Ok(own) = &own {
        followers.start_own(&config, own)?;
    }
    let made = followers.of_clients();
    let destinations = PgDestinations::new(
        Box::new(ProcessSource),
        login,
        Arc::clone(&config),
        own.as_ref().ok(),
        made,
    );
    let destination: Arc<dyn Destination> = match own {
        Ok(destination) => destination,
        Err(unconfigured) => Arc::new(unconfigured),
    };
    let mut running = start_with(config, destination, Arc::new(destinations), metrics).await?;
    followers.run(running.life.stopping.clone());
    running.followers = followers;
    Ok(running)
}

/// The part of `limits.max_inflight_bytes` that messages get, as its divisor. A quarter
/// ([`RETAINED_SHARE`](crate::postgres::load::RETAINED_SHARE)) keeps chunks of open transactions, to run them again; what is left
/// is for what nobody counts: HTTP/2 windows and read buffers, COPY buffers, and the allocator's own (64 streams took 50 MiB beside
/// 50 MiB of messages: 20 in use, 30 that glibc held).
const RECEIVED_SHARE: u64 = 3;

/// The part of `limits.max_inflight_bytes` that dictionaries get, as its divisor. Apart from messages, because streams hold them for
/// as long as they like.
const DICTIONARY_SHARE: u64 = 4;

fn budget_of(bytes: u64) -> ByteBudget {
    ByteBudget::new(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// The metrics page with the bytes that are held when somebody looks.
fn showing_memory(metrics: RenderMetrics, budgets: [ByteBudget; 2]) -> RenderMetrics {
    Arc::new(move || {
        counted::in_flight(budgets.iter().map(ByteBudget::in_flight).sum());
        metrics()
    })
}

/// Starts a server over a given destination.
///
/// # Errors
/// An address that cannot be bound.
pub async fn start_with(
    config: Arc<Config>,
    destination: Arc<dyn Destination>,
    destinations: Arc<dyn Destinations<Config>>,
    metrics: RenderMetrics,
) -> Result<Running, ServeError> {
    for warning in config.exposure().map_err(ServeError::Exposed)? {
        tracing::warn!("{warning}");
    }
    let life = Life::default();
    let (listener, grpc, socket_file) = bind(config.listen()).await?;
    let readiness = Readiness::new(Arc::clone(&destination), life.clone());
    let budgets =
        [RECEIVED_SHARE, DICTIONARY_SHARE].map(|share| budget_of(config.raw().limits.max_inflight_bytes / share));
    let memory = budgets.iter().map(ByteBudget::total).sum();
    let metrics = showing_memory(metrics, budgets.clone());
    let journal = Journal::default();
    let shared = (budgets, journal.clone());
    let tls = tls_files(&config)?.as_ref().map(Certificates::new).transpose()?;
    let changeable = Changeable::new(&config, tls.clone());
    let (doors, http_door) = doors(&changeable, destination, destinations, &life, readiness.clone(), shared);
    let (settings, stop) = (grpc_settings(&config), life.draining.clone());
    let (http, http_served) = start_http(&config, http_door, tls.clone(), &stop).await?;
    let mut tasks = vec![tokio::spawn(async move {
        let grpc = crate::server::serve(listener, settings, tls, doors, stop).map_err(ServeError::from);
        // A failure of the one does not wait for the other's end.
        tokio::try_join!(grpc, http_served.map(Ok)).map(drop)
    })];
    let mut admin_address = None;
    if let Some(address) = config.admin_listen() {
        let listener = bind_tcp("admin_listen", address).await?;
        admin_address = listener.local_addr().ok();
        let admin = Admin {
            readiness: readiness.clone(),
            metrics,
            connections: open_files::ADMIN_CONNECTIONS,
            overview: Overview::new(journal, memory),
        };
        tasks.push(start_admin(listener, admin, &life));
    }
    let shutdown = &config.raw().shutdown;
    let (delay, drain_timeout) = (shutdown.delay.get(), shutdown.drain_timeout.get());
    Ok(Running {
        grpc,
        http,
        admin: admin_address,
        life,
        readiness,
        delay,
        drain_timeout,
        socket_file,
        tasks,
        followers: Followers::default(),
        changeable,
    })
}

/// What callers may do: loads of all doors share one budget and one number of places.
fn doors(
    changeable: &Changeable,
    destination: Arc<dyn Destination>,
    destinations: Arc<dyn Destinations<Config>>,
    life: &Life,
    readiness: Readiness,
    ([budget, dictionaries], journal): ([ByteBudget; 2], Journal),
) -> (Doors, HttpDoor) {
    let config = &changeable.started;
    let limits = &config.raw().limits;
    let streams = Places::new(limits.max_streams as usize);
    let guard = changeable.guard.clone();
    let put = PutContext {
        destination: guard.over(destination),
        config: Arc::clone(config),
        budget: budget.clone(),
        dictionaries,
        streams: streams.clone(),
        idle_timeout: limits.stream_idle_timeout.get(),
        life: life.clone(),
        journal: journal.clone(),
    };
    let shared = Shared {
        budget,
        streams,
        idle_timeout: limits.stream_idle_timeout.get(),
        life: life.clone(),
        journal,
        guard,
        environment: names_database(&ProcessSource),
    };
    let authenticator = changeable.authenticator.clone();
    let http = HttpDoor {
        put: put.clone(),
        authenticator: authenticator.clone(),
        most_bytes: usize::try_from(limits.max_message_bytes).unwrap_or(usize::MAX),
    };
    let doors = Doors {
        flight: FlightFront::new(put, authenticator.clone()),
        cloudquery: CloudQueryFront::new(Arc::clone(config), destinations, authenticator.clone(), shared),
        authenticator,
        readiness,
    };
    (doors, http)
}

fn start_admin(listener: TcpListener, admin: Admin, life: &Life) -> JoinHandle<Result<(), ServeError>> {
    let stop = life.stopping.clone();
    tokio::spawn(async move { admin::serve(listener, admin, stop).await.map_err(ServeError::Admin) })
}

impl Running {
    /// Takes over what can change of a configuration that was read again; the keys that need a restart.
    ///
    /// # Errors
    /// What cannot be used; everything stays as it was then.
    pub fn reload(&self, config: &Config) -> Result<Vec<String>, ServeError> {
        self.changeable.apply(config)
    }

    /// Address of the gRPC port; `None` on a unix socket.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Address of the HTTP port; `None` when it is off.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Address of the admin port; `None` when it is off.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Runs until `first` is ready, then drains; `second` ends the drain.
    ///
    /// # Errors
    /// A server that failed on its own.
    pub async fn until(
        mut self,
        first: impl Future<Output = ()>,
        second: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let failed = tokio::select! {
            () = first => None,
            (ended, index, _) = futures::future::select_all(&mut self.tasks) => Some((ended, index)),
        };
        match failed {
            Some((ended, index)) => {
                self.life.leaving.cancel();
                self.life.draining.cancel();
                self.life.stopping.cancel();
                drop(self.tasks.swap_remove(index));
                ended?
            }
            None => self.shutdown(second).await,
        }
    }

    /// Drains and stops; `hurry` ends the drain early.
    ///
    /// # Errors
    /// A server that failed on its own.
    pub async fn shutdown(self, hurry: impl Future<Output = ()>) -> Result<(), ServeError> {
        tracing::info!(drain_timeout_s = self.drain_timeout.as_secs_f64(), "shutting down");
        let mut hurry = std::pin::pin!(hurry);
        self.life.leaving.cancel();
        let patience = tokio::select! {
            () = tokio::time::sleep(self.delay) => self.drain_timeout,
            () = &mut hurry => Duration::ZERO,
        };
        self.life.draining.cancel();
        let mut tasks = self.tasks.into_iter();
        let Some(mut grpc) = tasks.next() else { return Ok(()) };
        let mut hurried = patience.is_zero();
        let drained = tokio::select! {
            ended = &mut grpc => Some(ended),
            () = tokio::time::sleep(patience) => None,
            () = &mut hurry, if !patience.is_zero() => {
                hurried = true;
                None
            }
        };
        self.life.stopping.cancel();
        let result = match drained {
            Some(ended) => ended?,
            None => match tokio::time::timeout(LAST_WORDS, &mut grpc).await {
                Ok(ended) => ended?,
                Err(_) => {
                    // Clients that do not read keep their connection open; uncommitted work rolls back with the process.
                    grpc.abort();
                    Ok(())
                }
            },
        };
        for task in tasks {
            task.abort();
        }
        // They give their rows back, so that others need not wait for the leases to run out.
        if !hurried {
            drop(tokio::time::timeout(WORKERS_END, self.followers.ended()).await);
        }
        if let Some(path) = self.socket_file {
            // The socket's file is of no use any more; that it is gone already is fine.
            drop(std::fs::remove_file(path));
        }
        result
    }
}
