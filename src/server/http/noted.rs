//! What the log says of a request that was refused: with its load, or alone. Decides nothing.

use std::sync::{Arc, OnceLock};

use crate::ingest::error::Error;
use crate::ingest::journal::Entry;
use crate::ingest::session::Session;

/// The journal's entry of a load, once there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted(Arc<OnceLock<Arc<Entry>>>);

impl Noted {
    pub(super) fn note(&self, session: &Session) {
        // Set once: a request opens one session.
        drop(self.0.set(session.entry()));
    }

    /// What is told to the client stands in the log: with the load, or alone where there was none.
    pub(super) fn failed(&self, error: &Error) {
        match self.0.get() {
            Some(entry) => entry.failed(error),
            None => tracing::info!(class = ?error.class(), %error, "call refused"),
        }
    }
}
