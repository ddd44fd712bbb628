//! pgflight lands Arrow data in PostgreSQL.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod client;
pub mod config;
pub mod embed;
pub mod ingest;
pub mod model;
pub mod postgres;
pub mod server;
pub mod telemetry;
