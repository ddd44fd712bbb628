//! Destinations for clients that bring settings of their own; clients with the same ones share a pool.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;

use super::destination::PgDestination;
use super::probe;
use crate::config::{Config, Source, WithoutLogin};
use crate::ingest::ports::{ConnectionFailure, Destination, Destinations};
use crate::postgres::error::Error;

/// Told of every destination that is made for a client, to start what it needs beside loads.
pub type Made = Box<dyn Fn(&Arc<Config>, &Arc<PgDestination>) + Send + Sync>;

/// Whose the login is that the environment names (`PGPASSWORD`, `PGPASSFILE`, `PGSERVICE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The server's: a client's own connection string may lead anywhere, and does not get it.
    Servers,
    /// The client's, who started the program as its plugin.
    Clients,
}

/// Makes destinations over Postgres.
pub struct PgDestinations {
    source: Box<dyn Source + Send + Sync>,
    login: Login,
    server: Arc<Config>,
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
        login: Login,
        config: Arc<Config>,
        own: Option<&Arc<PgDestination>>,
        on_made: Made,
    ) -> Self {
        let made = own.map(|own| (Arc::clone(&config), Arc::downgrade(own)));
        Self {
            source,
            login,
            server: config,
            on_made,
            made: Mutex::new(made.into_iter().collect()),
        }
    }

    fn make(&self, settings: &Config) -> Result<PgDestination, Error> {
        let own = settings.raw().connection_string == self.server.raw().connection_string;
        match own || self.login == Login::Clients {
            true => PgDestination::new(settings, &*self.source),
            false => PgDestination::new(settings, &WithoutLogin(&*self.source)),
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
        let new = self.make(&settings).map_err(|error| probe::failure(&error))?;
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
        && a.group_commit == b.group_commit
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FixedSource;
    use serde_json::json;

    fn config(connection_string: &str) -> Config {
        Config::from_json(&json!({"connection_string": connection_string})).unwrap()
    }

    fn refusal(login: Login, connection_string: &str) -> Option<String> {
        // A service that is nowhere: whoever looks for it says so.
        let source = FixedSource::new()
            .with_variable("PGSERVICE", "nowhere")
            .with_variable("HOME", "/home/server")
            .with_file("/home/server/.pg_service.conf", "[stored]\nhost=own\npassword=secret\n");
        let server = Arc::new(config("host=own user=u"));
        let factory = PgDestinations::new(Box::new(source), login, server, None, Box::new(|_, _| {}));
        let made = factory.make(&config(connection_string));
        made.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_clients_own_connection_string_gets_no_login_of_the_server() {
        assert_eq!(refusal(Login::Servers, "host=other user=u"), None);
        for (login, text) in [
            (Login::Servers, "host=own user=u"),
            (Login::Clients, "host=other user=u"),
        ] {
            let refusal = refusal(login, text).unwrap();
            assert!(refusal.contains("\"nowhere\""), "{refusal}");
        }
        // The password of a stored service could be sent anywhere.
        let elsewhere = "service=stored host=other user=u";
        let refusal_of = refusal(Login::Servers, elsewhere).unwrap();
        assert!(refusal_of.contains("\"stored\""), "{refusal_of}");
        assert_eq!(refusal(Login::Clients, elsewhere), None);
    }
}
