//! One look at Postgres when a server has started, so that its log says why nothing can be loaded before the first client asks.
//!
//! It decides nothing: the server takes calls all the same, and loads wait for Postgres as they always do.

use crate::server::readiness::{Readiness, Verdict};

/// Says in the log, once, that Postgres cannot be used, and why. A server without a destination has said so already.
pub(super) async fn look(readiness: Readiness) {
    if !readiness.has_destination() {
        return;
    }
    if let Verdict::NotReady(reason) = readiness.verdict().await {
        tracing::warn!(
            "Postgres cannot be used yet: {reason}; loads wait for it as long as they may, /readyz says when it is there"
        );
    }
}
