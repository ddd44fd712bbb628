//! Embedding workers of a server: its own, and those of destinations that clients brought settings for.
//!
//! A client's workers live as long as its destination and then until nothing waits any more, so that the end of a sync does
//! not leave rows without vectors. They all end with the server.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::embed::provider::ProviderError;
use crate::embed::{Until, Workers};
use crate::postgres::embed::PgEmbedStore;
use crate::postgres::load::{Made, PgDestination};

/// How often it is looked whether a client is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Workers that run.
#[derive(Debug, Clone, Default)]
pub(super) struct Followers {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Kept until the server has told when it stops.
    early: Arc<Mutex<Vec<Workers>>>,
}

impl Followers {
    /// Starts the workers of the server's own destination.
    pub(super) fn start_own(&self, config: &Config, destination: &PgDestination) -> Result<(), ProviderError> {
        if let Some(store) = destination.embed_store().filter(|_| config.raw().embeddings.workers) {
            let workers = Workers::new(config, store)?;
            self.early.lock().unwrap_or_else(PoisonError::into_inner).push(workers);
        }
        Ok(())
    }

    /// The server runs: workers start, and end when `stopping` is cancelled.
    pub(super) fn run(&self, stopping: CancellationToken) {
        for workers in self.early.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.tasks.spawn(workers.run(Until::Stopped, self.stop.clone()));
        }
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stopping.cancelled().await;
            stop.cancel();
        });
    }

    /// What is to be done for a destination that a client brought settings for.
    pub(super) fn of_clients(&self) -> Made {
        let followers = self.clone();
        Box::new(move |config, destination| {
            let Some(store) = destination.embed_store() else { return };
            if !config.raw().embeddings.workers || followers.stop.is_cancelled() {
                return;
            }
            let (config, client) = (Arc::clone(config), Arc::downgrade(destination));
            followers
                .tasks
                .spawn(follow(config, store, client, followers.stop.clone()));
        })
    }

    /// Waits until all have given back what they held.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn follow(config: Arc<Config>, store: Arc<PgEmbedStore>, client: Weak<PgDestination>, stop: CancellationToken) {
    let gone = stop.child_token();
    let left = gone.clone();
    let watch = tokio::spawn(async move {
        while client.strong_count() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        left.cancel();
    });
    // The same workers go on when the client has gone: what the service is asked for at that moment is paid for.
    match Workers::new(&config, store) {
        Ok(workers) => drop(workers.run(Until::Left(gone), stop).await),
        Err(error) => tracing::error!(%error, "a client's rows are not embedded"),
    }
    watch.abort();
}
