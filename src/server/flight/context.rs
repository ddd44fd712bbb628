//! What every load of these doors shares, and where the server is in its life. Does nothing itself.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::ingest::budget::ByteBudget;
use crate::ingest::guard::Guarded;
use crate::ingest::journal::Journal;
use crate::ingest::shares::Places;
use crate::model::caller::Caller;

/// What every put shares.
#[derive(Clone, Debug)]
pub struct PutContext {
    /// Where rows go.
    pub destination: Guarded,
    /// Defaults and per-table options.
    pub config: Arc<Config>,
    /// Memory for batches in flight.
    pub budget: ByteBudget,
    /// Memory for dictionaries, each as long as its stream has it.
    pub dictionaries: ByteBudget,
    /// Places for streams: `limits.max_streams` of all clients together.
    pub streams: Places,
    /// Longest pause between two messages.
    pub idle_timeout: Duration,
    /// Where the server is in its life.
    pub life: Life,
    /// Where streams are noted.
    pub journal: Journal,
}

/// Steps of a shutdown: first balancers are told, then nothing new is taken, then what still runs is ended.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Health says that this server is leaving; calls are still taken.
    pub leaving: CancellationToken,
    /// New calls are refused, running ones go on.
    pub draining: CancellationToken,
    /// Running calls end; what they did not commit is rolled back.
    pub stopping: CancellationToken,
}

impl PutContext {
    /// The same, with memory lent to this caller.
    pub(crate) fn lent_to(&self, caller: &Caller) -> Self {
        Self {
            budget: self.budget.lent_to(caller),
            ..self.clone()
        }
    }
}
