//! The Flight door: plain DoPut with PATH and JSON CMD descriptors, DoGet and the descriptions
//! of tables, in front of everything else that Flight offers.

pub mod action;
mod answers;
mod context;
pub mod decode;
mod described;
pub mod descriptor;
pub mod front;
pub mod get;
mod json_words;
mod migrate;
mod parts;
pub mod pump;
pub mod put;
pub mod result;
pub(crate) mod room;
mod sql;
pub mod stream;
pub mod ticket;
