//! Who turns texts into vectors: a service that speaks OpenAI's embeddings API, or the built-in test provider.
//!
//! One request, one answer, judged here. When to ask, and what to do about a refusal, is for `gate` and `batch`.

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use serde::Serialize;

use super::failure::{Failure, PauseHeaders, classify};
use super::hash_test;
use super::http::Http;
use super::pack::RequestLimits;
use super::reply::{self, Vectors};
use crate::config::{Config, EmbeddingProvider};

/// Tokens that OpenAI's models take per text.
const INPUT_TOKENS: usize = 8191;

/// The provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS for embeddings: {0}")]
    Tls(#[from] rustls::Error),
    /// The key cannot be sent.
    #[error("openai_embedding.api_key holds a character that no HTTP header can carry")]
    Key,
    /// The address is none.
    #[error("openai_embedding.base_url is {0:?}, which is no address")]
    Address(String),
    /// No embeddings are configured.
    #[error("pgvector_config is not set, so there is nothing to embed")]
    Unset,
}

/// Turns texts into vectors.
#[derive(Clone)]
pub struct Provider {
    kind: Kind,
    dimensions: usize,
    limits: RequestLimits,
}

#[derive(Clone)]
enum Kind {
    Service(Box<Service>),
    HashTest,
}

#[derive(Clone)]
struct Service {
    http: Http,
    address: Uri,
    headers: HeaderMap,
    model: String,
    send_dimensions: bool,
}

/// The body of a request.
#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("dimensions", &self.dimensions)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// The configured provider; nothing is connected yet.
    ///
    /// # Errors
    /// No embeddings are configured, or key, address or TLS cannot be used.
    pub fn new(config: &Config) -> Result<Self, ProviderError> {
        let raw = config.raw();
        let vectors = raw.pgvector_config.as_ref().ok_or(ProviderError::Unset)?;
        let embedding = &vectors.openai_embedding;
        let (inputs, tokens) = embedding.provider.request_limits();
        let limits = RequestLimits {
            inputs: raw.embeddings.max_inputs.unwrap_or(inputs) as usize,
            tokens: raw.embeddings.max_request_tokens.unwrap_or(tokens) as usize,
            input_tokens: INPUT_TOKENS,
        };
        let kind = if embedding.provider == EmbeddingProvider::HashTest {
            Kind::HashTest
        } else {
            let base = embedding
                .base_url
                .as_deref()
                .or(embedding.provider.own_url())
                .unwrap_or_default();
            let address = address(base);
            Kind::Service(Box::new(Service {
                http: Http::new(raw.embeddings.request_timeout.get())?,
                address: address.parse().map_err(|_| ProviderError::Address(base.to_owned()))?,
                headers: headers(embedding.provider, embedding.api_key.as_ref().map(|key| key.expose()))?,
                model: embedding.model_name.clone(),
                send_dimensions: embedding.send_dimensions,
            }))
        };
        Ok(Self {
            kind,
            dimensions: embedding.dimensions as usize,
            limits,
        })
    }

    /// What one request may hold.
    pub fn limits(&self) -> RequestLimits {
        self.limits
    }

    /// Embeds the texts of one request. One attempt; no transaction may be open meanwhile.
    ///
    /// # Errors
    /// Why there are no vectors, or why they cannot be believed.
    pub async fn embed(&self, texts: &[String]) -> Result<Vectors, Failure> {
        match &self.kind {
            Kind::HashTest => Ok(Vectors {
                vectors: texts
                    .iter()
                    .map(|text| hash_test::vector(text, self.dimensions))
                    .collect(),
                tokens: None,
                rest: None,
            }),
            Kind::Service(service) => service.embed(texts, self.dimensions).await,
        }
    }
}

/// Where texts are sent: the path goes before the query that some services want (Azure's `?api-version=..`).
fn address(base: &str) -> String {
    let (path, query) = base
        .split_once('?')
        .map_or((base, None), |(path, query)| (path, Some(query)));
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{}/embeddings{query}", path.trim_end_matches('/'))
}

