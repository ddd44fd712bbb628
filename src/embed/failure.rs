//! What an embeddings service's refusal means, read from status, headers and body. Pure.
//!
//! Bodies seen: OpenAI `{"error":{"message","type","code"}}`, vLLM the same with an integer `code`, TEI
//! `{"error":"..","error_type":".."}` and `{"message","code","type"}`, gateways `{"detail":..}`, or no JSON at all. Bodies can
//! repeat the text that was sent, so none of their words are kept, except a number that names an input.

use std::time::Duration;

use serde_json::Value;

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
    Network(&'static str),
    /// An answer that says nothing about a text: no row is given up for it.
    #[error(
        "the service answers in a way that no embeddings service is known for (HTTP {status}); check base_url and what is before it"
    )]
    Unknown {
        /// HTTP status.
        status: u16,
    },
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
            Self::Network(_) => "network",
            Self::Unknown { .. } => "unknown_status",
            Self::TooLarge { .. } => "too_large",
            Self::BadInput { .. } => "bad_input",
            Self::WrongAnswer(_) => "wrong_answer",
        }
    }

    /// Whether trying again soon may help, with nothing changed.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Server { .. } | Self::Network(_))
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

/// What a status that is not 2xx means.
pub fn classify(status: u16, headers: &PauseHeaders, body: &[u8]) -> Failure {
    let words = Words::of(body);
    match status {
        429 if words.has(&["insufficient_quota"]) => Failure::Quota { status },
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
        408 | 425 => Failure::Network("the request took too long"),
        // A conflict, a dependency that failed, a proxy whose client went: the text is not to blame.
        409 | 424 | 499 => Failure::Server { status },
        413 => Failure::TooLarge { status },
        400 | 422 => match words.named_input() {
            Some(input) => Failure::BadInput {
                status,
                input: Some(input),
            },
            None if words.is_about_size() => Failure::TooLarge { status },
            None if words.has(&["model_not_found", "does not exist"]) => Failure::NotFound { status },
            None => Failure::BadInput { status, input: None },
        },
        500.. => Failure::Server { status },
        _ => Failure::Unknown { status },
    }
}

/// Codes and messages of an error body, lower case, in one text that is looked at and dropped.
struct Words(String);

impl Words {
    fn of(body: &[u8]) -> Self {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(value) => ["message", "code", "type", "error_type", "error", "detail"]
                .iter()
                .flat_map(|key| [value.get(key), value.get("error").and_then(|error| error.get(key))])
                .flatten()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
            Err(_) => String::from_utf8_lossy(body).chars().take(2000).collect(),
        };
        Self(text.to_lowercase())
    }

    fn has(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    /// `input[3]` as OpenAI names the culprit.
    fn named_input(&self) -> Option<usize> {
        let (_, after) = self.0.split_once("input[")?;
        after.split_once(']')?.0.parse().ok()
    }

    fn is_about_size(&self) -> bool {
        self.has(&[
            "max_tokens_per_request",
            "'$.input' is invalid",
            "batch size",
            "too many inputs",
            "max_client_batch_size",
            "payload too large",
            "request too large",
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        classify(status, &PauseHeaders::default(), body.as_bytes())
    }

    #[test]
    fn a_rate_limit_is_told_from_a_used_up_quota() {
        let after = |headers: PauseHeaders| match classify(429, &headers, b"") {
            Failure::RateLimited { after, .. } => after,
            other => panic!("{other}"),
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(after(PauseHeaders::default()), None);
        let headers = PauseHeaders {
            retry_after: text("2"),
            retry_after_ms: text("2500"),
            reset_tokens: text("6m0s"),
            ..PauseHeaders::default()
        };
        assert_eq!(after(headers), Some(Duration::from_millis(2500)));
        let headers = PauseHeaders {
            reset_requests: text("1s"),
            reset_tokens: text("6m0s"),
            ..PauseHeaders::default()
        };
        assert_eq!(after(headers), Some(Duration::from_secs(360)));
        let quota = r#"{"error":{"message":"You exceeded..","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(of(429, quota), Failure::Quota { status: 429 });
    }

    #[test]
    fn a_good_answer_that_leaves_nothing_makes_a_rest() {
        let rest = |requests: &str, tokens: &str, reset: &str, used| {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let headers = PauseHeaders {
                remaining_requests: text(requests),
                remaining_tokens: text(tokens),
                reset_requests: text(reset),
                reset_tokens: text("250ms"),
                ..PauseHeaders::default()
            };
            headers.rest(used)
        };
        assert_eq!(rest("", "", "1s", 10), None, "nothing is said");
        assert_eq!(rest("1", "10", "1s", 10), None, "enough for one more");
        assert_eq!(rest("0", "10", "1s", 10), Some(Duration::from_secs(1)));
        assert_eq!(rest("5", "9", "1s", 10), Some(Duration::from_millis(250)));
        assert_eq!(
            rest("0", "0", "6m0s", 0),
            Some(Duration::from_secs(60)),
            "no longer than that"
        );
        assert_eq!(rest("0", "many", "soon", 10), None, "not understood");
    }

    #[test]
    fn an_input_is_found_in_every_shape_of_body() {
        for (status, body, input) in [
            (
                400,
                r#"{"error":{"message":"Invalid 'input[3]': maximum input length is 8192 tokens.","code":null}}"#,
                Some(3),
            ),
            (400, r#"{"error":{"message":"bad text","code":400}}"#, None),
            (
                422,
                r#"{"message":"Input validation error","code":422,"type":"Validation"}"#,
                None,
            ),
            (422, r#"{"detail":[{"msg":"no"}]}"#, None),
            (400, "<html>no</html>", None),
        ] {
            assert_eq!(of(status, body), Failure::BadInput { status, input }, "{body}");
        }
    }

    #[test]
    fn too_much_in_one_request_is_known_by_code_or_words() {
        for (status, body) in [
            (413, ""),
            (
                400,
                r#"{"error":{"message":"Requested 629204 tokens, max 600000","code":"max_tokens_per_request"}}"#,
            ),
            (400, r#"{"error":{"message":"'$.input' is invalid."}}"#),
            (
                422,
                r#"{"error":"batch size 33 > maximum allowed batch size 32","error_type":"Validation"}"#,
            ),
        ] {
            assert_eq!(of(status, body), Failure::TooLarge { status }, "{body}");
        }
    }

    #[test]
    fn a_status_that_says_nothing_about_a_text_gives_no_row_up() {
        for status in [301, 302, 307, 308] {
            assert_eq!(of(status, "moved"), Failure::NotFound { status });
        }
        for status in [408, 409, 424, 425, 499] {
            assert!(of(status, "later").is_passing(), "{status}");
        }
        for status in [406, 410, 411, 414, 415, 418, 421, 426, 431, 451] {
            let failure = of(status, r#"{"error":{"message":"no"}}"#);
            assert_eq!(failure, Failure::Unknown { status });
            assert!(!failure.is_passing(), "{status}");
        }
    }

    #[test]
    fn no_word_of_a_body_is_kept() {
        let secret = r#"{"error":{"message":"cannot embed 'my diary' with key sk-123"}}"#;
        for status in [302, 400, 401, 403, 404, 418, 422, 424, 429, 500, 503] {
            let shown = format!("{0} {0:?}", of(status, secret));
            assert!(!shown.contains("diary") && !shown.contains("sk-123"), "{shown}");
        }
    }
}
