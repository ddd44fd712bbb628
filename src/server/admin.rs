//! The admin port over plain HTTP: liveness, readiness, metrics, the status page. Answers while Postgres is down and while clients use up what
//! they may; never shows configuration.
//!
//! A connection carries one request and ends a few seconds after it began, whatever it does; where there are too many, one
//! without a request makes room. So nobody can keep a probe out by holding connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected as _;

use super::accept::Incoming;
use super::connection::{ConnectionInfo, Tracked};
use super::crowd::{Crowd, CrowdLimits};
use super::overview::{Overview, page};
use super::readiness::{Readiness, Verdict};

/// How long a connection may live: a probe waits for 2.5 s at most.
const LIFETIME: Duration = Duration::from_secs(10);

/// Renders the current metrics in Prometheus' text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the probes look at.
#[derive(Clone)]
pub struct Admin {
    /// Asked whether loads would work.
    pub readiness: Readiness,
    /// The metrics page.
    pub metrics: RenderMetrics,
    /// Connections at once.
    pub connections: usize,
    /// What the status page shows.
    pub overview: Overview,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// Serves the admin pages until `stop`.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> std::io::Result<()> {
    let limits = CrowdLimits {
        total: admin.connections,
        per_address: admin.connections,
        first_call: LIFETIME,
        brief: true,
    };
    let incoming = Incoming::new(listener, Crowd::new("admin", limits)).with_spare();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/", get(|| async { page() }))
        .route("/status.json", get(status))
        .layer(map_response(last))
        .layer(map_request(heard))
        .with_state(admin)
        .into_make_service_with_connect_info::<Peer>();
    axum::serve(incoming, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

impl axum::serve::Listener for Incoming<TcpListener> {
    type Io = Tracked<TcpStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Tracked<TcpStream>, ()) {
        (self.next().await, ())
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The connection of a request.
#[derive(Clone, Debug)]
struct Peer(ConnectionInfo);

impl Connected<IncomingStream<'_, Incoming<TcpListener>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming<TcpListener>>) -> Self {
        Self(stream.io().connect_info())
    }
}

/// A connection whose request came makes room for nobody.
async fn heard(ConnectInfo(Peer(connection)): ConnectInfo<Peer>, request: Request) -> Request {
    if let Some(voice) = &connection.voice {
        voice.speak();
    }
    request
}

/// No connection is kept for a second request.
async fn last(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.readiness.verdict().await {
        Verdict::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Verdict::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        Verdict::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
    }
}

async fn status(State(admin): State<Admin>) -> impl IntoResponse {
    let verdict = admin.readiness.verdict().await;
    let document = admin.overview.document(&verdict, &(admin.metrics)());
    ([(header::CONTENT_TYPE, "application/json")], document.to_string())
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        (admin.metrics)(),
    )
}
