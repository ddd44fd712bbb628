//! How long a migration waits for locks. Pure: durations only, no clock.

use std::time::Duration;

/// Bounds of all waiting in a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWaits {
    /// Longest single wait for a lock on a relation. While we wait, everyone who comes later waits behind us, so this is
    /// also the longest time that a reader can be held up by our waiting.
    pub hold: Duration,
    /// Longest wait for another migrator of the same table. It blocks nobody else, so it may be long.
    pub turn: Duration,
}

impl Default for LockWaits {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(4),
            turn: Duration::from_secs(60),
        }
    }
}

impl LockWaits {
    /// The waits of the successive attempts: a canary, then growing holds. Each surrenders its place in the lock's queue,
    /// so few long ones at the end are worth more than many short ones (and past `deadlock_timeout`, 1 s by default, a
    /// blocking autovacuum gives way).
    pub fn ladder(&self) -> [Duration; 5] {
        let hold = self.hold;
        [hold / 16, hold / 4, hold / 2, hold, hold].map(|wait| wait.max(Duration::from_millis(1)))
    }

    /// The pause after an attempt that waited for `wait`: as long again, so that whoever queued behind us gets through.
    pub fn pause(wait: Duration) -> Duration {
        wait.min(Duration::from_secs(2))
    }
}

/// A duration as Postgres settings take it.
pub(crate) fn setting(wait: Duration) -> String {
    // 0 would mean "no limit".
    format!("{}ms", wait.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_grows_to_the_hold_and_no_further() {
        let waits = LockWaits {
            hold: Duration::from_secs(4),
            turn: Duration::ZERO,
        };
        let millis: Vec<u128> = waits.ladder().iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [250, 1000, 2000, 4000, 4000]);
        assert_eq!(setting(Duration::ZERO), "1ms", "0 would wait without limit");
    }
}
