//! Reading a table back as Arrow, the counterpart of `load`.
//!
//! `open` is the transaction and the COPY, `describe` schemas, estimates and lists; what one read does is planned in
//! [`crate::codec::decode`].

mod describe;
pub mod error;
mod open;

pub(crate) use describe::{describe, list};
pub(crate) use open::{Schemas, read};
