//! pgflight lands Arrow data in PostgreSQL.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod embed;
pub mod formats;
pub mod ingest;
mod literal;
pub mod model;
pub mod planner;
pub mod postgres;
pub mod server;
pub mod sql;
pub mod telemetry;
