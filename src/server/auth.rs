//! Who calls: bearer tokens from the configuration and signed ones of an identity provider, sent as `Bearer <token>` or as
//! `Basic` with the principal as user name and the token as password. Checked on every call, because a connection may be
//! shared by what lies between; the doorman does it once, and doors learn from the call what was found.
//!
//! Tokens are kept as SHA-256 digests and compared in constant time; the answer to an unknown name and to a wrong token is
//! the same.

mod jwk;
mod jwt;
mod keys;
mod session;

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{Extensions, HeaderMap, HeaderValue};
use jwt::Verifier;
pub use keys::KeySource;
use session::{NoSession, Sessions};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::{Request, Status};

use crate::config::Auth;
use crate::model::caller::{Caller, Principal};
use crate::server::connection::{ConnectionInfo, PeerName};

/// Go's Flight client sends base64 without padding, the others with.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const REFUSED: &str = "the authorization header names no known token; send `authorization: Bearer <token>` with one of the \
                       server's auth.tokens";
const OVER: &str = "the session has ended; call Handshake again with the token itself";
const MISSING: &str =
    "this server takes no anonymous calls; send `authorization: Bearer <token>` with one of the server's auth.tokens";

/// Knows who may call. Cheap to clone; all clones see a change.
#[derive(Clone, Debug, Default)]
pub struct Authenticator(Arc<RwLock<Arc<Credentials>>>);

/// What is taken for a name.
#[derive(Debug, Default)]
struct Credentials {
    tokens: Vec<Known>,
    jwt: Option<Verifier>,
    sessions: Option<Sessions>,
    client_certificates: bool,
    unix_peers: bool,
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
        let new = Self::default();
        new.change(auth, keys);
        new
    }

    /// From the next call on these credentials are taken.
    pub fn change(&self, auth: &Auth, keys: Option<Arc<dyn KeySource>>) {
        let new = Arc::new(Credentials::new(auth, keys));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Who sent this request, as the doorman found.
    ///
    /// # Errors
    /// UNAUTHENTICATED with what to send.
    pub fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        Self::found(request.metadata().as_ref(), request.extensions())
    }

    /// The same for a request over plain HTTP.
    ///
    /// # Errors
    /// UNAUTHENTICATED with what to send.
    pub(super) fn caller_over_http<B>(&self, request: &http::Request<B>) -> Result<Caller, Status> {
        Self::found(request.headers(), request.extensions())
    }

    fn found(headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Status> {
        let traceparent = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .map(Arc::from);
        let admission = extensions.get::<Admission>();
        let past = || Status::internal("the call came past the doorman");
        let principal = admission.ok_or_else(past)?.0.clone()?;
        Ok(Caller {
            principal,
            peer: extensions
                .get::<ConnectionInfo>()
                .and_then(|connection| connection.peer),
            traceparent,
        })
    }

    /// What a client that shook hands shall send from now on: a session's token where there are sessions, else what it sent. A
    /// session does not prolong itself.
    pub(super) fn token_for(&self, caller: &Caller, header: &[u8]) -> Option<String> {
        let (_, sent) = credentials(header)?;
        let now = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let sessions = now.sessions.as_ref().filter(|_| !Sessions::is_one(&sent));
        match (&caller.principal, sessions) {
            (Principal::Named(name), Some(sessions)) => Some(sessions.of(name)),
            _ => Some(sent),
        }
    }

    /// Looks at the credentials of a call and notes with it who calls.
    ///
    /// # Errors
    /// UNAUTHENTICATED with what to send; noted as well.
    pub(super) async fn admit<B>(&self, request: &mut http::Request<B>) -> Result<(), Status> {
        let now = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let header = request.headers().get("authorization").cloned();
        let connection = request.extensions().get::<ConnectionInfo>();
        let peer = connection
            .map(|connection| connection.peer_name.clone())
            .unwrap_or_default();
        let found = now.principal(header.as_ref().map(HeaderValue::as_bytes), &peer).await;
        let verdict = found.as_ref().map(drop).map_err(Clone::clone);
        request.extensions_mut().insert(Admission(found));
        verdict
    }
}

impl Credentials {
    fn new(auth: &Auth, keys: Option<Arc<dyn KeySource>>) -> Self {
        let known = auth.tokens.iter().filter_map(|token| {
            Some(Known {
                principal: Arc::from(token.principal.as_str()),
                digest: token.digest()?,
            })
        });
        let jwt = auth.jwt.as_ref().zip(keys);
        Self {
            tokens: known.collect(),
            jwt: jwt.map(|(settings, keys)| Verifier::new(settings, keys)),
            sessions: auth.session.as_ref().map(Sessions::new),
            client_certificates: auth.client_certificates,
            unix_peers: auth.unix_peers,
        }
    }

