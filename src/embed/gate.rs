//! Who may call the provider now: pauses it asked for, requests and tokens per minute, how many requests at once, and
//! whether it is called at all.
//!
//! Additive increase, multiplicative decrease: 2 requests at first, one more after 20 good answers, half after a request
//! for a pause (once per pause). One gate per provider, model and key, so that one table's trouble is not another
//! provider's.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::failure::Failure;

const FIRST_LIMIT: f64 = 2.0;
const GOOD_ANSWERS: u32 = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often in a row a service that did not answer is hoped for.
const HOPES: u32 = 3;

/// What one provider is asked at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Requests at once.
    pub(super) concurrency: u32,
    /// 0: no limit.
    pub(super) requests_per_minute: u32,
    /// 0: no limit.
    pub(super) tokens_per_minute: u32,
    /// How long a provider is left alone that refuses everything.
    pub(super) left_alone: Duration,
}

/// The way to one provider.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
    most: f64,
    /// Least time between the starts of two requests.
    spacing: Duration,
    tokens_per_minute: u32,
    left_alone: Duration,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: u32,
    good: u32,
    failures: u32,
    halvings: u32,
    closures: u32,
    /// End of the spacing after the latest request.
    next_start: Instant,
    /// When the tokens of the requests so far are used up at the allowed rate.
    tokens_spent: Instant,
    /// End of the pause that was asked for, or that a failure needs.
    cooled: Instant,
    closed: Option<Closed>,
}

/// Why and until when nothing is asked.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    pub(super) until: Instant,
    pub(super) why: String,
    /// Whether it may well work again soon.
    pub(super) hopeful: bool,
}

/// Held during one request.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.changed.notify_one();
    }
}

