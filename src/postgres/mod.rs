//! The Postgres side: how a stream becomes a table.
//!
//! Connections, the catalog, transactions, and the application of plans. What needs no server is made elsewhere: bytes in `codec`,
//! plans and their SQL in `planner`, quoting and the meaning of SQLSTATEs in `sql`. Only this module names tokio-postgres.

pub mod catalog;
pub mod check;
pub mod connect;
pub mod embed;
pub mod error;
pub mod load;
pub mod migrate;
pub mod pool;
pub mod queries;
pub(crate) mod query;
pub mod read;
mod reserved;
mod scope;
pub(crate) mod serial;
pub mod session;
mod state;
mod writable;