    /// What a call sends itself counts; only without that the connection's other end does.
    async fn principal(&self, header: Option<&[u8]>, peer: &PeerName) -> Result<Principal, Status> {
        let takes_tokens = !self.tokens.is_empty() || self.jwt.is_some();
        match header.filter(|_| takes_tokens) {
            Some(header) => self.sent(header).await.map(Principal::Named),
            None => match self.connected(peer) {
                Some(name) => Ok(Principal::Named(name)),
                None if takes_tokens => Err(Status::unauthenticated(MISSING)),
                None => Ok(Principal::Anonymous),
            },
        }
    }

    /// The name that the connection gives.
    fn connected(&self, peer: &PeerName) -> Option<Arc<str>> {
        let certificate = peer.certificate.as_ref().filter(|_| self.client_certificates);
        let user = peer.uid.filter(|_| self.unix_peers);
        let name = certificate.map(|name| format!("tls:{name}"));
        name.or_else(|| user.map(|uid| format!("unix:uid={uid}")))
            .map(Arc::from)
    }

    /// Whose the token is that was sent.
    async fn sent(&self, header: &[u8]) -> Result<Arc<str>, Status> {
        let (user, token) = credentials(header).ok_or_else(|| Status::unauthenticated(REFUSED))?;
        let fits = |name: &str| user.as_deref().is_none_or(|user| user == name);
        if let Some(sessions) = self.sessions.as_ref().filter(|_| Sessions::is_one(&token)) {
            let held = sessions.holder(&token).map_err(|none| match none {
                NoSession::Unknown => REFUSED,
                NoSession::Over => OVER,
            });
            let name = held.map_err(Status::unauthenticated)?;
            return Some(name)
                .filter(|name| fits(name))
                .ok_or_else(|| Status::unauthenticated(REFUSED));
        }
        if let Some(name) = self.holder(&token).filter(|name| fits(name)) {
            return Ok(name);
        }
        match self.jwt.as_ref().filter(|_| Verifier::is_signed(&token)) {
            None => Err(Status::unauthenticated(REFUSED)),
            Some(jwt) => match jwt.principal(&token).await? {
                name if fits(&name) => Ok(name),
                _ => Err(Status::unauthenticated(REFUSED)),
            },
        }
    }

    /// Whose a static token is.
    fn holder(&self, token: &str) -> Option<Arc<str>> {
        let digest = digest(token);
        // All tokens are looked at, whichever matches, so that the time tells nothing.
        let mut found = None;
        for known in &self.tokens {
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
fn credentials(header: &[u8]) -> Option<(Option<String>, String)> {
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

    fn authenticator() -> Credentials {
        let token = |principal: &str, token: &str| AuthToken {
            principal: principal.into(),
            token: Some(Secret::new(token)),
            sha256: None,
        };
        let auth = Auth {
            tokens: vec![token("etl", "s3cret"), token("bi", "other:1")],
            ..Auth::default()
        };
        Credentials::new(&auth, None)
    }

    fn ask(credentials: &Credentials, header: Option<&str>) -> Result<Principal, Status> {
        futures::executor::block_on(credentials.principal(header.map(str::as_bytes), &PeerName::default()))
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
    fn the_connection_names_who_sends_nothing_and_nobody_who_sends_something_wrong() {
        let peer = PeerName {
            uid: Some(1000),
            certificate: Some("host".into()),
        };
        let auth = Auth {
            client_certificates: true,
            unix_peers: true,
            ..Auth::default()
        };
        let ask = |auth: &Auth, header: Option<&[u8]>, peer: &PeerName| {
            futures::executor::block_on(Credentials::new(auth, None).principal(header, peer))
        };
        assert_eq!(ask(&auth, None, &peer).unwrap(), Principal::Named("tls:host".into()));
        let user = PeerName {
            certificate: None,
            ..peer.clone()
        };
        assert_eq!(
            ask(&auth, None, &user).unwrap(),
            Principal::Named("unix:uid=1000".into())
        );
        assert_eq!(ask(&auth, None, &PeerName::default()).unwrap(), Principal::Anonymous);
        assert_eq!(
            ask(&Auth::default(), None, &peer).unwrap(),
            Principal::Anonymous,
            "only where it is wanted"
        );
        let with_token = Auth {
            tokens: vec![AuthToken {
                principal: "etl".into(),
                token: Some(Secret::new("s3cret")),
                sha256: None,
            }],
            ..auth
        };
        assert_eq!(
            ask(&with_token, Some(b"Bearer s3cret"), &peer).unwrap(),
            Principal::Named("etl".into())
        );
        assert!(
            ask(&with_token, Some(b"Bearer wrong"), &peer).is_err(),
            "a wrong token is not passed over"
        );
        assert_eq!(
            ask(&with_token, None, &user).unwrap(),
            Principal::Named("unix:uid=1000".into())
        );
        assert!(ask(&with_token, None, &PeerName::default()).is_err());
    }

    #[test]
    fn without_tokens_everybody_is_anonymous() {
        assert_eq!(
            ask(&Credentials::default(), Some("Bearer x")).unwrap(),
            Principal::Anonymous
        );
    }
}
