//! The keys of an identity provider: fetched when a token names one that is not known, and again every few minutes, so that new
//! keys are taken and old ones end. Whatever callers send, the provider is asked at most once in ten seconds.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

use super::jwk::PublicKey;
use crate::config::JwtAlgorithm;

/// Age from which keys are fetched again before they are used.
const REFRESH: Duration = Duration::from_secs(300);
/// Shortest time between two fetches.
const PAUSE: Duration = Duration::from_secs(10);
/// Most keys of a set.
const MOST_KEYS: usize = 256;

/// Where a key set comes from.
#[async_trait]
pub trait KeySource: std::fmt::Debug + Send + Sync {
    /// The key set as JSON.
    ///
    /// # Errors
    /// Why there is none, in words.
    async fn fetch(&self) -> Result<Vec<u8>, String>;

    /// Its path or address, for the log.
    fn name(&self) -> &str;
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The set has none of that name for that algorithm.
    Unknown,
    /// There is no set: it could never be fetched.
    NoSet,
}

#[derive(Debug, Default)]
struct Set {
    keys: Vec<Arc<PublicKey>>,
    fetched: Option<Instant>,
}

/// All keys that are known.
#[derive(Debug)]
pub(super) struct Keys {
    source: Arc<dyn KeySource>,
    set: RwLock<Set>,
    /// When the source was asked last; held while it is asked.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn of(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            set: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// The key that a token names.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Result<Arc<PublicKey>, NoKey> {
        if let (Some(key), true) = self.known(id, algorithm) {
            return Ok(key);
        }
        let mut asked = self.asked.lock().await;
        // Whoever was before has asked for all who waited.
        let (found, fresh) = self.known(id, algorithm);
        let may_ask = asked.is_none_or(|asked| asked.elapsed() >= PAUSE);
        if may_ask && !(fresh && found.is_some()) {
            *asked = Some(Instant::now());
            self.fetch().await;
        }
        drop(asked);
        let nothing = match self.read().fetched {
            Some(_) => NoKey::Unknown,
            None => NoKey::NoSet,
        };
        self.known(id, algorithm).0.ok_or(nothing)
    }

    /// The key, where it is known, and whether the set is fresh.
    fn known(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> (Option<Arc<PublicKey>>, bool) {
        let set = self.read();
        let fits = |key: &&Arc<PublicKey>| {
            let same = id.is_none_or(|id| key.id.as_deref() == Some(id));
            same && key.is_for(algorithm)
        };
        let mut fitting = set.keys.iter().filter(fits);
        let (first, second) = (fitting.next(), fitting.next());
        // Without a name only one can be meant.
        let found = first.filter(|_| second.is_none() || id.is_some());
        let fresh = set.fetched.is_some_and(|fetched| fetched.elapsed() < REFRESH);
        (found.cloned(), fresh)
    }

    /// What cannot be fetched or read leaves the keys as they are.
    async fn fetch(&self) {
        let fetched = self.source.fetch().await;
        match fetched.and_then(|bytes| read(&bytes)) {
            Ok(keys) => {
                tracing::debug!(
                    keys = keys.len(),
                    source = self.source.name(),
                    "keys of signed tokens were fetched"
                );
                let fetched = Some(Instant::now());
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Set { keys, fetched };
            }
            Err(why) => {
                tracing::warn!(
                    source = self.source.name(),
                    why,
                    "keys of signed tokens (auth.jwt.jwks) cannot be fetched"
                );
            }
        }
    }

    #[cfg(test)]
    pub(super) async fn forget_pause(&self) {
        *self.asked.lock().await = None;
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a set that can check signatures; others, and shared secrets, are left out.
fn read(bytes: &[u8]) -> Result<Vec<Arc<PublicKey>>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let keys = value.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or("it has no list \"keys\", as a JSON Web Key Set has")?;
    let usable = keys.iter().filter_map(PublicKey::read).take(MOST_KEYS);
    Ok(usable.map(Arc::new).collect())
}
