//! What an embeddings service's refusal means, read from status, headers and body. Pure.
//!
//! Bodies seen: OpenAI `{"error":{"message","type","code"}}`, vLLM the same with an integer `code`, TEI
//! `{"error":"..","error_type":".."}` and `{"message","code","type"}`, gateways `{"detail":..}`, or no JSON at all. Bodies can
//! repeat the text that was sent, in a member of its own or within a message: see [`words`].

pub(crate) mod words;

use std::io::ErrorKind;
use std::time::Duration;

use self::words::Words;

/// A failure with what the service says about it, as far as that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What it is.
    pub failure: Failure,
    /// The service's own words, without anything that was sent.
    pub says: Option<String>,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.says {
            Some(says) => write!(f, "{}; it says: {says}", self.failure),
            None => self.failure.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, says: None }
    }
}

/// Why the service was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// Its name is not known.
    #[error("DNS knows no address for {0}; check base_url")]
    Dns(String),
    /// Nobody listens.
    #[error("{0} refuses the connection; check base_url, and that it runs")]
    Refused(String),
    /// Nobody answers.
    #[error("{0} does not answer within 10 s")]
    Silent(String),
    /// Another error of the network.
    #[error("there is no connection to {0}: {1}")]
    NoWay(String, ErrorKind),
    /// The certificate's authority is not known.
    #[error(
        "the certificate of {0} was issued by an authority that this machine does not know (unknown CA); name a PEM file with \
         the authority's certificate in SSL_CERT_FILE"
    )]
    UnknownAuthority(String),
    /// No TLS for another reason.
    #[error("no TLS with {0}: {1}")]
    Tls(String, String),
    /// The connection broke.
    #[error("the connection broke {0}")]
    Broke(&'static str),
    /// No answer in time.
    #[error("it took too long (embeddings.request_timeout)")]
    Slow,
    /// The service itself waited too long.
    #[error("it says that the request took too long (HTTP {0})")]
    SaysSlow(u16),
    /// The answer has no end.
    #[error("its answer is larger than 256 MiB; lower embeddings.max_inputs")]
    TooLong,
}

impl Unreached {
    const fn code(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Refused(_) => "refused",
            Self::UnknownAuthority(_) | Self::Tls(..) => "tls",
            Self::Silent(_) | Self::Slow | Self::SaysSlow(_) => "timeout",
            Self::NoWay(..) | Self::Broke(_) | Self::TooLong => "network",
        }
    }
}

/// Why a request gave no vectors. Texts are for logs and the ledger: they hold neither input nor key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The service asks for a pause.
    #[error("the service asks for a pause (HTTP {status})")]
    RateLimited {
        /// HTTP status.
        status: u16,
        /// Pause, where it names one.
        after: Option<Duration>,
    },
    /// The account has no quota left.
    #[error("the account's quota is used up (HTTP {status}, insufficient_quota); check plan and billing")]
    Quota {
        /// HTTP status.
        status: u16,
    },
    /// The key is not accepted.
    #[error("the service does not accept the key (HTTP {status}); check openai_embedding.api_key")]
    Auth {
        /// HTTP status.
        status: u16,
    },
    /// Model or address are wrong.
    #[error("the service does not know the model or the address (HTTP {status}); check model_name and base_url")]
    NotFound {
        /// HTTP status.
        status: u16,
    },
    /// The service failed.
    #[error("the service failed (HTTP {status})")]
    Server {
        /// HTTP status.
        status: u16,
    },
    /// The service was not reached, or the connection broke.
    #[error("the service did not answer: {0}")]
    Network(Unreached),
    /// An answer that says nothing about a text: no row is given up for it.
    #[error(
        "the service answers in a way that no embeddings service is known for (HTTP {status}); check base_url and what is before it"
    )]
    Unknown {
        /// HTTP status.
        status: u16,
    },
    /// What is wrong is the request and none of its texts.
    #[error(
        "the service does not take the request, whatever its text (HTTP {status}); check model_name, dimensions and send_dimensions"
    )]
    Request {
        /// HTTP status.
        status: u16,
    },
    /// It answers with an error although the status is good.
    #[error("the service answers with an error instead of vectors (HTTP {status})")]
    Says {
        /// HTTP status.
        status: u16,
    },
    /// It has no vectors in base64; it is asked for numbers from now on.
    #[error("the service does not answer in base64")]
    Encoding,
    /// The request holds too much.
    #[error("the service found the request too large (HTTP {status})")]
    TooLarge {
        /// HTTP status.
        status: u16,
    },
    /// An input is not taken.
    #[error("the service does not take {} (HTTP {status})", which(.input))]
    BadInput {
        /// HTTP status.
        status: u16,
        /// Position in the request, where the service names it.
        input: Option<usize>,
    },
    /// The answer cannot be used.
    #[error("the service's answer {0}")]
    WrongAnswer(String),
}

fn which(input: &Option<usize>) -> String {
    input.map_or_else(|| "an input".to_owned(), |at| format!("input {at}"))
}

