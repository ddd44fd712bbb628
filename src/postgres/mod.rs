//! The Postgres side: how a stream becomes a table.
//!
//! Pure half (no I/O, no async, no clock): `copy` (Arrow to COPY BINARY), `migrate` except `apply`, `sql`, `sqlstate`,
//! `load::merge`, `read::{decode, plan, type_map}`, `reserved`. Effect half: `connect`, `pool`, `catalog`, `migrate::apply`, `load`, the
//! rest of `read`. Only this module names tokio-postgres.

pub mod catalog;
pub mod check;
pub mod connect;
pub mod copy;
pub mod embed;
pub mod error;
pub mod load;
pub mod migrate;
pub mod pool;
pub mod queries;
pub mod read;
mod reserved;
pub(crate) mod serial;
pub mod sql;
pub mod sqlstate;
mod state;
mod writable;
