//! Tokens that a Handshake gives: a name and an end, signed by a key that all replicas have. Nothing is kept for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL;
use ring::hmac;

use crate::config::Session;

/// What they begin with; no other token that is taken does by chance.
const MARK: &str = "pgflight-session.";

/// Why one is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// This server's key did not sign it.
    Unknown,
    /// Its time is over.
    Over,
}

/// Makes and reads them.
#[derive(Debug)]
pub(super) struct Sessions {
    key: hmac::Key,
    lifetime: Duration,
}

impl Sessions {
    pub(super) fn new(settings: &Session) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, settings.key.expose().as_bytes()),
            lifetime: settings.lifetime.get(),
        }
    }

    /// Whether a token has the form of one.
    pub(super) fn is_one(token: &str) -> bool {
        token.starts_with(MARK)
    }

    /// A token for somebody who has shown who it is.
    pub(super) fn of(&self, principal: &str) -> String {
        self.until(principal, now().saturating_add(self.lifetime.as_secs()))
    }

    fn until(&self, principal: &str, end: u64) -> String {
        let signed = format!("{MARK}{}.{end}", URL.encode(principal));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL.encode(signature))
    }

    /// Whose a token is. The signature is compared in constant time, and before anything else is read.
    pub(super) fn holder(&self, token: &str) -> Result<Arc<str>, NoSession> {
        let (signed, signature) = token.rsplit_once('.').ok_or(NoSession::Unknown)?;
        let signature = URL.decode(signature).map_err(|_| NoSession::Unknown)?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).map_err(|_| NoSession::Unknown)?;
        let read = || {
            let (name, end) = signed.strip_prefix(MARK)?.split_once('.')?;
            let name = String::from_utf8(URL.decode(name).ok()?).ok()?;
            Some((name, end.parse::<u64>().ok()?))
        };
        let (name, end) = read().ok_or(NoSession::Unknown)?;
        match end > now() {
            true => Ok(Arc::from(name)),
            false => Err(NoSession::Over),
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(key: &str) -> Sessions {
        let settings = serde_json::json!({"key": key, "lifetime": "1m"});
        Sessions::new(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn a_session_is_taken_by_every_server_with_its_key_until_it_ends() {
        let (ours, replica, other) = (sessions("one"), sessions("one"), sessions("two"));
        for name in ["etl", "a.b", "é", ""] {
            let token = ours.of(name);
            assert!(Sessions::is_one(&token) && token.is_ascii());
            assert_eq!(replica.holder(&token).as_deref(), Ok(name));
            assert_eq!(other.holder(&token), Err(NoSession::Unknown));
        }
        assert_eq!(ours.holder(&ours.until("etl", now())), Err(NoSession::Over));
    }

    #[test]
    fn a_session_that_was_changed_anywhere_is_none() {
        let ours = sessions("one");
        let token = ours.of("etl");
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            // The last character of base64 may have bits that say nothing, and those are refused as well.
            assert_eq!(ours.holder(&changed), Err(NoSession::Unknown), "{changed}");
        }
        for nothing in ["", MARK, "pgflight-session.a.b.c"] {
            assert_eq!(ours.holder(nothing), Err(NoSession::Unknown));
        }
    }
}
