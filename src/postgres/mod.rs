//! Everything that knows Postgres. The pure half (`copy`, SQL text, migration planning) does no I/O.

pub mod connect;
pub mod copy;
