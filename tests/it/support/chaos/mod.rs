//! A TCP proxy in front of a real PostgreSQL that understands the wire protocol well enough to aim: it cuts, delays,
//! swallows or falls silent at one chosen message, and its trace proves that it did.
//!
//! It forwards bytes unchanged; it never makes up a message. No assertions about pgflight live here.

mod counted;
mod fault;
mod ledger;
mod proxy;
mod stranded;
mod wire;

pub(crate) use counted::{Counted, Passed};
pub(crate) use fault::{Deed, Fault, Point};
pub(crate) use ledger::Shape;
pub(crate) use proxy::Proxy;
