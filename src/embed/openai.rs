//! OpenAI's embeddings API by `async-openai`: its typed request, and a configuration and a transport of ours.
//!
//! The crate never sees what it would handle in a way of its own: the transport judges every answer, and hands on a body only
//! when its status is good and its syntax is JSON. (The crate logs bodies of 5xx and those that it cannot parse, loses
//! headers and the status of errors that are not OpenAI's, and would retry by itself.) What the transport makes of an answer
//! comes back through `OpenAIError::Boxed`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use super::failure::words::Words;
use super::failure::{Failed, Failure, PauseHeaders, meaning};
use super::http::{Answer, Http};
use super::provider::ProviderError;
use super::reply::{self, Unusable, Vectors};

/// Where the service is and who asks. A type of ours, because the crate's own take what is not set from the environment.
#[derive(Clone)]
pub(super) struct Account {
    base: String,
    headers: HeaderMap,
    key: SecretString,
}

impl Account {
    /// Checks what requests are made of; nothing is connected.
    pub(super) fn new(base: &str, key: Option<&str>, azure: bool) -> Result<Self, ProviderError> {
        let account = Self {
            base: base.to_owned(),
            headers: headers(key, azure)?,
            key: SecretString::from(key.unwrap_or_default()),
        };
        let address = account.url("/embeddings");
        let usable = address.parse::<Uri>().is_ok() && reqwest::Url::parse(&address).is_ok();
        usable
            .then_some(account)
            .ok_or_else(|| ProviderError::Address(base.to_owned()))
    }
}

impl Config for Account {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The path goes before the query that some services want (Azure's `?api-version=..`).
    fn url(&self, path: &str) -> String {
        let (base, query) = match self.base.split_once('?') {
            Some((base, query)) => (base, format!("?{query}")),
            None => (self.base.as_str(), String::new()),
        };
        format!("{}{path}{query}", base.trim_end_matches('/'))
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

fn headers(key: Option<&str>, azure: bool) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let secret = |text: String| {
            let mut value = HeaderValue::from_str(&text).map_err(|_| ProviderError::Key)?;
            value.set_sensitive(true);
            Ok::<_, ProviderError>(value)
        };
        headers.insert(AUTHORIZATION, secret(format!("Bearer {key}"))?);
        if azure {
            headers.insert("api-key", secret(key.to_owned())?);
        }
    }
    Ok(headers)
}

/// One model of one service.
#[derive(Clone)]
pub(super) struct Service {
    client: Client<Account>,
    http: Http,
    model: String,
    /// Sent where they are to be chosen.
    dimensions: Option<u32>,
}

impl Service {
    pub(super) fn new(
        account: Account,
        model: String,
        dimensions: Option<u32>,
        timeout: Duration,
    ) -> Result<Self, ProviderError> {
        // It only makes requests and sends none; without this it would look at the environment for proxies.
        let requests = reqwest::Client::builder().no_proxy().build();
        let requests = requests.map_err(|error| ProviderError::Requests(error.to_string()))?;
        Ok(Self {
            client: Client::build(requests, account),
            http: Http::new(timeout)?,
            model,
            dimensions,
        })
    }

