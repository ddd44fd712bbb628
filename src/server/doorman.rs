//! Stands before all doors: no call goes in without a token where tokens are configured, whoever serves it. A call that went
//! in keeps its connection open.
//!
//! Health is open, since probes have no token. A handshake checks what it was sent by itself: it must hear its client out
//! before it refuses. Who calls is found out by each door again, which needs the name.

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
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
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let open = path.starts_with(HEALTH);
        match self.authenticator.check(request.headers()) {
            Err(refusal) if !open && path != HANDSHAKE => return Either::Right(ready(Ok(refusal.into_http()))),
            Err(_) if !open => {}
            Ok(()) | Err(_) => {
                let connection = request.extensions().get::<ConnectionInfo>();
                if let Some(voice) = connection.and_then(|connection| connection.voice.as_ref()) {
                    voice.speak();
                }
            }
        }
        Either::Left(self.inner.call(request))
    }
}
