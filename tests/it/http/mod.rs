//! The HTTP door, over a real server and real clients: curl, and a client that sends what is said byte for byte.

mod bodies;
pub(crate) mod client;
mod ending;
mod hostile;
mod once;
mod page;
mod reads;
mod statuses;
mod tls;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::server::Server;

/// A fresh database, and a server with this door.
async fn start() -> (Database, Server) {
    start_with(json!({})).await
}

async fn start_with(mut settings: Value) -> (Database, Server) {
    let database = Database::create().await;
    settings["http_listen"] = json!("127.0.0.1:0");
    let server = Server::start_with(database.uri(), settings).await;
    (database, server)
}
