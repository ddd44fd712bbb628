//! Stands before all doors: no call goes in without a token where tokens are configured, whoever serves it. A call that went
//! in keeps its connection open.
//!
//! Health is open, since probes have no token. A handshake checks what it was sent by itself: it must hear its client out
//! before it refuses. Who calls goes along with the call, for its door.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::auth::Authenticator;
use super::connection::ConnectionInfo;

const HEALTH: &str = "/grpc.health.v1.Health/";
const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// Lets calls in.
#[derive(Clone, Debug)]
pub(super) struct Doorman {
    authenticator: Authenticator,
}

impl Doorman {
    pub(super) fn new(authenticator: Authenticator) -> Self {
        Self { authenticator }
    }
}

impl<S> Layer<S> for Doorman {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        let authenticator = self.authenticator.clone();
        Guarded { inner, authenticator }
    }
}

/// Doors with a doorman.
#[derive(Clone, Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    authenticator: Authenticator,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let authenticator = self.authenticator.clone();
        // The one that is ready; its clone need not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let admitted = authenticator.admit(&mut request).await;
            let path = request.uri().path();
            let open = path.starts_with(HEALTH);
            match admitted {
                Err(refusal) if !open && path != HANDSHAKE => return Ok(refusal.into_http()),
                Err(_) if !open => {}
                Ok(()) | Err(_) => {
                    let connection = request.extensions().get::<ConnectionInfo>();
                    if let Some(voice) = connection.and_then(|connection| connection.voice.as_ref()) {
                        voice.speak();
                    }
                }
            }
            inner.call(request).await
        })
    }
}
