//! A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, and reads what came.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

/// What came, request by request.
type Requests = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Listens as long as the test runs.
pub(crate) struct Collector {
    pub(crate) url: String,
    requests: Requests,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let requests = Requests::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let take = async |State(requests): State<Requests>, uri: Uri, headers: HeaderMap, body: Bytes| {
            let mut all = requests.lock().expect("no test panics with it");
            all.push((uri.path().to_owned(), headers, body));
        };
        let router = Router::new().fallback(take).with_state(Arc::clone(&requests));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// Every span that came; none of the requests holds `secret`.
    pub(crate) fn spans(&self, secret: &str) -> Vec<Span> {
        let requests = self.requests.lock().expect("no test panics with it");
        let mut spans = Vec::new();
        for (path, headers, body) in requests.iter() {
            assert_eq!(path, "/v1/traces");
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let seen = body.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!seen, "{secret} is in a request");
            let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
            for resource in request.resource_spans {
                let attributes = resource.resource.expect("a resource").attributes;
                assert_eq!(text_of(&attributes, "service.name").as_deref(), Some("pgflight"));
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    /// A header of the first request, and an attribute of its resource.
    pub(crate) fn first(&self, header: &str, key: &str) -> (Option<String>, Option<String>) {
        let requests = self.requests.lock().expect("no test panics with it");
        let (_, headers, body) = requests.first().expect("a request");
        let request = ExportTraceServiceRequest::decode(body.clone()).expect("OTLP");
        let resource = request.resource_spans.first().and_then(|spans| spans.resource.as_ref());
        let header = headers.get(header).and_then(|value| value.to_str().ok());
        (
            header.map(str::to_owned),
            text_of(&resource.expect("a resource").attributes, key),
        )
    }

    /// Whether anything came.
    pub(crate) fn is_silent(&self) -> bool {
        self.requests.lock().expect("no test panics with it").is_empty()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> String {
    text_of(&span.attributes, key).unwrap_or_else(|| panic!("{key} is missing in {span:?}"))
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}
