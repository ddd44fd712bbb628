//! Who calls: bearer tokens from the configuration and signed ones of an identity provider, sent as `Bearer <token>` or as
//! `Basic` with the principal as user name and the token as password. Checked on every call, because a connection may be
//! shared by what lies between; the doorman does it once, and doors learn from the call what was found.
//!
//! Tokens are kept as SHA-256 digests and compared in constant time; the answer to an unknown name and to a wrong token is
//! the same.

mod jwk;
mod jwt;
mod keys;

use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;
use jwt::Verifier;
pub use keys::KeySource;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::{Request, Status};

use crate::config::Auth;
use crate::model::caller::{Caller, Principal};
use crate::server::connection::ConnectionInfo;

/// Go's Flight client sends base64 without padding, the others with.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const REFUSED: &str = "the authorization header names no known token; send `authorization: Bearer <token>` with one of the \
                       server's auth.tokens";
const MISSING: &str =
    "this server takes no anonymous calls; send `authorization: Bearer <token>` with one of the server's auth.tokens";

/// Knows who may call. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    tokens: Arc<[Known]>,
    jwt: Option<Arc<Verifier>>,
}

#[derive(Debug)]
struct Known {
    principal: Arc<str>,
    digest: [u8; 32],
}

/// What became of a call's credentials; travels with the call from the doorman to its door.
#[derive(Clone, Debug)]
struct Admission(Result<Principal, Status>);

impl Authenticator {
    /// Everybody is anonymous and welcome when the configuration names no credentials. `keys` are those of `auth.jwt`.
    pub fn new(auth: &Auth, keys: Option<Arc<dyn KeySource>>) -> Self {
        let known = auth.tokens.iter().filter_map(|token| {
            Some(Known {
                principal: Arc::from(token.principal.as_str()),
                digest: token.digest()?,
            })
        });
        let jwt = auth.jwt.as_ref().zip(keys);
        Self {
            tokens: known.collect(),
            jwt: jwt.map(|(settings, keys)| Arc::new(Verifier::new(settings, keys))),
        }
    }

    /// Whether calls need a token.
    pub fn is_required(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }

    /// Who sent this request, as the doorman found.
    ///
    /// # Errors
    /// UNAUTHENTICATED with what to send.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let traceparent = request
            .metadata()
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .map(Arc::from);
        let admission = request.extensions().get::<Admission>();
        let past = || Status::internal("the call came past the doorman");
        let principal = admission.ok_or_else(past)?.0.clone()?;
        Ok(Caller {
            principal,
            peer: ConnectionInfo::of(request).and_then(|connection| connection.peer),
            traceparent,
        })
    }

    /// Looks at the credentials of a call and notes with it who calls.
    ///
    /// # Errors
    /// UNAUTHENTICATED with what to send; noted as well.
    pub(super) async fn admit<B>(&self, request: &mut http::Request<B>) -> Result<(), Status> {
        let header = request.headers().get("authorization").cloned();
        let found = self.principal(header.as_ref().map(HeaderValue::as_bytes)).await;
        let verdict = found.as_ref().map(drop).map_err(Clone::clone);
        request.extensions_mut().insert(Admission(found));
        verdict
    }

    async fn principal(&self, header: Option<&[u8]>) -> Result<Principal, Status> {
        if !self.is_required() {
            return Ok(Principal::Anonymous);
        }
        let header = header.ok_or_else(|| Status::unauthenticated(MISSING))?;
        let (user, token) = credentials(header).ok_or_else(|| Status::unauthenticated(REFUSED))?;
        let fits = |name: &str| user.as_deref().is_none_or(|user| user == name);
        if let Some(name) = self.holder(&token).filter(|name| fits(name)) {
            return Ok(Principal::Named(name));
        }
        match self.jwt.as_ref().filter(|_| Verifier::is_signed(&token)) {
            None => Err(Status::unauthenticated(REFUSED)),
            Some(jwt) => match jwt.principal(&token).await? {
                name if fits(&name) => Ok(Principal::Named(name)),
                _ => Err(Status::unauthenticated(REFUSED)),
            },
        }
    }

    /// Whose a static token is.
    fn holder(&self, token: &str) -> Option<Arc<str>> {
        let digest = digest(token);
        // All tokens are looked at, whichever matches, so that the time tells nothing.
        let mut found = None;
        for known in self.tokens.iter() {
            if bool::from(known.digest.ct_eq(&digest)) {
                found = Some(Arc::clone(&known.principal));
            }
        }
        found
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// User name (of Basic) and token. A missing colon, bad base64 or another scheme is no credential.
pub(super) fn credentials(header: &[u8]) -> Option<(Option<String>, String)> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, value) = header.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, value.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(value).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((Some(user.to_owned()), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthToken, Secret};

    fn authenticator() -> Authenticator {
        let token = |principal: &str, token: &str| AuthToken {
            principal: principal.into(),
            token: Some(Secret::new(token)),
            sha256: None,
        };
        let auth = Auth {
            tokens: vec![token("etl", "s3cret"), token("bi", "other:1")],
            ..Auth::default()
        };
        Authenticator::new(&auth, None)
    }

    fn ask(authenticator: &Authenticator, header: Option<&str>) -> Result<Principal, Status> {
        futures::executor::block_on(authenticator.principal(header.map(str::as_bytes)))
    }

    #[test]
    fn bearer_and_basic_with_and_without_padding_name_the_same_principal() {
        let known = authenticator();
        let etl = Principal::Named("etl".into());
        assert_eq!(ask(&known, Some("Bearer s3cret")).unwrap(), etl);
        assert_eq!(ask(&known, Some("bearer s3cret")).unwrap(), etl);
        assert_eq!(ask(&known, Some("Basic ZXRsOnMzY3JldA==")).unwrap(), etl);
        assert_eq!(ask(&known, Some("Basic ZXRsOnMzY3JldA")).unwrap(), etl);
        assert_eq!(
            ask(&known, Some("Basic Ymk6b3RoZXI6MQ==")).unwrap(),
            Principal::Named("bi".into())
        );
    }

    #[test]
    fn wrong_or_missing_credentials_are_refused_alike() {
        let known = authenticator();
        let wrong = [
            "Bearer nope",
            "Bearer ",
            "Basic ZXRsOm5vcGU=",
            "Basic eA==",
            "Basic !",
            "Token s3cret",
            "s3cret",
        ];
        // The right token under another's name (`x:s3cret`) is as wrong as any.
        for header in wrong.into_iter().chain(["Basic eDpzM2NyZXQ="]) {
            let status = ask(&known, Some(header)).unwrap_err();
            assert_eq!(
                (status.code(), status.message()),
                (tonic::Code::Unauthenticated, REFUSED),
                "{header}"
            );
        }
        assert_eq!(ask(&known, None).unwrap_err().message(), MISSING);
    }

    #[test]
    fn without_tokens_everybody_is_anonymous() {
        assert_eq!(
            ask(&Authenticator::default(), Some("Bearer x")).unwrap(),
            Principal::Anonymous
        );
    }
}
