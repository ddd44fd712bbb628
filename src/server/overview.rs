//! The status page of the admin port and its data: which streams run, what failed last, how memory, the pool and embeddings do. Shows
//! counts, names and the sentences that clients were told; never a value of a row, and of the configuration only what bounds memory.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::readiness::Verdict;
use crate::ingest::journal::{Failure, Journal, Running, Totals};

/// One file without anything from elsewhere, so that it works where nothing else can be reached.
const PAGE: &str = include_str!("overview.html");

/// What the page is made of.
#[derive(Clone, Debug)]
pub struct Overview {
    journal: Journal,
    memory_bytes: usize,
    since: Instant,
}

impl Overview {
    /// Of a server that starts now, and whose streams may hold so many bytes of Arrow data together.
    pub fn new(journal: Journal, memory_bytes: usize) -> Self {
        Self {
            journal,
            memory_bytes,
            since: Instant::now(),
        }
    }

    /// The document behind the page. `metrics` is the metrics page; counters and gauges are taken from it as they stand there, so
    /// that both pages show the same.
    pub(super) fn document(&self, verdict: &Verdict, metrics: &str) -> Value {
        let (state, reason) = match verdict {
            Verdict::Ready => ("ready", None),
            Verdict::NotReady(reason) => ("not ready", Some(reason)),
            Verdict::Draining => ("draining", None),
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "at_ms": millis(SystemTime::now()),
            "uptime_seconds": self.since.elapsed().as_secs(),
            "state": state,
            "reason": reason,
            "memory_bytes": self.memory_bytes,
            "streams": self.journal.running().iter().map(stream).collect::<Vec<_>>(),
            "tables": self.journal.tables().iter().map(table).collect::<Vec<_>>(),
            "failures": self.journal.failures().iter().map(failure).collect::<Vec<_>>(),
            "metrics": samples(metrics),
        })
    }
}

/// The page itself. It may load nothing, be framed by nobody and talk to nobody but this port.
pub(super) fn page() -> impl IntoResponse {
    const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                          frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE)
}

fn stream(running: &Running) -> Value {
    json!({
        "number": running.number,
        "door": running.door.label(),
        "table": running.table,
        "principal": running.caller.principal.namespace(),
        "peer": running.caller.peer.map(|peer| peer.to_string()),
        "seconds": seconds(running.age),
        "received": running.received,
        "committed": running.committed,
        "bytes": running.bytes,
        "retries": running.retries,
    })
}

fn table((name, totals): &(String, Totals)) -> Value {
    json!({
        "table": name,
        "finished": totals.finished,
        "failed": totals.failed,
        "rows": totals.rows,
        "bytes": totals.bytes,
    })
}

fn failure(failure: &Failure) -> Value {
    json!({
        "at_ms": millis(failure.at),
        "door": failure.door.label(),
        "table": failure.table,
        "principal": failure.principal,
        "class": format!("{:?}", failure.class),
        "sqlstate": failure.sqlstate,
        "error": failure.sentence,
    })
}

/// Samples of counters and gauges, by name with labels as on the metrics page; histograms are too many numbers for people.
fn samples(metrics: &str) -> Map<String, Value> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.filter_map(|line| line.rsplit_once(' '));
    let of_histogram = |name: &str| {
        let name = name.split('{').next().unwrap_or(name);
        ["_bucket", "_sum", "_count"].iter().any(|part| name.ends_with(part))
    };
    samples
        .filter(|(name, _)| !of_histogram(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse::<f64>().ok()?.into())))
        .collect()
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges_are_taken_as_they_stand_on_the_metrics_page() {
        let page = "# HELP a_total x\n# TYPE a_total counter\na_total{door=\"flight\"} 3\n\nb_bytes 1.5\nc_seconds_bucket{le=\"1\"} 2\n\
                    c_seconds_sum 1\nc_seconds_count 2\n";
        let samples = Value::Object(samples(page));
        assert_eq!(samples, json!({"a_total{door=\"flight\"}": 3.0, "b_bytes": 1.5}));
    }

    #[test]
    fn the_page_takes_nothing_from_elsewhere() {
        for part in ["http://", "https://", "src=", "@import", "innerHTML"] {
            assert!(!PAGE.contains(part), "{part}");
        }
    }
}
