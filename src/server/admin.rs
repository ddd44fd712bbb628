//! Admin HTTP: liveness, readiness, metrics. Never fails liveness because Postgres is down; never shows configuration.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::ingest::ports::Destination;

/// Longest wait for the destination's answer to a readiness probe.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// Renders the current metrics in Prometheus' text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the probes look at.
#[derive(Clone)]
pub struct Admin {
    /// Asked whether loads would work.
    pub destination: Arc<dyn Destination>,
    /// Set while the server drains.
    pub draining: CancellationToken,
    /// The metrics page.
    pub metrics: RenderMetrics,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

/// Serves the admin pages until `stop`.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    if admin.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    match tokio::time::timeout(READY_TIMEOUT, admin.destination.ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {error}\n")),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: Postgres did not answer in time\n".to_owned(),
        ),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        (admin.metrics)(),
    )
}
