//! Who turns texts into vectors: a service that speaks OpenAI's embeddings API, or the built-in test provider.
//!
//! One request, one answer. When to ask, and what to do about a refusal, is for `gate` and `batch`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgvector::Vector;

use super::failure::{Failed, Failure};
use super::hash_test;
use super::openai::{Account, Service};
use super::pack::RequestLimits;
use super::reply::Vectors;
use crate::config::{Config, EmbeddingProvider};

/// Tokens that OpenAI's models take per text.
const INPUT_TOKENS: usize = 8191;
/// A text that every model takes, and that tells nobody anything.
const HARMLESS: &str = "pgflight";

/// The provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS for embeddings: {0}")]
    Tls(#[from] rustls::Error),
    /// Requests cannot be made.
    #[error("cannot make requests for embeddings: {0}")]
    Requests(String),
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
    Service {
        service: Box<Service>,
        /// Whether it is asked for base64, a third of the bytes of decimal digits; not any more once it has refused that.
        base64: Arc<AtomicBool>,
    },
    HashTest,
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
            let key = embedding.api_key.as_ref().map(|key| key.expose());
            let account = Account::new(base, key, embedding.provider == EmbeddingProvider::Azure)?;
            Kind::Service {
                service: Box::new(Service::new(
                    account,
                    embedding.model_name.clone(),
                    embedding.send_dimensions.then_some(embedding.dimensions),
                    raw.embeddings.request_timeout.get(),
                )?),
                base64: Arc::new(AtomicBool::new(true)),
            }
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

    /// Embeds the texts of one request. One attempt; no transaction may be open meanwhile. After [`Failure::Encoding`] the
    /// next attempt asks for numbers.
    ///
    /// # Errors
    /// Why there are no vectors, or why they cannot be believed.
    pub async fn embed(&self, texts: &[String]) -> Result<Vectors, Failed> {
        match &self.kind {
            Kind::HashTest => Ok(self.hashed(texts)),
            Kind::Service { service, base64 } => {
                let asked = base64.load(Ordering::Relaxed);
                let answer = service.ask(texts, self.dimensions, asked, false).await;
                if matches!(&answer, Err(failed) if failed.failure == Failure::Encoding) {
                    base64.store(false, Ordering::Relaxed);
                }
                answer
            }
        }
    }

    /// Whether the service takes a request at all: one with a text of ours, which nobody minds being repeated. Where it
    /// refuses base64, a second request finds that out.
    ///
    /// # Errors
    /// Why it does not, in the service's own words, too.
    pub async fn probe(&self) -> Result<Vectors, Failed> {
        let answer = self.ask_harmless().await;
        answer.map_err(|failed| match failed.failure {
            // There is nothing wrong with that text.
            Failure::BadInput { status, .. } => Failed {
                failure: Failure::Request { status },
                ..failed
            },
            _ => failed,
        })
    }

    async fn ask_harmless(&self) -> Result<Vectors, Failed> {
        let texts = [HARMLESS.to_owned()];
        let Kind::Service { service, base64 } = &self.kind else {
            return Ok(self.hashed(&texts));
        };
        let asked = base64.load(Ordering::Relaxed);
        let failed = match service.ask(&texts, self.dimensions, asked, true).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        if !asked || !failed.failure.may_be_the_encoding() {
            return Err(failed);
        }
        match service.ask(&texts, self.dimensions, false, true).await {
            Ok(answer) => {
                base64.store(false, Ordering::Relaxed);
                Ok(answer)
            }
            // With numbers it says what it has against the request itself.
            Err(plain) if failed.failure == Failure::Encoding => Err(plain),
            Err(_) => Err(failed),
        }
    }

    fn hashed(&self, texts: &[String]) -> Vectors {
        let vectors = texts.iter().map(|text| hash_test::vector(text, self.dimensions));
        Vectors {
            vectors: vectors.map(Vector::from).collect(),
            tokens: None,
            rest: None,
        }
    }
}
