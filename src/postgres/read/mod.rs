//! Reading a table back as Arrow, the counterpart of `load`.
//!
//! `open` is the transaction and the COPY, `describe` schemas, estimates and lists, `objects` what there is, as clients of SQL
//! ask for it, `parts` a read that several clients share under one of the `snapshots`; what one read does is planned in
//! [`crate::codec::decode`].

pub(in crate::postgres) mod counted;
mod describe;
pub mod error;
pub(crate) mod objects;
mod open;
mod parts;
mod snapshots;

pub(crate) use describe::{describe, list};
pub(crate) use open::{Schemas, read};
pub(crate) use parts::parts;
pub(crate) use snapshots::Snapshots;