    /// Asks once. With `own_words` no text is anybody's, so that all that the service says may be shown.
    pub(super) async fn ask(
        &self,
        texts: &[String],
        dimensions: usize,
        base64: bool,
        own_words: bool,
    ) -> Result<Vectors, Failed> {
        let request = CreateEmbeddingRequest {
            model: self.model.clone(),
            input: EmbeddingInput::StringArray(texts.to_vec()),
            encoding_format: base64.then_some(EncodingFormat::Base64),
            user: None,
            dimensions: self.dimensions,
        };
        let asked = Arc::new(Asked {
            texts: texts.to_vec(),
            key: self.client.config().api_key().clone(),
            base64,
            own_words,
        });
        let pauses = Arc::default();
        let transport = Transport {
            http: self.http.clone(),
            asked: Arc::clone(&asked),
            pauses: Arc::clone(&pauses),
        };
        let client = self.client.clone().with_http_service(transport);
        let answer: Result<Box<RawValue>, OpenAIError> = client.embeddings().create_byot(&request).await;
        let answer = answer.map_err(ours)?;
        let headers = pauses.get().cloned().unwrap_or_default();
        let vectors = match reply::read(answer.get(), texts.len(), dimensions) {
            Ok(vectors) => vectors,
            Err(Unusable::Wrong(what)) => return Err(Failure::WrongAnswer(what).into()),
            Err(Unusable::WrongBase64(_)) if base64 => return Err(Failure::Encoding.into()),
            Err(Unusable::WrongBase64(what)) => return Err(Failure::WrongAnswer(what).into()),
            Err(Unusable::Error(error)) => return Err(asked.refused(200, &headers, error.as_bytes())),
        };
        let rest = headers.rest(vectors.tokens.unwrap_or(0));
        Ok(Vectors { rest, ..vectors })
    }
}

/// The failure that the transport made. Another one is not expected, and its words could hold a body.
fn ours(error: OpenAIError) -> Failed {
    let boxed = match error {
        OpenAIError::Boxed(error) => error.downcast::<Failed>().ok(),
        _ => None,
    };
    let unread = || Failure::WrongAnswer("could not be read".to_owned());
    boxed.map_or_else(|| unread().into(), |failed| *failed)
}

/// What was sent, for judging what comes back.
struct Asked {
    texts: Vec<String>,
    key: SecretString,
    base64: bool,
    own_words: bool,
}

impl Asked {
    /// What a refusal means, also one that stands in a good answer.
    fn refused(&self, status: u16, headers: &PauseHeaders, body: &[u8]) -> Failed {
        let words = Words::of(body);
        let texts = &self.texts[..];
        let failure = match status {
            200..300 => match words.status() {
                Some(hidden) => meaning(hidden, headers, &words, texts),
                None => Failure::Says { status },
            },
            400 | 422 if self.base64 && words.is_about_encoding(texts) => Failure::Encoding,
            status => meaning(status, headers, &words, texts),
        };
        let sent = if self.own_words { &[] } else { texts };
        let key = Some(self.key.expose_secret()).filter(|key| !key.is_empty());
        Failed {
            failure,
            says: words.shown(sent, key),
        }
    }
}

/// Sends one request that the crate made, by our own client, and lets nothing through that the crate would log.
#[derive(Clone)]
struct Transport {
    http: Http,
    asked: Arc<Asked>,
    /// What the good answer's headers say about the next request.
    pauses: Arc<OnceLock<PauseHeaders>>,
}

impl Transport {
    async fn send(self, request: HttpRequestFactory) -> Result<reqwest::Response, Failed> {
        let unsent = |_| {
            Failed::from(Failure::WrongAnswer(
                "was not asked for: the request cannot be made".to_owned(),
            ))
        };
        let request = request.build().await.map_err(unsent)?;
        let request = Request::<reqwest::Body>::try_from(request).map_err(|error| unsent(error.into()))?;
        let Answer { status, headers, body } = self.http.send(request).await?;
        let headers = pause_headers(&headers);
        if !status.is_success() {
            return Err(self.asked.refused(status.as_u16(), &headers, &body));
        }
        // The very look that the crate takes: what passes it here passes it there.
        serde_json::from_slice::<&RawValue>(&body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::WrongAnswer(format!("is no list of embeddings (line {line}, column {column})"))
        })?;
        // Set once: there is one transport for each request.
        drop(self.pauses.set(headers));
        Ok(http::Response::new(body).into())
    }
}

impl From<Failed> for OpenAIError {
    fn from(failed: Failed) -> Self {
        Self::Boxed(Box::new(failed))
    }
}

impl tower::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        Box::pin(self.clone().send(request))
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
            let account = Account::new(base, None, false).unwrap();
            assert_eq!(account.url("/embeddings"), whole);
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