impl Gate {
    pub(super) fn new(rates: Rates) -> Self {
        let spacing = match rates.requests_per_minute {
            0 => Duration::ZERO,
            rate => Duration::from_secs(60) / rate,
        };
        let most = f64::from(rates.concurrency);
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                limit: FIRST_LIMIT.min(most),
                in_flight: 0,
                good: 0,
                failures: 0,
                halvings: 0,
                closures: 0,
                next_start: now,
                tokens_spent: now,
                cooled: now,
                closed: None,
            }),
            changed: Notify::new(),
            most,
            spacing,
            tokens_per_minute: rates.tokens_per_minute,
            left_alone: rates.left_alone,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many batches are worth holding at once.
    pub(super) fn width(&self) -> usize {
        // The limit is at least 1 and at most 256.
        self.state().limit as usize
    }

    /// Why nothing is asked now.
    pub(super) fn closed(&self) -> Option<Closed> {
        let state = self.state();
        state.closed.clone().filter(|closed| closed.until > Instant::now())
    }

    /// How often requests were halved so far.
    pub(super) fn halvings(&self) -> u32 {
        self.state().halvings
    }

    /// A request was found too large that was made after so many halvings: the next ones are half as large as it. Requests
    /// that were made of the same size and are refused, too, say nothing new.
    pub(super) fn too_large(&self, halvings: u32) {
        let mut state = self.state();
        state.halvings = state.halvings.max((halvings + 1).min(12));
    }

    /// How long requests still pause because of a failure or because they were asked to.
    pub(super) fn cooldown(&self) -> Duration {
        self.state().cooled.saturating_duration_since(Instant::now())
    }

    /// The time that so many tokens take at the allowed rate.
    fn time_of(&self, tokens: u64) -> Duration {
        match self.tokens_per_minute {
            0 => Duration::ZERO,
            rate => Duration::from_secs(60).mul_f64(tokens as f64 / f64::from(rate)),
        }
    }

    /// Waits for the turn of one request with so many tokens, by estimate.
    pub(super) async fn pass(&self, tokens: u64) -> Pass<'_> {
        loop {
            let wait = {
                let mut state = self.state();
                let now = Instant::now();
                let ready = state.next_start.max(state.tokens_spent).max(state.cooled);
                if ready > now {
                    Some(ready)
                } else if f64::from(state.in_flight) < state.limit.floor().max(1.0) {
                    state.in_flight += 1;
                    state.next_start = now + self.spacing;
                    state.tokens_spent = now + self.time_of(tokens);
                    return Pass(self);
                } else {
                    None
                }
            };
            match wait {
                Some(until) => tokio::time::sleep_until(until).await,
                None => self.changed.notified().await,
            }
        }
    }

    /// Corrects the estimate of an answered request by what the service counted.
    pub(super) fn counted(&self, estimated: u64, counted: u64) {
        let mut state = self.state();
        if counted >= estimated {
            let more = self.time_of(counted - estimated);
            state.tokens_spent = state.tokens_spent.max(Instant::now()) + more;
        } else {
            let less = self.time_of(estimated - counted);
            state.tokens_spent = state.tokens_spent.checked_sub(less).unwrap_or(state.tokens_spent);
        }
    }

    /// Requests wait so long, although none was refused.
    pub(super) fn rest(&self, pause: Duration) {
        let mut state = self.state();
        state.cooled = state.cooled.max(Instant::now() + pause);
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.closures = 0;
        state.closed = None;
        state.good += 1;
        if state.good >= GOOD_ANSWERS {
            state.good = 0;
            state.limit = (state.limit + 1.0).min(self.most);
            self.changed.notify_one();
        }
    }

    /// Notes a failure that may pass; requests wait until it has had time to.
    pub(super) fn failed(&self, failure: &Failure) {
        let mut state = self.state();
        let now = Instant::now();
        let longest = FIRST_PAUSE
            .saturating_mul(1 << state.failures.min(10))
            .min(LONGEST_PAUSE);
        let jittered = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        let pause = match failure {
            Failure::RateLimited { after: Some(after), .. } => *after,
            _ => jittered,
        };
        if matches!(failure, Failure::RateLimited { .. }) && state.cooled <= now {
            state.limit = (state.limit / 2.0).max(1.0);
        }
        state.good = 0;
        state.failures += 1;
        state.cooled = state.cooled.max(now + pause);
    }

    /// Leaves the provider alone for some time: nothing that is asked now would be answered.
    pub(super) fn close(&self, failure: &Failure) {
        let mut state = self.state();
        let pause = if failure.is_passing() {
            LONGEST_PAUSE.min(self.left_alone)
        } else {
            self.left_alone
        };
        state.limit = 1.0;
        state.closed = Some(Closed {
            until: Instant::now() + pause,
            why: failure.to_string(),
            hopeful: failure.is_passing() && state.closures < HOPES,
        });
        state.closures += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(concurrency: u32, requests_per_minute: u32, tokens_per_minute: u32, left_alone: u64) -> Gate {
        Gate::new(Rates {
            concurrency,
            requests_per_minute,
            tokens_per_minute,
            left_alone: Duration::from_millis(left_alone),
        })
    }

    fn rate_limited(after: Option<Duration>) -> Failure {
        Failure::RateLimited { status: 429, after }
    }

    #[tokio::test]
    async fn a_pause_is_kept_and_halves_the_requests_once() {
        let gate = gate(8, 0, 0, 300_000);
        for _ in 0..80 {
            gate.succeeded();
        }
        assert_eq!(gate.width(), 6, "one more per 20 good answers");
        let started = Instant::now();
        gate.failed(&rate_limited(Some(Duration::from_millis(300))));
        gate.failed(&rate_limited(Some(Duration::from_millis(10))));
        assert_eq!(gate.width(), 3, "two answers of one pause count once");
        drop(gate.pass(1).await);
        assert!(
            started.elapsed() >= Duration::from_millis(300),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn a_rest_is_kept_and_halves_nothing() {
        let gate = gate(2, 0, 0, 300_000);
        let started = Instant::now();
        gate.rest(Duration::from_millis(200));
        gate.rest(Duration::ZERO);
        drop(gate.pass(1).await);
        assert!(
            started.elapsed() >= Duration::from_millis(200),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(gate.width(), 2);
    }

    #[tokio::test]
    async fn requests_are_spaced_and_never_more_than_the_limit_at_once() {
        let gate = gate(1, 600, 0, 300_000);
        let started = Instant::now();
        let first = gate.pass(1).await;
        let second = tokio::time::timeout(Duration::from_millis(150), gate.pass(1)).await;
        assert!(second.is_err(), "one at once");
        drop(first);
        drop(gate.pass(1).await);
        drop(gate.pass(1).await);
        assert!(
            started.elapsed() >= Duration::from_millis(250),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test]
    async fn tokens_are_spread_over_the_minute_and_corrected_by_what_was_counted() {
        let gate = gate(8, 0, 60_000, 300_000);
        let started = Instant::now();
        drop(gate.pass(200).await);
        drop(gate.pass(100_000).await);
        assert!(
            started.elapsed() >= Duration::from_millis(200),
            "{:?}",
            started.elapsed()
        );
        let spent = || gate.state().tokens_spent;
        let before = spent();
        assert!(before >= started + Duration::from_secs(100));
        gate.counted(100_000, 130_000);
        assert_eq!(spent() - before, Duration::from_secs(30), "1000 tokens a second");
        gate.counted(100_000, 40_000);
        assert_eq!(before - spent(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_pause_halves_also_while_requests_are_spaced() {
        let gate = gate(8, 1, 0, 300_000);
        for _ in 0..40 {
            gate.succeeded();
        }
        drop(gate.pass(1).await);
        gate.failed(&rate_limited(Some(Duration::from_secs(2000))));
        assert_eq!(gate.width(), 2);
        assert!(gate.cooldown() > Duration::from_secs(1900));
    }

    #[test]
    fn requests_of_one_size_are_halved_once_however_many_are_refused() {
        let gate = gate(4, 0, 0, 300_000);
        let before = gate.halvings();
        gate.too_large(before);
        gate.too_large(before);
        assert_eq!(gate.halvings(), 1);
        gate.too_large(gate.halvings());
        assert_eq!(gate.halvings(), 2);
        gate.too_large(before);
        assert_eq!(gate.halvings(), 2, "an old answer takes nothing back");
    }

    #[tokio::test]
    async fn a_closed_gate_says_why_and_opens_by_itself() {
        let gate = gate(4, 0, 0, 30);
        gate.close(&Failure::Auth { status: 401 });
        assert!(gate.closed().unwrap().why.contains("does not accept the key"));
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert!(gate.closed().is_none());
        assert_eq!(gate.width(), 1, "half open: one batch tries");
    }
}
