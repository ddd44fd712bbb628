//! The client half of pgflight: what `pgflight load` and `pgflight demo` use to send rows to a server.
//!
//! [`crate::formats`] turns files, globs and standard input into one stream of record batches, [`put`] sends such a stream
//! through an ordinary Flight `DoPut`, [`load`] and [`demo`] are the two commands built on them. This module knows the
//! public contract only: it must never import the server, the ingest core or anything of Postgres, so that everything
//! it can do any other Flight client can do as well.

pub mod connect;
pub mod demo;
pub mod load;
pub mod plan;
pub mod progress;
pub mod put;
mod wrong_port;
