//! Where the keys of signed tokens come from: a file, or a URL that is asked by the client that asks embeddings services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::Config;
use crate::embed::document;
use crate::server::auth::KeySource;

/// Most bytes of a key set.
const MOST_BYTES: usize = 1 << 20;
/// How long an answer may take; calls wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The key set that `auth.jwt.jwks` names.
#[derive(Debug)]
struct Named(String);

/// The source of the configured keys.
pub(super) fn key_source(config: &Config) -> Option<Arc<dyn KeySource>> {
    let jwt = config.raw().auth.jwt.as_ref()?;
    Some(Arc::new(Named(jwt.jwks.clone())))
}

#[async_trait]
impl KeySource for Named {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let Self(name) = self;
        if name.starts_with("http://") || name.starts_with("https://") {
            return document(name, MOST_BYTES, TIMEOUT).await.map(|body| body.to_vec());
        }
        tokio::fs::read(name).await.map_err(|error| error.to_string())
    }

    fn name(&self) -> &str {
        &self.0
    }
}
