//! Who sent Init: clients by their HTTP/2 connection, because no other call says whose it is.
//!
//! A connection that never sent Init belongs to the client that is the newest at its first call, of those that have a
//! destination: a source that keeps its state in this destination opens a connection of its own, and knows only the
//! address. Another client's Init does not move it; when its client has ended, it belongs to the newest that is left. A
//! client ends with Close or with its connection, and never with another client's. Where Close came, or an Init that was
//! refused, the connection belongs to nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::spec::Settings;
use crate::ingest::guard::Guarded;
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
    pub(super) destination: Option<Guarded>,
}

/// All clients that sent Init and did not end.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// In the order of their Init.
    clients: Vec<(ConnectionId, Arc<Client>)>,
    /// Connections that use another's client or none, until they end.
    others: HashMap<ConnectionId, Other>,
}

/// How a connection without a client of its own is served.
#[derive(Debug)]
enum Other {
    /// By that client, for as long as it is there: one that comes later has nothing to do with it.
    Guest(Weak<Client>),
    /// Not at all: its client ended with Close, or its Init was refused.
    Refused,
}

impl Clients {
    /// Sets a connection's client, in place of an earlier one.
    pub(super) fn init(&self, connection: &ConnectionInfo, client: Client) {
        let known = {
            let mut open = self.lock();
            let known = open.knows(connection.id);
            open.forget(connection.id);
            open.clients.push((connection.id, Arc::new(client)));
            known
        };
        self.watch(connection, known);
    }

    /// A connection's Init was refused: its calls have no client, not even another's.
    pub(super) fn refuse(&self, connection: &ConnectionInfo) {
        let known = {
            let mut open = self.lock();
            let known = open.knows(connection.id);
            open.forget(connection.id);
            open.others.insert(connection.id, Other::Refused);
            known
        };
        self.watch(connection, known);
    }

    /// The client that a call belongs to.
    pub(super) fn of(&self, connection: &ConnectionInfo, principal: &Principal) -> Option<Arc<Client>> {
        let (found, known) = {
            let mut open = self.lock();
            let known = open.knows(connection.id);
            (open.find(connection.id, principal), known)
        };
        if found.is_some() {
            self.watch(connection, known);
        }
        found
    }

    /// Ends a connection's client; false when it has none.
    pub(super) fn close(&self, connection: ConnectionId) -> bool {
        let mut open = self.lock();
        let own = open.own(connection).is_some();
        if own {
            open.forget(connection);
            open.others.insert(connection, Other::Refused);
        }
        own
    }

    /// Forgets a connection when it ends, of which nothing was known before.
    fn watch(&self, connection: &ConnectionInfo, known: bool) {
        if known {
            return;
        }
        let (clients, id, ended) = (self.clone(), connection.id, connection.ended.clone());
        tokio::spawn(async move {
            ended.cancelled().await;
            clients.lock().forget(id);
        });
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Between the changes of one call nothing can panic, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn knows(&self, connection: ConnectionId) -> bool {
        self.own(connection).is_some() || self.others.contains_key(&connection)
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.clients.retain(|(id, _)| *id != connection);
        self.others.remove(&connection);
    }

    fn own(&self, connection: ConnectionId) -> Option<&Arc<Client>> {
        let own = self.clients.iter().find(|(id, _)| *id == connection);
        own.map(|(_, client)| client)
    }

    fn find(&mut self, connection: ConnectionId, principal: &Principal) -> Option<Arc<Client>> {
        if let Some(own) = self.own(connection) {
            return Some(Arc::clone(own));
        }
        match self.others.get(&connection) {
            Some(Other::Refused) => return None,
            Some(Other::Guest(host)) => {
                let host = host
                    .upgrade()
                    .filter(|host| self.clients.iter().any(|(_, one)| Arc::ptr_eq(one, host)));
                if let Some(host) = host.filter(|host| host.principal == *principal) {
                    return Some(host);
                }
            }
            None => {}
        }
        let newest = self.clients.iter().rev().map(|(_, client)| client);
        let host = Arc::clone(
            newest
                .into_iter()
                .find(|one| one.principal == *principal && one.destination.is_some())?,
        );
        self.others.insert(connection, Other::Guest(Arc::downgrade(&host)));
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ingest::guard::Guard;
    use crate::server::cloudquery::closed::Closed;
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
            destination: Some(Guard::default().over(Arc::new(Closed))),
        }
    }

    fn connection(id: ConnectionId) -> ConnectionInfo {
        ConnectionInfo {
            id,
            peer: None,
            ended: CancellationToken::new(),
            peer_name: Default::default(),
            voice: None,
        }
    }

    fn seen(clients: &Clients, id: ConnectionId) -> Option<u64> {
        clients
            .of(&connection(id), &Principal::Anonymous)
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
            (seen(&clients, 1), seen(&clients, 8)),
            (Some(3), Some(3)),
            "a second Init replaces the first"
        );
        assert!(
            clients.of(&connection(9), &Principal::Named("other".into())).is_none(),
            "nobody falls back to another's client"
        );
        assert!(clients.close(1) && !clients.close(1) && !clients.close(9));
        assert_eq!((seen(&clients, 1), seen(&clients, 2)), (None, Some(2)));
        assert_eq!(seen(&clients, 8), Some(2), "its client ended");
    }

    #[tokio::test]
    async fn a_stranger_stays_with_the_client_of_its_first_call() {
        let clients = Clients::default();
        clients.init(&connection(1), client(1));
        assert_eq!(seen(&clients, 9), Some(1));
        clients.init(&connection(2), client(2));
        assert_eq!((seen(&clients, 9), seen(&clients, 8)), (Some(1), Some(2)));
        clients.init(&connection(9), client(3));
        assert_eq!(seen(&clients, 9), Some(3), "until it sends an Init itself");
    }

    #[tokio::test]
    async fn a_client_without_a_destination_serves_only_itself() {
        let clients = Clients::default();
        let without = Client {
            destination: None,
            ..client(2)
        };
        clients.init(&connection(1), client(1));
        clients.init(&connection(2), without);
        assert_eq!((seen(&clients, 2), seen(&clients, 9)), (Some(2), Some(1)));
        assert!(clients.close(1));
        assert_eq!(seen(&clients, 9), None);
    }

    #[tokio::test]
    async fn a_connection_whose_init_was_refused_uses_no_others_client() {
        let clients = Clients::default();
        clients.init(&connection(1), client(1));
        clients.refuse(&connection(2));
        assert_eq!((seen(&clients, 1), seen(&clients, 2)), (Some(1), None));
        clients.init(&connection(2), client(2));
        assert_eq!(seen(&clients, 2), Some(2));
    }

    #[tokio::test]
    async fn a_connection_that_ends_takes_its_client_along_and_no_other() {
        let clients = Clients::default();
        let (first, second, guest) = (connection(1), connection(2), connection(9));
        clients.init(&first, client(1));
        clients.init(&second, client(2));
        assert!(clients.of(&guest, &Principal::Anonymous).is_some());
        second.ended.cancel();
        while seen(&clients, 9) != Some(1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen(&clients, 1), Some(1));
        guest.ended.cancel();
        while clients.lock().knows(9) {
            tokio::task::yield_now().await;
        }
    }
}
