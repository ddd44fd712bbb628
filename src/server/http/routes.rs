//! Which requests there are. Adds no meaning to them.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use super::door::HttpDoor;
use super::refusal::Refusal;
use super::{load, read};
use crate::model::caller::Caller;

/// A request that is served.
#[derive(Clone, Copy, Debug)]
enum Call {
    Load,
    Read,
    Describe,
}

const TABLE: &str = "/v1/tables/{schema}/{table}";

/// Method, path, and what it is for; all that is served.
const ROUTES: [(&str, &str, Call); 3] = [
    ("post", TABLE, Call::Load),
    ("get", TABLE, Call::Read),
    ("get", "/v1/openapi.json", Call::Describe),
];

/// What clients generate their code from.
const OPENAPI: &str = include_str!("openapi.json");

/// Methods and paths, as the description has them.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|(method, path, _)| (*method, *path))
}

/// What answers the requests of a door.
pub(super) fn router(door: &HttpDoor) -> Router {
    let mut router = Router::new();
    for (_, path, call) in ROUTES {
        router = router.route(path, call.method());
    }
    router
        .fallback(|| async { Refusal::NoSuchPath.response() })
        .method_not_allowed_fallback(|| async { Refusal::NoSuchMethod.response() })
        .with_state(door.clone())
}

impl Call {
    fn method(self) -> MethodRouter<HttpDoor> {
        match self {
            Self::Load => post(|State(door): State<HttpDoor>, request: Request| called(door, request, load::load)),
            Self::Read => get(|State(door): State<HttpDoor>, request: Request| called(door, request, read::read)),
            Self::Describe => get(|| async { ([(CONTENT_TYPE, "application/json")], OPENAPI) }),
        }
    }
}

/// The answer to a request of a known caller; whatever is refused is told in one form.
async fn called<F>(door: HttpDoor, request: Request, serve: impl FnOnce(HttpDoor, Caller, Request) -> F) -> Response
where
    F: Future<Output = Result<Response, Refusal>>,
{
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Refusal::Login(tonic::Status::internal("the call came past the doorman")).response();
    };
    match serve(door, caller, request).await {
        Ok(response) => response.into_response(),
        Err(refusal) => refusal.response(),
    }
}
