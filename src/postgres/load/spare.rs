//! An atomic load shares its connection with others: while its client is silent and somebody waits, its transaction is given
//! up and run again from what was kept, when rows come. A load that was too long to be kept keeps its connection.

use std::time::Duration;

use super::atomic::{AtomicLoad, State};
use crate::postgres::error::Error;
use crate::postgres::pool::Connection;
use crate::telemetry::names;

/// How long a load with nothing to write keeps what others wait for.
const SILENT: Duration = Duration::from_secs(1);

impl AtomicLoad {
    /// A connection for the transaction: one of those that may wait for clients, or any as soon as nothing more is to come.
    pub(super) async fn connection(&self) -> Result<Connection, Error> {
        let connections = &self.shared.destination.connections;
        let mut complete = self.complete.subscribe();
        tokio::select! {
            biased;
            // The sender lives in this load.
            _ = complete.wait_for(|complete| *complete) => {}
            connection = connections.get_long() => return connection,
        }
        connections.get().await
    }

    /// Whether it has a connection while nothing is being written.
    pub(super) fn holds_connection(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| held(&state).is_some())
    }

    /// Gives the transaction up when the load has been silent for a while and others wait; never ready where there is none that
    /// could be run again.
    pub(super) async fn spare(&self) {
        let wanted = {
            let state = self.state.lock().await;
            held(&state)
                .filter(|_| state.retained.all().is_some())
                .map(Connection::wanted)
        };
        let Some(wanted) = wanted else {
            return std::future::pending().await;
        };
        tokio::time::sleep(SILENT).await;
        let promise = wanted.await;
        let (running, opened) = {
            let mut state = self.state.lock().await;
            (state.running.take(), state.opened.take())
        };
        tracing::debug!(table = %self.shared.request.table, "a silent load gives its transaction up for others");
        metrics::counter!(names::POOL_GIVEN_BACK).increment(1);
        if let Some(running) = running {
            running.tx.give_up().await;
        }
        if let Some(mut opened) = opened {
            opened.give_back().await;
        }
        drop(promise);
    }
}

/// The connection of a load's open transaction.
fn held(state: &State) -> Option<&Connection> {
    let running = state.running.as_ref().map(|running| running.tx.connection());
    running.or_else(|| Some(&state.opened.as_ref()?.begun.as_ref()?.connection))
}
