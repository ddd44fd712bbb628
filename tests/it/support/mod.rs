//! What integration tests stand on: clusters, databases and peers in other languages. No assertions about pgflight live here.

pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod flight;
pub(crate) mod python;
pub(crate) mod server;
