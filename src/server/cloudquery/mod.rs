//! The CloudQuery door: plugin protocol v3 as a destination, on the same port as Flight.
//!
//! `service` answers the calls, `clients` knows who sent Init, `spec` reads what it sent, `message` decodes what Write
//! brings, `write` turns it into loads of the core. Nothing here touches Postgres; the contract is in `proto/`.

mod clients;
#[cfg(test)]
mod closed;
mod message;
mod read;
mod service;
mod spec;
mod table;
mod text_form;
mod write;

pub use service::{CloudQueryFront, Shared};

use crate::ingest::error::RequestError;

/// Reads one Write message as the door does, rows too, and keeps nothing of it; returns how many rows it brings. For fuzzing.
///
/// # Errors
/// What is wrong with the message, in words for the client.
pub fn read_write(request: pb::write::Request) -> Result<usize, RequestError> {
    match message::Decoder::default().read(request.message)? {
        message::Command::Insert(record) => record.batch().map(|batch| batch.num_rows()),
        _ => Ok(0),
    }
}

/// Messages of `cloudquery.plugin.v3`, and the service.
#[expect(
    missing_docs,
    clippy::too_many_lines,
    reason = "generated; the contract's documentation is proto/cloudquery/plugin/v3.proto"
)]
#[rustfmt::skip]
#[path = "pb/plugin_v3.rs"]
pub mod pb;

/// `cloudquery.discovery.v1`.
#[expect(
    missing_docs,
    clippy::too_many_lines,
    reason = "generated; the contract's documentation is proto/cloudquery/discovery/v1.proto"
)]
#[rustfmt::skip]
#[path = "pb/discovery_v1.rs"]
pub mod discovery_v1;

/// `cloudquery.discovery.v0`.
#[expect(
    missing_docs,
    clippy::too_many_lines,
    reason = "generated; the contract's documentation is proto/cloudquery/discovery/v0.proto"
)]
#[rustfmt::skip]
#[path = "pb/discovery_v0.rs"]
pub mod discovery_v0;
