//! Reading a table back as Arrow, the counterpart of `copy` and `load`.
//!
//! Pure half: [`decode`] (COPY BINARY to batches), [`type_map`] (which field a column is read as), [`plan`] (what one read
//! does). Effect half: `open` (the transaction and the COPY), `describe` (schemas, estimates, lists).

pub mod decode;
mod describe;
pub mod error;
mod open;
pub mod plan;
pub mod type_map;

pub(crate) use describe::{describe, list};
pub(crate) use open::{Schemas, read};
