//! Rows that are sent and not stored: which triggers can leave rows out, whether they may, and how many were. Counts only; asks
//! no server.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::postgres::error::Error;

/// What may leave rows out, and whether it may.
#[derive(Debug)]
pub(super) struct Suppression {
    /// Triggers that are able to.
    pub(super) triggers: Vec<String>,
    /// Whether such rows are counted instead of failing the load.
    pub(super) accepted: bool,
}

/// Rows of a transaction that are sent and not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// They went to the reject table.
    pub(super) rejected: u64,
    /// A trigger left them out.
    pub(super) suppressed: u64,
}

impl LeftOut {
    pub(super) fn rows(self) -> u64 {
        self.rejected + self.suppressed
    }

    /// What was left out since then.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            rejected: self.rejected - before.rejected,
            suppressed: self.suppressed - before.suppressed,
        }
    }
}

/// Rows that triggers left out, as far as a transaction got.
#[derive(Debug, Default)]
pub(super) struct Suppressed(AtomicU64);

impl Suppressed {
    pub(super) fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Suppression {
    /// Whether a statement's count of rows must be looked at.
    pub(super) fn is_possible(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// Takes note of `stored` rows out of `sent`.
    pub(super) fn check(&self, table: &str, sent: u64, stored: u64, all: &Suppressed) -> Result<(), Error> {
        if stored == sent {
            return Ok(());
        }
        let table = table.to_owned();
        if !self.is_possible() || stored > sent {
            return Err(Error::RowsLost { table, sent, stored });
        }
        if !self.accepted {
            let triggers = self.triggers.clone();
            return Err(Error::Suppressed {
                table,
                triggers,
                sent,
                stored,
            });
        }
        all.0.fetch_add(sent - stored, Ordering::Relaxed);
        Ok(())
    }
}
