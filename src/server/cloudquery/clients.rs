//! Who sent Init: clients by their HTTP/2 connection, because no other call says whose it is.
//!
//! A call from a connection that never sent Init belongs to the newest client that is still there: a source that keeps its
//! state in this destination opens a connection of its own, and knows only the address. A client ends with Close or with
//! its connection, and never with another client's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::spec::Settings;
use crate::ingest::ports::Destination;
use crate::model::caller::Principal;
use crate::server::connection::{ConnectionId, ConnectionInfo};

/// What one Init set up.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Who sent it; nobody else's calls fall back to it.
    pub(super) principal: Principal,
    /// What its spec amounts to.
    pub(super) settings: Settings,
    /// Where its rows go; `None` when it asked for no connection.
    pub(super) destination: Option<Arc<dyn Destination>>,
}

/// All clients that sent Init and did not end.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// In the order of their Init.
    open: Arc<Mutex<Open>>,
}

type Open = Vec<(ConnectionId, Arc<Client>)>;

impl Clients {
    /// Sets a connection's client, in place of an earlier one.
    pub(super) fn init(&self, connection: &ConnectionInfo, client: Client) {
        let known = {
            let mut open = self.lock();
            let before = open.len();
            open.retain(|(id, _)| *id != connection.id);
            let known = open.len() < before;
            open.push((connection.id, Arc::new(client)));
            known
        };
        if !known {
            let (clients, id, ended) = (self.clone(), connection.id, connection.ended.clone());
            tokio::spawn(async move {
                ended.cancelled().await;
                clients.close(id);
            });
        }
    }

    /// The client that a call belongs to.
    pub(super) fn of(&self, connection: ConnectionId, principal: &Principal) -> Option<Arc<Client>> {
        let open = self.lock();
        let own = open.iter().find(|(id, _)| *id == connection);
        let newest = || open.iter().rev().find(|(_, client)| client.principal == *principal);
        own.or_else(newest).map(|(_, client)| Arc::clone(client))
    }

    /// Forgets a connection's client; false when it has none.
    pub(super) fn close(&self, connection: ConnectionId) -> bool {
        let mut open = self.lock();
        let before = open.len();
        open.retain(|(id, _)| *id != connection);
        open.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every change is one call on the vector, so a panic elsewhere leaves it whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    fn client(seconds: u64) -> Client {
        let settings = Settings {
            config: Arc::new(Config::default()),
            batch_timeout: Duration::from_secs(seconds),
            keep_tables_without_rows: false,
            nul_bytes: crate::model::options::NulBytes::Strip,
        };
        Client {
            principal: Principal::Anonymous,
            settings,
            destination: None,
        }
    }

    fn connection(id: ConnectionId) -> ConnectionInfo {
        ConnectionInfo {
            id,
            peer: None,
            ended: CancellationToken::new(),
        }
    }

    fn seen(clients: &Clients, id: ConnectionId) -> Option<u64> {
        clients
            .of(id, &Principal::Anonymous)
            .map(|client| client.settings.batch_timeout.as_secs())
    }

    #[tokio::test]
    async fn calls_find_their_own_client_and_strangers_the_newest_that_is_left() {
        let clients = Clients::default();
        assert_eq!(seen(&clients, 1), None);
        clients.init(&connection(1), client(1));
        clients.init(&connection(2), client(2));
        assert_eq!(
            (seen(&clients, 1), seen(&clients, 2), seen(&clients, 9)),
            (Some(1), Some(2), Some(2))
        );
        clients.init(&connection(1), client(3));
        assert_eq!(
            (seen(&clients, 1), seen(&clients, 9)),
            (Some(3), Some(3)),
            "a second Init replaces the first"
        );
        assert!(
            clients.of(9, &Principal::Named("other".into())).is_none(),
            "nobody falls back to another's client"
        );
        assert!(clients.close(1) && !clients.close(1) && !clients.close(9));
        assert_eq!((seen(&clients, 1), seen(&clients, 2)), (Some(2), Some(2)));
    }

    #[tokio::test]
    async fn a_connection_that_ends_takes_its_client_along_and_no_other() {
        let clients = Clients::default();
        let (first, second) = (connection(1), connection(2));
        clients.init(&first, client(1));
        clients.init(&second, client(2));
        second.ended.cancel();
        while seen(&clients, 9) != Some(1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen(&clients, 1), Some(1));
    }
}
