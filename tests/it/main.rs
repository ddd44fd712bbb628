//! The one integration binary: everything here runs against a real PostgreSQL that `support::cluster` starts.

mod architecture;
mod harness;
mod migrate;
mod support;
