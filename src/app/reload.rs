//! What can change while a server runs: tokens, rules, and certificates. Read again on SIGHUP and every few seconds, taken over
//! whole or not at all; no stream notices. What else differs needs a restart, and is named.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::Signal;

use super::key_source::key_source;
use super::ports::tls_files;
use super::serve_error::ServeError;
use crate::config::Config;
use crate::ingest::guard::Guard;
use crate::server::auth::Authenticator;
use crate::server::{Certificates, TlsFiles};

/// How often files are looked at without a signal.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the configuration as it was read at the start.
pub(super) type Reread = Box<dyn Fn() -> Result<Config, String> + Send>;

/// The parts of a running server that can change.
#[derive(Clone, Debug)]
pub(super) struct Changeable {
    /// The configuration that everything else goes by.
    pub(super) started: Arc<Config>,
    pub(super) guard: Guard,
    pub(super) authenticator: Authenticator,
    certificates: Option<Certificates>,
    in_force: Arc<Mutex<InForce>>,
}

#[derive(Debug)]
struct InForce {
    config: Arc<Config>,
    files: Option<TlsFiles>,
}

impl Changeable {
    pub(super) fn new(config: &Arc<Config>, certificates: Option<Certificates>) -> Self {
        let in_force = InForce {
            config: Arc::clone(config),
            files: tls_files(config).ok().flatten(),
        };
        Self {
            started: Arc::clone(config),
            guard: Guard::new(config.rights().clone()),
            authenticator: Authenticator::new(&config.raw().auth, key_source(config)),
            certificates,
            in_force: Arc::new(Mutex::new(in_force)),
        }
    }

    /// Takes over what can change; the keys that differ and need a restart.
    pub(super) fn apply(&self, config: &Config) -> Result<Vec<String>, ServeError> {
        // Before anything is taken over: all of it is, or nothing.
        if self.asks_nobody_any_more(config) {
            return Err(ServeError::Exposed(
                "the configuration that was read again asks nobody who calls, on an address that other machines can reach".to_owned(),
            ));
        }
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.started.differing(config);
        waiting.retain(|key| !key.starts_with("auth.") && !key.starts_with("tls."));
        let files = tls_files(config)?;
        match (&self.certificates, &files) {
            (Some(certificates), Some(files)) => certificates.change(files)?,
            (None, None) => {}
            _ => waiting.push("tls".to_owned()),
        }
        if in_force.config.raw().auth != config.raw().auth {
            self.authenticator.change(&config.raw().auth, key_source(config));
            self.guard.change(config.rights().clone());
        }
        *in_force = InForce {
            config: Arc::new(config.clone()),
            files,
        };
        Ok(waiting)
    }

    /// The address is the one that is listened on, whatever the new configuration says.
    fn asks_nobody_any_more(&self, config: &Config) -> bool {
        let started = &self.started;
        let reachable = started.doors().any(|(_, address)| !address.is_local());
        reachable && !started.raw().insecure && !config.is_authenticating()
    }

    /// Whether a configuration, or a file that it names, is another one than before.
    fn is_news(&self, config: &Config) -> bool {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        *in_force.config != *config || tls_files(config).map_or(true, |files| files != in_force.files)
    }
}

/// Follows the files for as long as the server runs. What cannot be used is said once.
pub(super) async fn follow(changeable: Changeable, reread: Reread, mut hangups: Option<Signal>) {
    let mut said = None;
    loop {
        let asked = tokio::select! {
            asked = hangup(&mut hangups) => asked,
            () = tokio::time::sleep(LOOK) => false,
        };
        let outcome = match reread() {
            Ok(config) if asked || changeable.is_news(&config) => {
                let waiting = changeable.apply(&config).map_err(|error| error.to_string());
                waiting.map(Some)
            }
            Ok(_) => Ok(None),
            Err(why) => Err(why),
        };
        match outcome {
            Ok(None) => said = None,
            Ok(Some(waiting)) => {
                said = None;
                tracing::info!("tokens, rules and certificates were read again and are in force");
                if !waiting.is_empty() {
                    tracing::warn!(
                        keys = waiting.join(", "),
                        "these keys have changed and take effect after a restart"
                    );
                }
            }
            Err(why) if asked || said.as_ref() != Some(&why) => {
                tracing::error!(
                    why,
                    "the configuration was read again and cannot be used; the one before stays in force"
                );
                said = Some(why);
            }
            Err(_) => {}
        }
    }
}

async fn hangup(hangups: &mut Option<Signal>) -> bool {
    let came = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    match came {
        Some(()) => true,
        None => std::future::pending().await,
    }
}
