//! The CloudQuery door as its clients meet it.

#![expect(
    dead_code,
    reason = "what reads tables back needs the door's Read, which is not served yet"
)]

mod client;
mod clients;
mod generator;
mod hostile;

use client::Cq;

use crate::support::database::Database;
use crate::support::server::Server;

async fn start() -> (Database, Server, Cq) {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let cq = Cq::ready(&server).await;
    (database, server, cq)
}
