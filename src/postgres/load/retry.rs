//! When a transaction is run again and after which pause. Decisions only, fed with the time and with luck, so that tests
//! need neither; the loads that ask do the waiting.

use std::time::{Duration, Instant};

use crate::sql::state::Remedy;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Tries that a conflict gets at least.
    pub(crate) conflicts: u32,
    /// Time that conflicts get at least: with many writers on the same rows, ten tries are over soon.
    pub(crate) conflict_time: Duration,
    /// Time after which everything is given up.
    pub(crate) budget: Duration,
}

impl Policy {
    /// The policy for a configured number of retries on deadlock.
    pub(crate) fn new(retry_on_deadlock: u32, budget: Duration) -> Self {
        Self {
            conflicts: retry_on_deadlock.max(10),
            conflict_time: Duration::from_secs(20),
            budget,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait, then run the same again.
    Retry(Duration),
    /// Look at the table again, then run the same again.
    Replan,
    /// Run two halves.
    Halve,
    /// The failure stands.
    GiveUp,
}

/// The tries of one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    policy: Policy,
    since: Instant,
    tries: u32,
    replanned: bool,
}

/// Shortest and longest pause of a remedy.
fn pauses(remedy: Remedy) -> (Duration, Duration) {
    let ms = Duration::from_millis;
    match remedy {
        // A disk does not empty itself in milliseconds; asking often would only fill the server's log.
        Remedy::Wait => (ms(1_000), ms(30_000)),
        Remedy::Reconnect | Remedy::Unknown => (ms(50), ms(10_000)),
        _ => (ms(10), ms(2_000)),
    }
}

impl Tries {
    pub(crate) fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            since: now,
            tries: 0,
            replanned: false,
        }
    }

    /// How many failures there were.
    pub(crate) fn count(&self) -> u32 {
        self.tries
    }

    /// Decides after a failure; `luck` is even in 0..1.
    pub(crate) fn after(&mut self, remedy: Remedy, now: Instant, luck: f64) -> Next {
        let passed = now.saturating_duration_since(self.since);
        self.tries += 1;
        if passed > self.policy.budget {
            return Next::GiveUp;
        }
        match remedy {
            Remedy::None => Next::GiveUp,
            Remedy::Halve => Next::Halve,
            Remedy::Replan if self.replanned => Next::GiveUp,
            Remedy::Replan => {
                self.replanned = true;
                Next::Replan
            }
            Remedy::Again if self.is_stuck(passed) => Next::GiveUp,
            Remedy::Again | Remedy::Reconnect | Remedy::Wait | Remedy::Unknown => {
                Next::Retry(pause(remedy, self.tries, luck))
            }
        }
    }
}

impl Tries {
    /// Whether a conflict will not go away: many tries, or few long ones, as when a lock is held for good.
    fn is_stuck(&self, passed: Duration) -> bool {
        let time = self.policy.conflict_time;
        passed > 2 * time || (self.tries > self.policy.conflicts && passed > time)
    }
}

/// Exponential with full jitter, so that two that met do not meet again.
fn pause(remedy: Remedy, tries: u32, luck: f64) -> Duration {
    let (first, longest) = pauses(remedy);
    let ceiling = first.saturating_mul(1 << tries.min(16)).min(longest);
    let span = ceiling.mul_f64(luck.clamp(0.0, 1.0));
    match remedy {
        Remedy::Wait => span.max(first),
        _ => span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries() -> (Tries, Instant) {
        let start = Instant::now();
        (Tries::new(Policy::new(0, Duration::from_secs(300)), start), start)
    }

    #[test]
    fn a_deadlock_is_tried_at_least_ten_times_and_for_twenty_seconds() {
        let (mut tries, start) = tries();
        for _ in 0..10 {
            let later = start + Duration::from_secs(39);
            assert!(matches!(tries.after(Remedy::Again, later, 0.5), Next::Retry(_)));
        }
        assert!(matches!(
            tries.after(Remedy::Again, start + Duration::from_secs(19), 0.5),
            Next::Retry(_)
        ));
        assert_eq!(
            tries.after(Remedy::Again, start + Duration::from_secs(21), 0.5),
            Next::GiveUp
        );
    }

    #[test]
    fn retries_on_deadlock_beyond_ten_go_on_after_twenty_seconds() {
        let start = Instant::now();
        let later = start + Duration::from_secs(21);
        for configured in [0, 10, 25] {
            let mut tries = Tries::new(Policy::new(configured, Duration::from_secs(300)), start);
            let again = (0..100).take_while(|_| matches!(tries.after(Remedy::Again, later, 0.5), Next::Retry(_)));
            assert_eq!(again.count(), configured.max(10) as usize);
        }
    }

    #[test]
    fn a_lock_that_is_held_for_good_ends_the_tries_after_twice_that() {
        let (mut tries, start) = tries();
        assert!(matches!(
            tries.after(Remedy::Again, start + Duration::from_secs(30), 0.5),
            Next::Retry(_)
        ));
        assert_eq!(
            tries.after(Remedy::Again, start + Duration::from_secs(41), 0.5),
            Next::GiveUp
        );
    }

    #[test]
    fn pauses_grow_with_full_jitter_to_a_ceiling() {
        let (mut tries, start) = tries();
        let mut longest = Vec::new();
        for _ in 0..12 {
            if let Next::Retry(pause) = tries.after(Remedy::Reconnect, start, 1.0) {
                longest.push(pause.as_millis());
            }
        }
        assert_eq!(
            longest,
            [100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000, 10000, 10000]
        );
        assert_eq!(tries.after(Remedy::Reconnect, start, 0.0), Next::Retry(Duration::ZERO));
    }

    #[test]
    fn a_full_disk_is_never_asked_more_than_once_a_second() {
        let (mut tries, start) = tries();
        for _ in 0..20 {
            let Next::Retry(pause) = tries.after(Remedy::Wait, start, 0.0) else {
                panic!("a full disk is waited for")
            };
            assert!((1_000..=30_000).contains(&pause.as_millis()), "{pause:?}");
        }
    }

    #[test]
    fn everything_ends_with_the_budget() {
        for remedy in [
            Remedy::Again,
            Remedy::Reconnect,
            Remedy::Wait,
            Remedy::Unknown,
            Remedy::Halve,
            Remedy::Replan,
        ] {
            let (mut tries, start) = tries();
            assert_eq!(
                tries.after(remedy, start + Duration::from_secs(301), 0.5),
                Next::GiveUp,
                "{remedy:?}"
            );
        }
    }

    #[test]
    fn a_table_is_looked_at_again_once() {
        let (mut tries, start) = tries();
        assert_eq!(tries.after(Remedy::Replan, start, 0.5), Next::Replan);
        assert_eq!(tries.after(Remedy::Replan, start, 0.5), Next::GiveUp);
        assert_eq!(tries.after(Remedy::None, start, 0.5), Next::GiveUp);
    }
}
