//! A put that goes on until it is told to stop, so that a fault hits the middle of a load; it remembers what it sent and
//! every answer that came before the end, also when the end is an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_flight::{FlightData, FlightDescriptor};
use futures::StreamExt;
use serde_json::Value;
use tonic::Status;

use super::flight::{Flight, messages, metadata};
use super::oracle::{self, Oracle};

/// More than any test sends; a put that nobody stops ends here.
const MOST_CHUNKS: u64 = 5_000;

/// How a put is fed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) to: FlightDescriptor,
    pub(crate) stream: String,
    pub(crate) rows: u64,
    /// Pause after each chunk; closing the tap ends it.
    pub(crate) pace: Duration,
    /// Label each batch with its sequence number.
    pub(crate) labels: bool,
    /// Rows name their source and this time of its sync, and a commit message ends the stream.
    pub(crate) sync: Option<i64>,
    /// First sequence number to send.
    pub(crate) from: u64,
    /// Number of chunks, where it is known from the start.
    pub(crate) chunks: Option<u64>,
}

/// Stops a feed, and tells how far it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap {
    closed: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) plan: Plan,
    /// Sequence number after the last chunk sent.
    pub(crate) sent: u64,
    pub(crate) answers: Vec<Value>,
    pub(crate) result: Result<Value, Status>,
}

impl Tap {
    /// The stream ends after the chunk that is being sent.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Chunks that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits for so long, or until it is closed.
    async fn pause(&self, pace: Duration) {
        let until = tokio::time::Instant::now() + pace;
        while tokio::time::Instant::now() < until && !self.closed.load(Ordering::SeqCst) {
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + Duration::from_millis(5))).await;
        }
    }

    /// Waits until so many chunks were sent, or the put has ended without.
    pub(crate) async fn wait_for(&self, chunks: u64) {
        for _ in 0..24_000 {
            if self.sent.load(Ordering::SeqCst) >= chunks {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{chunks} chunks were not sent within 120 s");
    }
}

/// Runs a put to its end.
pub(crate) async fn feed(flight: Flight, plan: Plan, tap: Tap) -> Fed {
    let sending = chunks(plan.clone(), tap.clone());
    let mut request = tonic::Request::new(sending);
    *request.metadata_mut() = flight.headers.clone();
    let mut answers: Vec<Value> = Vec::new();
    let mut client = flight.client;
    let result = match client.do_put(request).await {
        Err(status) => Err(status),
        Ok(response) => {
            let mut stream = response.into_inner();
            loop {
                match stream.next().await {
                    Some(Ok(answer)) => {
                        answers.push(serde_json::from_slice(&answer.app_metadata).expect("answers are JSON"));
                    }
                    Some(Err(status)) => break Err(status),
                    None => break Ok(answers.last().cloned().expect("a final answer")),
                }
            }
        }
    };
    Fed {
        sent: tap.sent.load(Ordering::SeqCst).max(plan.from),
        plan,
        answers,
        result,
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Schema,
    Batch,
    Nothing,
}

/// Schema first, then one batch per chunk, then the word that this was all, where the plan has one.
fn chunks(plan: Plan, tap: Tap) -> impl futures::Stream<Item = FlightData> + Send + 'static {
    let start = plan.from;
    let last = start + plan.chunks.unwrap_or(MOST_CHUNKS);
    futures::stream::unfold((start, Next::Schema), move |(seq, next)| {
        let (plan, tap) = (plan.clone(), tap.clone());
        async move {
            match next {
                Next::Schema => Some((plan.messages(seq).swap_remove(0), (seq, Next::Batch))),
                Next::Batch if seq >= last || tap.closed.load(Ordering::SeqCst) => {
                    // Of a resumed stream, the rows of all its calls.
                    let before = if plan.labels { 0 } else { plan.from };
                    let all = format!("{{\"commit\": {{\"rows\": {}}}}}", (seq - before) * plan.rows);
                    plan.sync.map(|_| (metadata(&all), (seq, Next::Nothing)))
                }
                Next::Batch => {
                    let mut batch = plan.messages(seq).pop().expect("schema and batch");
                    if plan.labels {
                        batch.app_metadata = format!("{{\"seq\": {seq}, \"token\": \"after {seq}\"}}").into();
                    }
                    if seq > plan.from {
                        tap.pause(plan.pace).await;
                    }
                    tap.sent.store(seq + 1, Ordering::SeqCst);
                    Some((batch, (seq + 1, Next::Batch)))
                }
                Next::Nothing => None,
            }
        }
    })
}

impl Plan {
    /// The schema and one batch.
    fn messages(&self, seq: u64) -> Vec<FlightData> {
        let batch = match self.sync {
            Some(time) => oracle::synced_rows(&self.stream, seq, self.rows, time),
            None => oracle::rows(&self.stream, seq, self.rows),
        };
        messages(self.to.clone(), &[batch])
    }
}

impl Fed {
    /// Chunks that an answer called committed.
    pub(crate) fn committed(&self) -> u64 {
        if self.plan.labels {
            let acked = self
                .answers
                .iter()
                .filter_map(|answer| answer["committed_through_seq"].as_u64());
            return acked.max().map_or(self.plan.from, |seq| seq + 1);
        }
        let rows = self
            .answers
            .iter()
            .filter_map(|answer| answer["committed"].as_u64())
            .max();
        self.plan.from + rows.unwrap_or(0) / self.plan.rows
    }

    /// Tells the oracle what was sent and what was promised.
    pub(crate) fn tell(&self, oracle: &mut Oracle) {
        for seq in self.plan.from..self.sent {
            oracle.sent(&self.plan.stream, seq, self.plan.rows);
        }
        if let Some(last) = self.committed().checked_sub(1) {
            oracle.acked_through(&self.plan.stream, last);
        }
        match &self.result {
            Ok(answer) if self.plan.labels => assert_eq!(self.committed(), self.sent, "{answer}"),
            Ok(answer) => assert_eq!(
                answer["committed"],
                (self.sent - self.plan.from) * self.plan.rows,
                "{answer}"
            ),
            Err(status) => oracle::assert_documented(status),
        }
    }

    /// How it ended, for messages.
    pub(crate) fn ending(&self) -> String {
        match &self.result {
            Ok(_) => format!("all {} chunks", self.sent),
            Err(status) => format!(
                "{} of {} chunks, then {:?}: {}",
                self.committed(),
                self.sent,
                status.code(),
                status.message()
            ),
        }
    }
}