impl Failure {
    /// Name in the ledger, in metrics and in `embeddings status`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Quota { .. } => "insufficient_quota",
            Self::Auth { .. } => "auth",
            Self::NotFound { .. } => "not_found",
            Self::Server { .. } => "server",
            Self::Network(unreached) => unreached.code(),
            Self::Request { .. } => "bad_request",
            Self::Says { .. } => "error_answer",
            Self::Encoding => "encoding",
            Self::Unknown { .. } => "unknown_status",
            Self::TooLarge { .. } => "too_large",
            Self::BadInput { .. } => "bad_input",
            Self::WrongAnswer(_) => "wrong_answer",
        }
    }

    /// Whether trying again soon may help, with nothing changed.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Server { .. } => true,
            Self::Network(unreached) => !matches!(unreached, Unreached::UnknownAuthority(_) | Unreached::Tls(..)),
            _ => false,
        }
    }

    /// Whether a service that does not know base64 may fail in this way.
    pub const fn may_be_the_encoding(&self) -> bool {
        matches!(
            self,
            Self::Encoding
                | Self::Request { .. }
                | Self::BadInput { .. }
                | Self::Unknown { .. }
                | Self::Says { .. }
                | Self::WrongAnswer(_)
        )
    }

    /// Whether the text of a request of one text may be why, when the service takes others.
    pub const fn may_be_the_text(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::BadInput { .. })
    }
}

/// The headers that matter, lower case.
#[derive(Debug, Clone, Default)]
pub struct PauseHeaders {
    /// `retry-after` in seconds.
    pub retry_after: Option<String>,
    /// `retry-after-ms`.
    pub retry_after_ms: Option<String>,
    /// `x-ratelimit-reset-requests`.
    pub reset_requests: Option<String>,
    /// `x-ratelimit-reset-tokens`.
    pub reset_tokens: Option<String>,
    /// `x-ratelimit-remaining-requests`.
    pub remaining_requests: Option<String>,
    /// `x-ratelimit-remaining-tokens`.
    pub remaining_tokens: Option<String>,
}

/// Longest pause that is made without having been refused.
const LONGEST_REST: Duration = Duration::from_secs(60);

impl PauseHeaders {
    /// How long to wait after a good answer to a request of so many tokens, because the next one like it would be refused.
    pub fn rest(&self, tokens: u64) -> Option<Duration> {
        let left = |text: &Option<String>| text.as_deref()?.trim().parse::<u64>().ok();
        let span = |text: &Option<String>| text.as_deref()?.parse::<crate::model::duration::GoDuration>().ok();
        let requests = left(&self.remaining_requests).filter(|left| *left == 0);
        let tokens = left(&self.remaining_tokens).filter(|left| *left < tokens.max(1));
        let rests = [
            requests.and_then(|_| span(&self.reset_requests)),
            tokens.and_then(|_| span(&self.reset_tokens)),
        ];
        let longest = rests.into_iter().flatten().map(|span| span.get()).max()?;
        Some(longest.min(LONGEST_REST))
    }

    /// The longest pause that a header asks for.
    fn pause(&self) -> Option<Duration> {
        let seconds = |text: &Option<String>| text.as_deref()?.trim().parse::<f64>().ok();
        let named = [
            seconds(&self.retry_after),
            seconds(&self.retry_after_ms).map(|ms| ms / 1000.0),
        ];
        let named = named.into_iter().flatten().filter(|s| s.is_finite() && *s >= 0.0);
        let named = named.map(|s| Duration::from_secs_f64(s.min(86_400.0))).max();
        let span = |text: &Option<String>| text.as_deref()?.parse::<crate::model::duration::GoDuration>().ok();
        let reset = [span(&self.reset_requests), span(&self.reset_tokens)];
        named.or_else(|| reset.into_iter().flatten().map(|span| span.get()).max())
    }
}

/// What a status that is not 2xx means, of a request with these texts.
pub fn classify(status: u16, headers: &PauseHeaders, body: &[u8], texts: &[String]) -> Failure {
    meaning(status, headers, &Words::of(body), texts)
}

/// The same from a body that was read.
pub(super) fn meaning(status: u16, headers: &PauseHeaders, words: &Words, texts: &[String]) -> Failure {
    let has = |said: &[&str]| words.has(said, texts);
    match status {
        429 if has(&["insufficient_quota"]) => Failure::Quota { status },
        402 => Failure::Quota { status },
        429 => Failure::RateLimited {
            status,
            after: headers.pause(),
        },
        503 if headers.retry_after.is_some() => Failure::RateLimited {
            status,
            after: headers.pause(),
        },
        401 | 403 => Failure::Auth { status },
        // Redirects are not followed: a key is sent to the configured address only.
        300..400 | 404 | 405 => Failure::NotFound { status },
        408 | 425 => Failure::Network(Unreached::SaysSlow(status)),
        // A conflict, a dependency that failed, a proxy whose client went: the text is not to blame.
        409 | 424 | 499 => Failure::Server { status },
        413 => Failure::TooLarge { status },
        400 | 422 => match words.named_input(texts) {
            Some(input) => Failure::BadInput {
                status,
                input: Some(input),
            },
            None if has(TOO_LARGE) => Failure::TooLarge { status },
            None if has(&["model_not_found", "does not exist"]) => Failure::NotFound { status },
            None if words.is_about_request(texts) => Failure::Request { status },
            None => Failure::BadInput { status, input: None },
        },
        500.. => Failure::Server { status },
        _ => Failure::Unknown { status },
    }
}

/// Words about a request that holds too much.
const TOO_LARGE: &[&str] = &[
    "max_tokens_per_request",
    "'$.input' is invalid",
    "batch size",
    "too many inputs",
    "max_client_batch_size",
    "payload too large",
    "request too large",
];

#[cfg(test)]
mod tests;
