//! Postgres' binary COPY format as Arrow batches: sans-IO, planned once per read.
//!
//! ```text
//! (columns, fields) --registry--> decoders --TableDecoder: feed(bytes), batch()--> RecordBatch
//! ```
//! A decoder is picked per column from the Postgres type *and the Arrow field asked for*; without a wish the field is that of
//! `type_map`. Bytes may come in pieces that split anywhere. Malformed bytes are an error that names the row, never a
//! panic; a value that the Arrow type cannot hold exactly is one too, never rounded. Nothing here does I/O.
//!
//! How a type is added is in ARCHITECTURE.md.

mod column;
mod cursor;
mod fault;
pub mod plan;
mod registry;
mod table;
pub mod type_map;
mod types;

#[cfg(test)]
mod tests;

pub use fault::{DecodeError, Fault};
pub use plan::{Cast, ReadPlan};
pub use table::{BatchLimits, TableDecoder};
