//! The CloudQuery door as its clients meet it.

pub(crate) mod client;
mod clients;
mod generator;
mod hostile;
mod parallel;
mod peers;
mod real;
mod rejects;
mod state;
mod suite;
mod suite_migrate;

use client::Cq;

use crate::support::database::Database;
use crate::support::server::Server;

async fn start() -> (Database, Server, Cq) {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let cq = Cq::ready(&server).await;
    (database, server, cq)
}
