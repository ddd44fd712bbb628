//! What integration tests stand on: clusters, databases and peers in other languages, faults and the oracle that judges
//! what they left. No assertions about pgflight live here, the oracle's apart.

pub(crate) mod bombs;
pub(crate) mod browser;
pub(crate) mod chaos;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod database;
pub(crate) mod embeddings;
pub(crate) mod feed;
pub(crate) mod flight;
pub(crate) mod javascript;
pub(crate) mod oracle;
pub(crate) mod pgbouncer;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod seed;
pub(crate) mod server;
pub(crate) mod standby;
