//! How many connections the limit of open files leaves room for. Raises the limit as far as the system lets it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Connections of clients at once when neither the configuration nor the limit says less.
const MAX_CONNECTIONS: u64 = 1000;
/// Connections of the admin port at once.
pub(super) const ADMIN_CONNECTIONS: usize = 32;
/// Sockets that listen, the runtime's own, the log, files that are read now and then, connections that end.
const OTHERS: u64 = 48;
/// Connections to Postgres that are made or asked beside the pool.
const BESIDE_THE_POOL: u64 = 8;
/// However low the limit is.
const FEWEST: u64 = 8;

/// Raises this process' own limit to what an administrator allows it.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        // Some systems allow less than they say; the limit stays then.
        setrlimit(Resource::Nofile, raised).ok();
    }
}

/// Connections of clients at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Of all clients.
    pub(super) total: usize,
    /// Of one address.
    pub(super) per_address: usize,
}

/// What is configured, as far as the limit of open files allows it.
pub(super) fn places(config: &Config) -> Places {
    let limit = getrlimit(Resource::Nofile).current;
    let (places, fits) = fitting(config, limit);
    if !fits {
        tracing::warn!(
            open_files = limit,
            connections = places.total,
            "the limit of open files (ulimit -n) leaves room for fewer connections than limits.max_connections"
        );
    }
    places
}

/// The places, and whether they are as many as the configuration asks for.
fn fitting(config: &Config, open_files: Option<u64>) -> (Places, bool) {
    let (limits, raw) = (&config.raw().limits, config.raw());
    let embeddings = match raw.pgvector_config {
        Some(_) => u64::from(raw.embeddings.max_concurrency),
        None => 0,
    };
    let kept = u64::from(raw.pool.max_size) + BESIDE_THE_POOL + embeddings + ADMIN_CONNECTIONS as u64 + OTHERS;
    let room = open_files.map_or(u64::MAX, |limit| limit.saturating_sub(kept).max(FEWEST));
    let wanted = limits.max_connections.map_or(MAX_CONNECTIONS.min(room), u64::from);
    let total = usize::try_from(wanted.min(room)).unwrap_or(usize::MAX);
    let per_address = limits
        .max_connections_per_address
        .map_or(total.div_ceil(2), |most| most as usize);
    let places = Places {
        total,
        per_address: per_address.min(total),
    };
    (places, wanted <= room && room > FEWEST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: serde_json::Value, open_files: Option<u64>) -> (usize, usize, bool) {
        let config = Config::from_json(&settings).unwrap();
        let (places, fits) = fitting(&config, open_files);
        (places.total, places.per_address, fits)
    }

    #[test]
    fn connections_leave_room_for_postgres_for_files_and_for_the_admin_port() {
        assert_eq!(of(json!({}), None), (1000, 500, true));
        assert_eq!(of(json!({}), Some(1 << 20)), (1000, 500, true));
        assert_eq!(of(json!({}), Some(256)), (152, 76, true));
        assert_eq!(of(json!({"pool": {"max_size": 100}}), Some(256)), (68, 34, true));
        assert_eq!(of(json!({}), Some(64)), (8, 4, false));
    }

    #[test]
    fn what_is_configured_counts_as_far_as_there_are_files() {
        let configured = json!({"limits": {"max_connections": 200, "max_connections_per_address": 150}});
        assert_eq!(of(configured.clone(), Some(1024)), (200, 150, true));
        assert_eq!(of(configured, Some(256)), (152, 150, false));
        assert_eq!(
            of(json!({"limits": {"max_connections_per_address": 5000}}), None),
            (1000, 1000, true)
        );
    }
}
