//! Every metric's name, unit and help, in one place, so that a name is written once and documented always.
//!
//! Names are `pgflight_<thing>_<unit>`, counters end in `_total`, units are base units. No label holds a table's name, a
//! stream's id or anything else that a client chooses.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric of the page.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name on the page.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// One sentence, with its labels if it has any.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $kind:ident, $unit:ident, $help:literal;)+) => {
        $(#[doc = $help] pub const $constant: &str = $name;)+

        /// Every metric.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, unit: Unit::$unit, help: $help },)+
        ];
    };
}

metrics_table! {
    BUILD_INFO = "pgflight_build_info", Gauge, Count, "Always 1; label `version`.";
    READY = "pgflight_ready", Gauge, Count, "1 when loads would work, as Postgres said when it was last asked: at the start and by whoever looks at health; 0 when they would not, and while the server ends.";
    CONNECTIONS = "pgflight_connections", Gauge, Count, "Connections that are open; label `port`: grpc, http, admin.";
    CONNECTIONS_CLOSED = "pgflight_connections_closed_total", Counter, Count, "Connections that were closed or not taken; labels `port` and `reason`: silent (no call within limits.handshake_timeout), replaced (no call yet, and another came at the limit), address and total (at the limits), files (the system gave none).";
    STREAMS_OPEN = "pgflight_streams_open", Gauge, Count, "Streams that are being loaded; label `door`.";
    STREAMS = "pgflight_streams_total", Counter, Count, "Streams that ended; labels `door` (flight, flight_sql, cloudquery, http) and `outcome`: finished, failed, aborted (its end never came, as when the client gave up).";
    BATCHES_RECEIVED = "pgflight_batches_received_total", Counter, Count, "Record batches received.";
    ROWS_RECEIVED = "pgflight_rows_received_total", Counter, Count, "Rows received.";
    BYTES_RECEIVED = "pgflight_received_bytes_total", Counter, Bytes, "Bytes of record batches received, as they were sent.";
    ROWS_COMMITTED = "pgflight_rows_committed_total", Counter, Count, "Rows that Postgres committed.";
    BYTES_COPIED = "pgflight_copied_bytes_total", Counter, Bytes, "Bytes of COPY data sent to Postgres.";
    ROWS_REJECTED = "pgflight_rows_rejected_total", Counter, Count, "Rows written to the reject table.";
    ROWS_DUPLICATE = "pgflight_rows_duplicate_total", Counter, Count, "Rows of replayed chunks that were stored before.";
    COMMIT_SECONDS = "pgflight_commit_seconds", Histogram, Seconds, "Time of COMMIT.";
    COPY_SECONDS = "pgflight_copy_seconds", Histogram, Seconds, "Time of one COPY statement.";
    MERGE_SECONDS = "pgflight_merge_seconds", Histogram, Seconds, "Time of one merge from staging.";
    ENCODE_SECONDS = "pgflight_encode_seconds", Histogram, Seconds, "Time spent on encoding the rows of one COPY statement.";
    LOCK_WAIT_SECONDS = "pgflight_lock_wait_seconds", Histogram, Seconds, "Time in which migrations and swaps asked for a lock of a table, whether they got it or not.";
    INFLIGHT_BYTES = "pgflight_inflight_bytes", Gauge, Bytes, "Bytes of Arrow data held in memory, as they count against limits.max_inflight_bytes.";
    BACKPRESSURE_SECONDS = "pgflight_backpressure_seconds", Histogram, Seconds, "Time in which a stream was not read because memory was full; the sum over all streams may grow faster than the clock.";
    RETRIES = "pgflight_retries_total", Counter, Count, "Transactions written again; label `sqlstate`.";
    POOL_CONNECTIONS = "pgflight_pool_connections", Gauge, Count, "Connections to Postgres; label `state`: lent.";
    POOL_WAITING = "pgflight_pool_waiting", Gauge, Count, "Requests and chunks that wait for a connection.";
    POOL_GIVEN_BACK = "pgflight_pool_given_back_total", Counter, Count, "Transactions of silent clients that were rolled back for others, to be run again.";
    CONNECTS = "pgflight_connects_total", Counter, Count, "Attempts to connect to Postgres; label `outcome`: connected, failed.";
    MIGRATION_STEPS = "pgflight_migration_steps_total", Counter, Count, "Steps of migrations that were applied; label `lock`: the strongest lock that the step takes, as in the Postgres manual.";
    COMMIT_UNKNOWN = "pgflight_commit_unknown_total", Counter, Count, "Commits whose answer was lost and had to be looked up.";
    FENCED = "pgflight_fenced_total", Counter, Count, "Writers that a newer one of the same stream shut out.";
    OFFSET_REGRESSIONS = "pgflight_offset_regressions_total", Counter, Count, "Streams found behind what was acknowledged, as after a failover.";
    EMBED_REQUESTS = "pgflight_embed_requests_total", Counter, Count, "Requests to the embeddings service; label `outcome`.";
    EMBED_REQUEST_SECONDS = "pgflight_embed_request_seconds", Histogram, Seconds, "Time of one request to the embeddings service.";
    EMBED_REQUEST_INPUTS = "pgflight_embed_request_inputs", Histogram, Count, "Texts in one request to the embeddings service.";
    EMBED_COMMIT_SECONDS = "pgflight_embed_commit_seconds", Histogram, Seconds, "Time to store the chunks of one batch of rows.";
    EMBED_TOKENS = "pgflight_embed_tokens_total", Counter, Count, "Tokens that the embeddings service counted.";
    EMBED_CHUNKS = "pgflight_embed_chunks_total", Counter, Count, "Chunks; label `source`: new, stored (vector kept), shared (same text in the same batch).";
    EMBED_ROWS = "pgflight_embed_rows_total", Counter, Count, "Rows that workers dealt with; label `outcome`: done, unchanged (nothing was sent), fenced, removed, dead, released.";
    EMBED_PENDING = "pgflight_embed_pending", Gauge, Count, "Rows that wait for their vectors, of all tables.";
    EMBED_LEASED = "pgflight_embed_leased", Gauge, Count, "Rows that a worker holds, of all tables.";
    EMBED_DEAD = "pgflight_embed_dead", Gauge, Count, "Rows that were given up, of all tables; label `code`.";
    EMBED_OLDEST_PENDING_SECONDS = "pgflight_embed_oldest_pending_seconds", Gauge, Seconds, "Age of the oldest row that waits.";
    EMBED_CONCURRENCY = "pgflight_embed_concurrency", Gauge, Count, "Requests at once that the embeddings service is thought to take.";
    EMBED_COOLDOWN_SECONDS = "pgflight_embed_cooldown_seconds", Gauge, Seconds, "How long requests still pause, as the service asked or a failure needs.";
    EMBED_CIRCUIT_OPEN = "pgflight_embed_circuit_open", Gauge, Count, "1 while the embeddings service is left alone.";
}

/// Tells the recorder units and helps.
pub(super) fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in ALL {
            assert!(
                metric.name.starts_with("pgflight_") && seen.insert(metric.name),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
            let named = metric.name.trim_end_matches("_total");
            assert_eq!(
                named.ends_with("_seconds"),
                metric.unit == Unit::Seconds,
                "{}",
                metric.name
            );
            assert_eq!(named.ends_with("_bytes"), metric.unit == Unit::Bytes, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
