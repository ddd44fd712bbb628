//! A pgflight server inside the test process, on free loopback ports, stopped when dropped.

use std::net::SocketAddr;
use std::sync::Arc;

use pgflight::app::serve::{self, Running};
use pgflight::config::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::database::Database;
use super::flight::Flight;
use super::pgbouncer::{self, Bouncer, Neighbour};

/// A fresh database, a server over it, and a client of that server.
pub(crate) async fn start() -> (Database, Server, Flight) {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let flight = Flight::connect(&server).await;
    (database, server, flight)
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    running: Option<Running>,
    grpc: SocketAddr,
    admin: SocketAddr,
    http_door: Option<SocketAddr>,
    settings: Value,
    /// Between this server and Postgres.
    _bouncer: Option<Bouncer>,
    /// Another program behind that one.
    _neighbour: Option<Arc<Neighbour>>,
}

impl Server {
    /// A server with default settings over a test's database.
    pub(crate) async fn start(database: &Database) -> Self {
        Self::start_with(database.uri(), json!({})).await
    }

    /// A server with settings of its own; `connection_string`, `listen` and `admin_listen` are filled in.
    pub(crate) async fn start_with(connection_string: &str, mut settings: Value) -> Self {
        let bouncer = pgbouncer::asked_for();
        let bouncer = bouncer.map(|lines| Bouncer::before(connection_string, &lines.lines().collect::<Vec<_>>()));
        let connection_string = bouncer.as_ref().map_or(connection_string, Bouncer::uri);
        let fields = settings.as_object_mut().expect("settings are a JSON object");
        for (key, value) in [
            ("connection_string", connection_string),
            ("listen", "127.0.0.1:0"),
            ("admin_listen", "127.0.0.1:0"),
        ] {
            fields.entry(key).or_insert_with(|| json!(value));
        }
        let config = Config::from_json(&settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
        let running = serve::start(config, Arc::new(String::new))
            .await
            .expect("free ports can be bound");
        let grpc = running.grpc().expect("a TCP address");
        let admin = running.admin().expect("a TCP address");
        let http_door = running.http();
        let neighbour = match &bouncer {
            Some(bouncer) => Some(Neighbour::move_in(bouncer.uri(), &format!("http://{grpc}")).await),
            None => None,
        };
        Self {
            running: Some(running),
            grpc,
            admin,
            http_door,
            settings,
            _bouncer: bouncer,
            _neighbour: neighbour,
        }
    }

    /// `grpc://127.0.0.1:port`, as pyarrow and `pgflight load` take it.
    pub(crate) fn uri(&self) -> String {
        format!("grpc://{}", self.grpc)
    }

    /// `http://127.0.0.1:port`, as tonic takes it.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Address of the gRPC port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.grpc
    }

    /// Address of the HTTP port for rows, where the settings have one.
    pub(crate) fn http_door(&self) -> SocketAddr {
        self.http_door.expect("http_listen is set")
    }

    /// Address of the admin port.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// `GET page` from the admin port: status line and body.
    pub(crate) async fn page(&self, page: &str) -> (String, String) {
        self::page(self.admin, page).await
    }

    /// Reads other settings in place of those that these keys had; the keys that need a restart, or why nothing changed.
    pub(crate) fn reload(&self, changed: Value) -> Result<Vec<String>, String> {
        let mut settings = self.settings.clone();
        let fields = settings.as_object_mut().expect("settings are a JSON object");
        fields.retain(|key, _| ["connection_string", "listen", "admin_listen", "http_listen"].contains(&key.as_str()));
        fields.extend(changed.as_object().expect("settings are a JSON object").clone());
        let config = Config::from_json(&settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
        let running = self.running.as_ref().expect("it runs");
        running.reload(&config).map_err(|error| error.to_string())
    }

    /// Drains and stops; running streams get `drain_timeout`.
    pub(crate) async fn stop(mut self) {
        let running = self.running.take().expect("stopped once");
        running
            .shutdown(std::future::pending())
            .await
            .expect("the server ends well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without a wait: what runs in the test's runtime ends with it.
        drop(self.running.take());
    }
}

/// `GET page` from an admin port: status line and body.
pub(crate) async fn page(admin: SocketAddr, page: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin).await.expect("the admin port answers");
    let request = format!("GET {page} HTTP/1.0\r\n\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("the admin port answers");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("the admin port answers");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    (head.lines().next().expect("a status line").to_owned(), body.to_owned())
}