fn headers(provider: EmbeddingProvider, key: Option<&str>) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(key) = key {
        let secret = |text: String| {
            let mut value = HeaderValue::from_str(&text).map_err(|_| ProviderError::Key)?;
            value.set_sensitive(true);
            Ok::<_, ProviderError>(value)
        };
        headers.insert(AUTHORIZATION, secret(format!("Bearer {key}"))?);
        if provider == EmbeddingProvider::Azure {
            headers.insert("api-key", secret(key.to_owned())?);
        }
    }
    Ok(headers)
}

impl Service {
    async fn embed(&self, texts: &[String], dimensions: usize) -> Result<Vectors, Failure> {
        let ask = Ask {
            model: &self.model,
            input: texts,
            dimensions: self.send_dimensions.then_some(dimensions),
        };
        let body = serde_json::to_vec(&ask).map_err(|_| Failure::BadInput { status: 0, input: None })?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.address.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.http.send(request).await?;
        let headers = pause_headers(&answer.headers);
        if !answer.status.is_success() {
            return Err(classify(answer.status.as_u16(), &headers, &answer.body));
        }
        let vectors = reply::read(&answer.body, texts.len(), dimensions).map_err(Failure::WrongAnswer)?;
        let rest = headers.rest(vectors.tokens.unwrap_or(0));
        Ok(Vectors { rest, ..vectors })
    }
}

fn pause_headers(headers: &HeaderMap) -> PauseHeaders {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    PauseHeaders {
        retry_after: text("retry-after").map(|when| seconds_until(&when, text("date")).unwrap_or(when)),
        retry_after_ms: text("retry-after-ms"),
        reset_requests: text("x-ratelimit-reset-requests"),
        reset_tokens: text("x-ratelimit-reset-tokens"),
        remaining_requests: text("x-ratelimit-remaining-requests"),
        remaining_tokens: text("x-ratelimit-remaining-tokens"),
    }
}

/// Seconds until a date in HTTP's form, by the answer's own date where it has one; `None` where it is no date.
fn seconds_until(when: &str, date: Option<String>) -> Option<String> {
    let when = httpdate::parse_http_date(when).ok()?;
    let date = date.and_then(|date| httpdate::parse_http_date(&date).ok());
    let now = date.unwrap_or_else(std::time::SystemTime::now);
    Some(when.duration_since(now).unwrap_or_default().as_secs().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_embeddings_goes_before_the_query() {
        for (base, whole) in [
            ("http://h/v1", "http://h/v1/embeddings"),
            ("http://h/v1/", "http://h/v1/embeddings"),
            ("http://h", "http://h/embeddings"),
            ("http://h?a=b", "http://h/embeddings?a=b"),
            (
                "https://r.openai.azure.com/openai/deployments/d/?api-version=2024-10-21",
                "https://r.openai.azure.com/openai/deployments/d/embeddings?api-version=2024-10-21",
            ),
        ] {
            assert_eq!(address(base), whole);
            assert!(whole.parse::<Uri>().is_ok(), "{whole}");
        }
    }

    #[test]
    fn a_pause_is_read_as_seconds_and_as_a_date() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            let pairs = pairs.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            });
            pairs.collect()
        };
        let retry_after = |pairs: &[(&'static str, &str)]| pause_headers(&headers(pairs)).retry_after;
        let (date, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:51:07 GMT");
        assert_eq!(retry_after(&[("retry-after", "1.5")]).as_deref(), Some("1.5"));
        assert_eq!(
            retry_after(&[("retry-after", later), ("date", date)]).as_deref(),
            Some("90")
        );
        assert_eq!(retry_after(&[("retry-after", later)]).as_deref(), Some("0"), "long ago");
        assert_eq!(retry_after(&[]), None);
    }
}
