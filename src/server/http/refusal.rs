//! What is answered where something is refused: one exhaustive mapping from the class of a failure to a status of HTTP, and one JSON
//! document for all of them.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tonic::{Code, Status};

use crate::ingest::error::{Error, RequestError};
use crate::model::class::Class;
use crate::model::grpc_code::code_name;
use crate::server::status::{code, shortened};

/// Seconds after which it is worth trying again.
const AGAIN: HeaderValue = HeaderValue::from_static("5");

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The core's failure, about this table.
    #[error("{error}")]
    Core {
        /// What failed.
        error: Error,
        /// The table of the path.
        table: String,
    },
    /// The caller is not let in.
    #[error("{}", .0.message())]
    Login(Status),
    /// The body, or what is wanted of it, is of a kind that is not known.
    #[error("{0}")]
    Media(String),
    /// The answer is wanted in a form that is not known.
    #[error("{0}")]
    NotAcceptable(String),
    /// There is nothing of that name.
    #[error(
        "there is nothing at this path; tables are at /v1/tables/{{schema}}/{{table}}, the description is at /v1/openapi.json"
    )]
    NoSuchPath,
    /// The path is one, the method is not.
    #[error("this method is not for this path; tables are loaded by POST and read by GET")]
    NoSuchMethod,
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Core {
            error: error.into(),
            table: String::new(),
        }
    }
}

/// The status of a class of failures.
pub(super) fn status(class: Class) -> StatusCode {
    match class {
        Class::BadRequest | Class::BadData | Class::Cancelled => StatusCode::BAD_REQUEST,
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::Denied => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Refused | Class::AlreadyExists | Class::Conflict | Class::OutOfRange => StatusCode::CONFLICT,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Class::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Class::DataLoss | Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The document of a refusal.
#[derive(Debug, Serialize)]
struct Document<'a> {
    error: String,
    /// As gRPC calls it.
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Core { error, .. } => status(error.class()),
            Self::Login(refusal) => match refusal.code() {
                Code::Unauthenticated => StatusCode::UNAUTHORIZED,
                Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Media(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Core { error, .. } => code(error.class()),
            Self::Login(refusal) => refusal.code(),
            Self::Media(_) | Self::NotAcceptable(_) => Code::InvalidArgument,
            Self::NoSuchPath => Code::NotFound,
            Self::NoSuchMethod => Code::Unimplemented,
        }
    }

    fn document(&self) -> Document<'_> {
        let (error, asked) = match self {
            Self::Core { error, table } => (Some(error), Some(table.as_str())),
            _ => (None, None),
        };
        let facts = error.and_then(Error::facts);
        let table = facts.and_then(|facts| facts.table.as_deref()).or(asked);
        Document {
            // Names may be as long as bodies.
            error: shortened(self.to_string()),
            code: code_name(self.code().into()),
            table: table.filter(|table| !table.is_empty()),
            column: facts.and_then(|facts| facts.column.as_deref()),
            constraint: facts.and_then(|facts| facts.constraint.as_deref()),
            sqlstate: facts.and_then(|facts| facts.sqlstate.as_deref()),
            row: facts.and_then(|facts| facts.row),
            reason: error.and_then(Error::reason),
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let status = self.status();
        // Texts and numbers always serialise.
        let document = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, AGAIN);
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::error::{DestinationError, Facts};

    #[test]
    fn every_class_has_its_status_and_those_that_pass_say_when_to_try_again() {
        for (class, expected, name) in [
            (Class::BadRequest, 400, "INVALID_ARGUMENT"),
            (Class::BadData, 400, "INVALID_ARGUMENT"),
            (Class::Cancelled, 400, "CANCELLED"),
            (Class::Unauthenticated, 401, "UNAUTHENTICATED"),
            (Class::Denied, 403, "PERMISSION_DENIED"),
            (Class::NotFound, 404, "NOT_FOUND"),
            (Class::Refused, 409, "FAILED_PRECONDITION"),
            (Class::AlreadyExists, 409, "ALREADY_EXISTS"),
            (Class::Conflict, 409, "ABORTED"),
            (Class::OutOfRange, 409, "OUT_OF_RANGE"),
            (Class::TooLarge, 413, "INVALID_ARGUMENT"),
            (Class::Exhausted, 429, "RESOURCE_EXHAUSTED"),
            (Class::Unavailable, 503, "UNAVAILABLE"),
            (Class::Timeout, 504, "DEADLINE_EXCEEDED"),
            (Class::Unsupported, 501, "UNIMPLEMENTED"),
            (Class::DataLoss, 500, "DATA_LOSS"),
            (Class::Internal, 500, "INTERNAL"),
        ] {
            let error = Error::Destination(DestinationError {
                class,
                message: "why".to_owned(),
                facts: Facts::default(),
                source: None,
            });
            let refusal = Refusal::Core {
                error,
                table: "public.t".to_owned(),
            };
            let response = refusal.response();
            assert_eq!(response.status().as_u16(), expected, "{class:?}");
            let again = [429, 503].contains(&expected);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), again, "{class:?}");
            let document = serde_json::to_value(refusal.document()).unwrap();
            assert_eq!(
                document,
                serde_json::json!({"error": "why", "code": name, "table": "public.t"})
            );
        }
    }
}
