//! Destinations for clients that bring settings of their own; clients with the same ones share a pool.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;

use super::destination::PgDestination;
use super::probe;
use crate::config::{Config, Source};
use crate::ingest::ports::{ConnectionFailure, Destination, Destinations};

/// Told of every destination that is made for a client, to start what it needs beside loads.
pub type Made = Box<dyn Fn(&Arc<Config>, &Arc<PgDestination>) + Send + Sync>;

/// Makes destinations over Postgres.
pub struct PgDestinations {
    source: Box<dyn Source + Send + Sync>,
    on_made: Made,
    /// What is in use; a destination goes with its last client.
    made: Mutex<Vec<(Arc<Config>, Weak<PgDestination>)>>,
}

impl std::fmt::Debug for PgDestinations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgDestinations").finish_non_exhaustive()
    }
}

impl PgDestinations {
    /// A maker that fills in what connection strings leave out from `source`, and starts with the server's own
    /// destination where it has one. `on_made` is told of the others.
    pub fn new(
        source: Box<dyn Source + Send + Sync>,
        config: Arc<Config>,
        own: Option<&Arc<PgDestination>>,
        on_made: Made,
    ) -> Self {
        let made = own.map(|own| (config, Arc::downgrade(own)));
        Self {
            source,
            on_made,
            made: Mutex::new(made.into_iter().collect()),
        }
    }
}

#[async_trait]
impl Destinations<Config> for PgDestinations {
    async fn connect(&self, settings: Arc<Config>) -> Result<Arc<dyn Destination>, ConnectionFailure> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|(_, destination)| destination.strong_count() > 0);
        let same = made.iter().filter(|(config, _)| alike(config, &settings));
        if let Some(known) = same.filter_map(|(_, destination)| destination.upgrade()).next() {
            return Ok(known);
        }
        let new = PgDestination::new(&settings, &*self.source).map_err(|error| probe::failure(&error))?;
        let new = Arc::new(new);
        (self.on_made)(&settings, &new);
        made.push((settings, Arc::downgrade(&new)));
        Ok(new)
    }
}

/// Whether two configurations make the same destination: everything that [`PgDestination::new`] reads.
fn alike(one: &Config, other: &Config) -> bool {
    let (a, b) = (one.raw(), other.raw());
    a.connection_string == b.connection_string
        && a.pool == b.pool
        && one.schema() == other.schema()
        && a.lock_timeout == b.lock_timeout
        && a.statement_timeout == b.statement_timeout
        && a.retry_on_deadlock == b.retry_on_deadlock
        && a.retry_timeout == b.retry_timeout
        && a.create_performance_indexes == b.create_performance_indexes
        && a.pgvector_config == b.pgvector_config
        && a.embeddings == b.embeddings
        && one.state_schema() == other.state_schema()
}
