//! One request over a connection of its own, and its answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The document of a load that was taken.
    pub(crate) fn loaded(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The sentence of a refusal with this status.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()["error"].as_str().expect("a sentence").to_owned()
    }
}

/// Sends a request and reads its answer.
pub(crate) async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let answer = try_send(to, method, path, headers, body).await;
    answer.expect("an answer")
}

/// The same, where the connection may be closed before all of the body was sent.
pub(crate) async fn try_send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, hyper::Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request");
    let stream = TcpStream::connect(to).await.expect("the port listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// Loads a body of this kind into `public.<table>`, whose name may have a query behind it.
pub(crate) async fn post(to: SocketAddr, table: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
    send(
        to,
        "POST",
        &format!("/v1/tables/public/{table}"),
        &[("content-type", kind)],
        body,
    )
    .await
}

/// Reads `public.<table>`.
pub(crate) async fn get(to: SocketAddr, table: &str, accept: &str) -> Answer {
    send(
        to,
        "GET",
        &format!("/v1/tables/public/{table}"),
        &[("accept", accept)],
        Bytes::new(),
    )
    .await
}
