//! The one integration binary: everything here runs against a real PostgreSQL that `support::cluster` starts.

mod architecture;
mod check;
mod cloudquery;
mod config;
mod demo;
mod embed;
mod faults;
mod flight_access;
mod flight_put;
mod flight_refusals;
mod harness;
mod limits;
mod load;
mod memory;
mod migrate;
mod packaging;
mod plan;
mod promises;
mod python_clients;
mod read;
mod roundtrip;
mod sql_files;
mod streams;
mod support;
mod tls;
mod write_modes;
