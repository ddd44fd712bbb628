//! When workers end, and what they say then.

use tokio_util::sync::CancellationToken;

/// When workers end.
#[derive(Debug, Clone)]
pub enum Until {
    /// When they are told to.
    Stopped,
    /// When nothing waits any more, or nothing can be done for what waits.
    Drained,
    /// When this is cancelled and nothing waits any more. What nothing can be done for is tried again.
    Left(CancellationToken),
}

/// What workers did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows whose chunks are now those of their text.
    pub done: u64,
    /// Rows that were given up.
    pub dead: u64,
    /// Whether nothing waits any more.
    pub drained: bool,
}

impl Summary {
    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.dead += other.dead;
    }
}
