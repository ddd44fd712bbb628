//! Whether Postgres has room on its disks: noted when a load meets a full one, so that the readiness probe can say it without
//! writing anything itself. Loads that wait for room are the ones that find out when there is some again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one failure counts: a little longer than the longest pause of a load that waits, which fails again then.
const COUNTS_FOR: Duration = Duration::from_secs(45);

/// When a disk was last found full.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Option<Instant>>>);

impl Room {
    /// A transaction failed for want of room.
    pub(super) fn found_none(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// A load that had waited got through.
    pub(super) fn found_some(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether loads wait for room, as far as is known.
    pub(super) fn is_wanting(&self, now: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.saturating_duration_since(last) < COUNTS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_counts_until_a_load_gets_through_or_nobody_tries_any_more() {
        let (room, start) = (Room::default(), Instant::now());
        assert!(!room.is_wanting(start));
        room.found_none(start);
        assert!(room.is_wanting(start + Duration::from_secs(44)));
        assert!(!room.is_wanting(start + Duration::from_secs(46)));
        room.found_some();
        assert!(!room.is_wanting(start));
    }
}
