//! The connections of the HTTP port: taken as far as there are places, with TLS or without, one request after the other on each. Who
//! calls is asked here, before any route is looked for.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures::{Stream, StreamExt};
use hyper::body::Incoming as Received;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tower::ServiceExt;

use super::door::HttpDoor;
use super::refusal::Refusal;
use super::routes::router;
use crate::server::accept::Incoming;
use crate::server::auth::Authenticator;
use crate::server::connection::ConnectionInfo;
use crate::server::crowd::{Crowd, CrowdLimits};
use crate::server::secured::{Certificates, Protocol, secured};

/// Sizes and times of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// How long a connection may take from one request to the headers of the next.
    pub idle_timeout: Duration,
    /// What connections may use.
    pub crowd: CrowdLimits,
}

/// What is behind a connection.
#[derive(Clone)]
struct Inside {
    router: Router,
    authenticator: Authenticator,
}

/// Serves the door until `stop`, then waits for requests that run.
pub async fn serve(
    listener: TcpListener,
    settings: HttpSettings,
    tls: Option<Certificates>,
    door: HttpDoor,
    stop: CancellationToken,
) {
    let incoming = Incoming::new(listener, Crowd::new("http", settings.crowd)).stream();
    let inside = Inside {
        router: router(&door),
        authenticator: door.authenticator,
    };
    match tls {
        Some(tls) => take(secured(incoming, tls, Protocol::Http), settings, inside, stop).await,
        None => take(incoming, settings, inside, stop).await,
    }
}

async fn take<Io>(
    incoming: impl Stream<Item = std::io::Result<Io>>,
    settings: HttpSettings,
    inside: Inside,
    stop: CancellationToken,
) where
    Io: AsyncRead + AsyncWrite + Connected<ConnectInfo = ConnectionInfo> + Send + Unpin + 'static,
{
    let mut connections = JoinSet::new();
    {
        let mut incoming = pin!(incoming);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                taken = incoming.next() => match taken {
                    Some(Ok(io)) => drop(connections.spawn(talk(io, settings, inside.clone(), stop.clone()))),
                    Some(Err(error)) => tracing::debug!(%error, "a connection was not taken"),
                    None => break,
                },
            }
        }
        // The port closes here; who is connected is heard out.
    }
    while connections.join_next().await.is_some() {}
}

/// One connection, to its end.
async fn talk<Io>(io: Io, settings: HttpSettings, inside: Inside, stop: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Connected<ConnectInfo = ConnectionInfo> + Send + Unpin + 'static,
{
    let info = io.connect_info();
    let service = service_fn(move |request| answer(inside.clone(), info.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.idle_timeout)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

async fn answer(
    inside: Inside,
    info: ConnectionInfo,
    mut request: Request<Received>,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(info.clone());
    let admitted = inside.authenticator.admit(&mut request).await;
    let caller = admitted.and_then(|()| inside.authenticator.caller_over_http(&request));
    let caller = match caller {
        Ok(caller) => caller,
        Err(status) => return Ok(Refusal::Login(status).response()),
    };
    if let Some(voice) = &info.voice {
        voice.speak();
    }
    request.extensions_mut().insert(caller);
    inside.router.oneshot(request.map(Body::new)).await
}
