//! Whether loads would work now: asked of the destination when somebody wants to know, once for all who ask at the same
//! time. The readiness page and gRPC health say the same, because both ask here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::flight::put::Life;
use crate::ingest::ports::Destination;
use crate::telemetry::names;

/// Longest wait for the destination's answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait of whoever asks, also behind another question: health checks give up after 3 s, and the reason shall arrive.
const LIMIT: Duration = Duration::from_millis(2500);

/// What is known about the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Loads would work.
    Ready,
    /// They would not, for this reason.
    NotReady(String),
    /// The server ends.
    Draining,
}

/// Asks the destination. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness {
    destination: Arc<dyn Destination>,
    pub(crate) life: Life,
    last: Arc<Mutex<Option<Answer>>>,
}

#[derive(Debug)]
struct Answer {
    asked: Instant,
    came: Instant,
    verdict: Verdict,
}

impl Answer {
    /// Whether it serves somebody who asked at that time: it was asked for later, or it came later and is bad enough.
    fn serves(&self, since: Instant) -> bool {
        self.asked >= since || self.came >= since && self.verdict != Verdict::Ready
    }
}

impl Readiness {
    /// Of that destination, until the server leaves.
    pub fn new(destination: Arc<dyn Destination>, life: Life) -> Self {
        let last = Arc::default();
        Self {
            destination,
            life,
            last,
        }
    }

    /// Whether there is a destination at all; a server without one takes what clients bring their own for.
    pub(crate) fn has_destination(&self) -> bool {
        self.destination.is_configured()
    }

    pub(crate) async fn verdict(&self) -> Verdict {
        let verdict = match self.life.leaving.is_cancelled() {
            true => Verdict::Draining,
            false => {
                let answer = tokio::time::timeout(LIMIT, self.answer(Instant::now())).await;
                answer.unwrap_or_else(|_| silent(LIMIT))
            }
        };
        metrics::gauge!(names::READY).set(f64::from(u8::from(verdict == Verdict::Ready)));
        verdict
    }

    async fn answer(&self, since: Instant) -> Verdict {
        let mut last = self.last.lock().await;
        if let Some(answer) = last.as_ref().filter(|answer| answer.serves(since)) {
            return answer.verdict.clone();
        }
        let asked = Instant::now();
        let verdict = match tokio::time::timeout(PATIENCE, self.destination.ready()).await {
            Ok(Ok(())) => Verdict::Ready,
            Ok(Err(error)) => Verdict::NotReady(error.to_string()),
            Err(_) => silent(PATIENCE),
        };
        let came = Instant::now();
        *last = Some(Answer {
            asked,
            came,
            verdict: verdict.clone(),
        });
        verdict
    }
}

fn silent(waited: Duration) -> Verdict {
    Verdict::NotReady(format!("Postgres did not answer within {} s", waited.as_secs_f64()))
}
