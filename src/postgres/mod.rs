//! Everything that knows Postgres. The pure half (`copy`, SQL text, migration planning) does no I/O.

pub mod catalog;
pub mod check;
pub mod connect;
pub mod copy;
pub mod migrate;
pub mod queries;
pub mod sql;
