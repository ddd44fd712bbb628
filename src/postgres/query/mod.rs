//! Statements of clients: described, run in a transaction of their own, read as Arrow.
//!
//! A session that ran a client's statement is closed and never lent again: what the statement left in it (settings, locks,
//! prepared statements) cannot be known. Closing it also ends the work of a statement that nobody reads any more, because the
//! server looks after its client while it works (`client_connection_check_interval`).

mod bound;
mod describe;
mod parameters;
mod run;
mod transaction;

pub(crate) use describe::prepare;
pub(crate) use run::{execute, query};
