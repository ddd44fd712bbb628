//! The core: one stream of record batches in, one load into a destination out, whatever door it came through.
//!
//! Doors build a [`request::LoadRequest`] and push batches into a [`session::Session`]; the session cuts them into
//! bounded chunks and drives a [`ports::Load`]. Nothing here knows gRPC or Postgres.

pub mod aside;
pub mod batcher;
pub mod budget;
pub mod connection;
pub mod counted;
mod cursor;
pub mod error;
pub mod guard;
pub mod journal;
mod loader;
pub mod ports;
mod progress;
pub mod request;
pub mod session;
pub mod shares;
