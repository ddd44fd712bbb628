//! One HTTP request to an embeddings service: hyper with pooled connections, nothing retried, no redirect followed.
//!
//! Knows times and bytes; what a request or an answer means is `openai`'s business.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::connect::Connector;
use super::failure::{Failure, Unreached};

/// Largest answer that is read: 2048 vectors of 3072 dimensions in decimal digits are some 120 MB.
const LONGEST_REPLY: usize = 256 << 20;

/// A service's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends requests and keeps connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<Connector, reqwest::Body>,
    timeout: Duration,
}

impl Http {
    /// Answers are waited for so long.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, rustls::Error> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(Connector::new()?),
            timeout,
        })
    }

    /// Sends a request and reads the whole answer, within the timeout.
    pub(super) async fn send(&self, request: Request<reqwest::Body>) -> Result<Answer, Failure> {
        let answered = async {
            let response = self.client.request(request).await;
            let response = response.map_err(|error| Failure::Network(why(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST_REPLY).collect().await.map_err(|error| {
                Failure::Network(match error.is::<http_body_util::LengthLimitError>() {
                    true => Unreached::TooLong,
                    false => Unreached::Broke("within the answer"),
                })
            })?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        let answered = tokio::time::timeout(self.timeout, answered).await;
        answered.unwrap_or(Err(Failure::Network(Unreached::Slow)))
    }
}

impl Http {
    /// Any request; whatever its answer is, it is given back.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let answer = self.send(request.map(reqwest::Body::from)).await;
        let answer = answer.map_err(|failure| failure.to_string())?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// One document by GET, of at most so many bytes.
///
/// # Errors
/// What is wrong, in words.
pub async fn document(url: &str, most: usize, timeout: Duration) -> Result<Bytes, String> {
    let http = Http::new(timeout).map_err(|error| error.to_string())?;
    let request = Request::get(url).header("accept", "application/json");
    let request = request
        .body(reqwest::Body::default())
        .map_err(|error| error.to_string())?;
    let answer = http.send(request).await.map_err(|failure| failure.to_string())?;
    match answer.status {
        StatusCode::OK if answer.body.len() <= most => Ok(answer.body),
        StatusCode::OK => Err(format!("the answer has {} bytes, more than {most}", answer.body.len())),
        status => Err(format!("the answer is {status}")),
    }
}

/// What the connector said, wherever the client has put it.
fn why(error: &hyper_util::client::legacy::Error) -> Unreached {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(unreached) = error.downcast_ref::<Unreached>() {
            return unreached.clone();
        }
        cause = error.source();
    }
    Unreached::Broke("before the answer")
}
