//! Signed tokens (JSON Web Tokens): whose they are, and why one is refused. A refusal names the kind of reason and nothing of
//! the token.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use serde_json::{Map, Value};
use tonic::Status;

use super::jwk::word;
use super::keys::{KeySource, Keys, NoKey};
use crate::config::Jwt;
use crate::model::json;

/// Longest name that a token may give its holder.
const LONGEST_NAME: usize = 512;

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no token of the form header.claims.signature")]
    Malformed,
    #[error("it is signed by an algorithm that auth.jwt.algorithms does not allow")]
    Algorithm,
    #[error("the issuer's key set has no key of the name and algorithm that it gives")]
    UnknownKey,
    #[error("its signature is not right")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("its issuer is not auth.jwt.issuer")]
    Issuer,
    #[error("its audience is not auth.jwt.audience")]
    Audience,
    #[error("the claim {0:?} is missing or of another form than it must have")]
    Claim(String),
    #[error("the key set of the issuer (auth.jwt.jwks) cannot be fetched; try again later")]
    NoSet,
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let text = format!("the signed token is refused: {refused}");
        match refused {
            Refused::NoSet => Self::unavailable(text),
            _ => Self::unauthenticated(text),
        }
    }
}

/// Checks signed tokens.
#[derive(Debug)]
pub(super) struct Verifier {
    settings: Jwt,
    keys: Keys,
}

impl Verifier {
    pub(super) fn new(settings: &Jwt, source: Arc<dyn KeySource>) -> Self {
        Self {
            settings: settings.clone(),
            keys: Keys::of(source),
        }
    }

    /// Whether a token has the form of a signed one.
    pub(super) fn is_signed(token: &str) -> bool {
        token.split('.').count() == 3
    }

    /// Whose a token is.
    pub(super) async fn principal(&self, token: &str) -> Result<Arc<str>, Refused> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        let header = object(header)?;
        // What must be understood, and is not.
        if header.contains_key("crit") {
            return Err(Refused::Malformed);
        }
        let named = header.get("alg").and_then(Value::as_str);
        let mut allowed = self.settings.algorithms.iter().copied();
        let algorithm = allowed
            .find(|allowed| named == Some(word(*allowed)))
            .ok_or(Refused::Algorithm)?;
        let id = header.get("kid").and_then(Value::as_str);
        let key = self.keys.find(id, algorithm).await.map_err(|none| match none {
            NoKey::Unknown => Refused::UnknownKey,
            NoKey::NoSet => Refused::NoSet,
        })?;
        let signature = URL.decode(signature).map_err(|_| Refused::Malformed)?;
        if !key.made(algorithm, signed.as_bytes(), &signature) {
            return Err(Refused::Signature);
        }
        // Nothing of it was believed before this line.
        self.holder(&object(claims)?, now())
    }

    /// Whom the claims of a signed token name, at this time.
    fn holder(&self, claims: &Map<String, Value>, now: f64) -> Result<Arc<str>, Refused> {
        let (settings, leeway) = (&self.settings, self.settings.leeway.get().as_secs_f64());
        let wrong = |name: &str| Refused::Claim(name.to_owned());
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(time) => time.as_f64().map(Some).ok_or_else(|| wrong(name)),
        };
        if time("exp")?.ok_or_else(|| wrong("exp"))? < now - leeway {
            return Err(Refused::Expired);
        }
        if time("nbf")?.is_some_and(|begins| begins > now + leeway) {
            return Err(Refused::Early);
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or_else(|| wrong(name));
        if text("iss")? != settings.issuer {
            return Err(Refused::Issuer);
        }
        let named = match claims.get("aud").ok_or_else(|| wrong("aud"))? {
            Value::Array(all) => all.iter().any(|one| one.as_str() == Some(&settings.audience)),
            one => one.as_str() == Some(&settings.audience),
        };
        if !named {
            return Err(Refused::Audience);
        }
        for name in &settings.required_claims {
            if claims.get(name).is_none_or(Value::is_null) {
                return Err(wrong(name));
            }
        }
        let name = text(&settings.principal_claim)?;
        match !name.is_empty() && name.len() <= LONGEST_NAME {
            true => Ok(Arc::from(name)),
            false => Err(wrong(&settings.principal_claim)),
        }
    }
}

/// A part of a token. An object that names a key twice could mean two things, and is none.
fn object(part: &str) -> Result<Map<String, Value>, Refused> {
    let bytes = URL.decode(part).map_err(|_| Refused::Malformed)?;
    json::read(&bytes).map_err(|_| Refused::Malformed)
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
