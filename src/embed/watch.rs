//! Sees whether anything goes through to the provider, and tells people: the ledger at once, the log after a while.

use std::time::Duration;

use tokio::time::Instant;

use super::gate::{Gate, Trouble};
use crate::ingest::ports::embed::{EmbedStore, ServiceTrouble};

/// How long nothing may go through before somebody has to hear of it.
const LONG: Duration = Duration::from_secs(10);
/// How often the ledger is told at most.
const EVERY: Duration = Duration::from_secs(1);

/// What was told so far.
#[derive(Debug)]
pub(super) struct Watch {
    complained: bool,
    noted: Option<Trouble>,
    /// Whether the ledger holds what is in `noted`; not before the first answer, because another process may have noted something.
    told: bool,
    next: Instant,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            complained: false,
            noted: None,
            told: false,
            next: Instant::now(),
        }
    }

    /// Tells what has changed; at the `last` look also what changed just now.
    pub(super) async fn look(&mut self, gate: &Gate, store: &dyn EmbedStore, last: bool) {
        self.complain(gate);
        let trouble = gate.trouble();
        let changed = trouble != self.noted || !self.told && gate.answers();
        if !changed || !last && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let noted = trouble.as_ref().map(in_seconds);
        self.told = true;
        for table in 0..store.tables() {
            if let Err(error) = store.note_trouble(table, noted.as_ref()).await {
                tracing::debug!(error = %error, "what is wrong with the embeddings service cannot be noted");
                self.told = false;
            }
        }
        self.noted = trouble;
    }

    fn complain(&mut self, gate: &Gate) {
        match gate.stalled() {
            Some(since) if since >= LONG && !self.complained => {
                self.complained = true;
                let (code, reason) = match gate.trouble() {
                    Some(trouble) => (trouble.code, trouble.message),
                    None => ("timeout", "the service has not answered yet".to_owned()),
                };
                tracing::warn!(
                    code,
                    reason,
                    seconds = since.as_secs(),
                    "nothing goes through to the embeddings service"
                );
            }
            None if self.complained => {
                self.complained = false;
                tracing::info!("the embeddings service answers again");
            }
            _ => {}
        }
    }
}

fn in_seconds(trouble: &Trouble) -> ServiceTrouble {
    let now = Instant::now();
    ServiceTrouble {
        code: trouble.code.to_owned(),
        message: trouble.message.clone(),
        left_alone: trouble.left_alone,
        since_seconds: now.saturating_duration_since(trouble.since).as_secs_f64(),
        seen_seconds: now.saturating_duration_since(trouble.seen).as_secs_f64(),
        again_seconds: trouble.again.saturating_duration_since(now).as_secs_f64(),
    }
}
