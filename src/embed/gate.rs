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

use super::failure::{Failed, Failure};

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
    /// What failed since the last good answer.
    trouble: Option<Trouble>,
    /// Start of the first request since the last good answer.
    trying: Option<Instant>,
    /// Whether there ever was a good answer.
    answers: bool,
}

/// Why nothing goes through.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// First failure since the last good answer.
    pub(super) since: Instant,
    pub(super) seen: Instant,
    /// When it is asked again.
    pub(super) again: Instant,
    pub(super) left_alone: bool,
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
                trouble: None,
                trying: None,
                answers: false,
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
                    state.trying = state.trying.or(Some(now));
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
        state.trouble = None;
        state.trying = None;
        state.answers = true;
        state.good += 1;
        if state.good >= GOOD_ANSWERS {
            state.good = 0;
            state.limit = (state.limit + 1.0).min(self.most);
            self.changed.notify_one();
        }
    }

    /// Notes a failure that may pass; requests wait until it has had time to.
    pub(super) fn failed(&self, failed: &Failed) {
        let mut state = self.state();
        let now = Instant::now();
        let longest = FIRST_PAUSE
            .saturating_mul(1 << state.failures.min(10))
            .min(LONGEST_PAUSE);
        let jittered = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        let pause = match failed.failure {
            Failure::RateLimited { after: Some(after), .. } => after,
            _ => jittered,
        };
        if matches!(failed.failure, Failure::RateLimited { .. }) && state.cooled <= now {
            state.limit = (state.limit / 2.0).max(1.0);
        }
        state.good = 0;
        state.failures += 1;
        state.cooled = state.cooled.max(now + pause);
        let again = state.cooled;
        state.note(failed, again, false);
    }

    /// Leaves the provider alone for some time: nothing that is asked now would be answered.
    pub(super) fn close(&self, failed: &Failed) {
        let mut state = self.state();
        let passing = failed.failure.is_passing();
        let pause = if passing {
            LONGEST_PAUSE.min(self.left_alone)
        } else {
            self.left_alone
        };
        let until = Instant::now() + pause;
        state.limit = 1.0;
        state.closed = Some(Closed {
            until,
            why: failed.to_string(),
            hopeful: passing && state.closures < HOPES,
        });
        state.closures += 1;
        state.note(failed, until, true);
    }

    /// What failed since the last good answer.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    /// Whether there ever was a good answer.
    pub(super) fn answers(&self) -> bool {
        self.state().answers
    }

    /// For how long requests were made in vain. One that just takes its time, as those before it did, is not in vain.
    pub(super) fn stalled(&self) -> Option<Duration> {
        let state = self.state();
        let in_vain = state.trouble.is_some() || !state.answers;
        state.trying.filter(|_| in_vain).map(|since| since.elapsed())
    }
}

impl State {
    fn note(&mut self, failed: &Failed, again: Instant, left_alone: bool) {
        let seen = Instant::now();
        self.trouble = Some(Trouble {
            code: failed.failure.code(),
            message: failed.to_string(),
            since: self.trouble.as_ref().map_or(seen, |trouble| trouble.since),
            seen,
            again,
            left_alone,
        });
    }
}

#[cfg(test)]
mod tests;
