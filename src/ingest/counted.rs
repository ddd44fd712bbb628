//! What a stream adds to the metrics page. Counts only; decides nothing.

use std::time::Instant;

use crate::telemetry::names;

/// The door that a stream came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Arrow Flight.
    Flight,
    /// Ingests of Flight SQL.
    FlightSql,
    /// CloudQuery's plugin protocol.
    CloudQuery,
    /// Plain HTTP.
    Http,
}

impl Door {
    /// The value of the label `door`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::FlightSql => "flight_sql",
            Self::CloudQuery => "cloudquery",
            Self::Http => "http",
        }
    }
}

/// A stream that is being loaded: one of the open ones until it is dropped, then one of those that ended.
#[derive(Debug)]
pub(super) struct OpenStream {
    door: Door,
    outcome: &'static str,
}

impl OpenStream {
    pub(super) fn of(door: Door) -> Self {
        metrics::gauge!(names::STREAMS_OPEN, "door" => door.label()).increment(1.0);
        Self {
            door,
            outcome: "aborted",
        }
    }

    /// It is complete.
    pub(super) fn finished(&mut self) {
        self.outcome = "finished";
    }

    /// It was refused or could not be written. One that nobody ended was given up by its client.
    pub(super) fn failed(&mut self) {
        self.outcome = "failed";
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(names::STREAMS_OPEN, "door" => self.door.label()).decrement(1.0);
        metrics::counter!(names::STREAMS, "door" => self.door.label(), "outcome" => self.outcome).increment(1);
    }
}

/// A batch came in.
pub(super) fn received(rows: usize, wire_bytes: usize) {
    metrics::counter!(names::BATCHES_RECEIVED).increment(1);
    metrics::counter!(names::ROWS_RECEIVED).increment(rows as u64);
    metrics::counter!(names::BYTES_RECEIVED).increment(wire_bytes as u64);
}

/// Rows came that were stored before.
pub(super) fn duplicate(rows: u64) {
    metrics::counter!(names::ROWS_DUPLICATE).increment(rows);
}

/// Bytes that are held now.
pub fn in_flight(bytes: usize) {
    metrics::gauge!(names::INFLIGHT_BYTES).set(bytes as f64);
}

/// Somebody waited for memory since then.
pub(super) fn waited_for_memory(since: Instant) {
    metrics::histogram!(names::BACKPRESSURE_SECONDS).record(since.elapsed().as_secs_f64());
}
