//! Sends spans to an OpenTelemetry collector: OTLP over HTTP with protobuf bodies, as `traces.endpoint` says. Knows no span of ours.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::config::Config;
use crate::embed::http;

/// How long a collector may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long spans that were not sent yet are waited for at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What sends spans, where a collector is named.
#[derive(Debug, Default)]
pub(super) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends to the collector of the configuration, over this runtime.
    ///
    /// # Errors
    /// In words, where the sender cannot be made.
    pub(super) fn start(config: &Config, runtime: &Handle) -> Result<Self, String> {
        let Some(endpoint) = config.traces_url() else {
            return Ok(Self::default());
        };
        let client = Sender {
            http: http::Http::new(TIMEOUT).map_err(|error| error.to_string())?,
            runtime: runtime.clone(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("traces cannot be sent: {error}"))?;
        let resource = Resource::builder()
            .with_service_name("pgflight")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(Some(provider)))
    }

    /// What makes spans.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|provider| provider.tracer("pgflight"))
    }

    /// Sends what is left. Blocks.
    pub(super) fn finish(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(LAST_SPANS)) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The HTTP client of the embeddings, lent to a thread that is none of the runtime's.
struct Sender {
    http: http::Http,
    runtime: Handle,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move { http.exchange(request).await });
        let answer = sent.await?;
        answer.map_err(Into::into)
    }
}
