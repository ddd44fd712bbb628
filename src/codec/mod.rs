//! Arrow and Postgres' binary COPY format, both ways: sans-IO, planned once per stream, bound once per batch.
//!
//! [`encode`] writes what a load brings, [`decode`] reads what a table holds; what both know of the format is in `wire`. A plan picks
//! one rule per column from the Arrow type and the Postgres type, and a pair without an exact rule is refused before any row. Nothing
//! here does I/O, knows a clock, or rounds a value. Forms of values outside both formats (texts, WKB, Parquet variants) are
//! `literal`'s.

pub mod decode;
pub mod encode;
mod wire;

pub use wire::{HEADER, TRAILER};
