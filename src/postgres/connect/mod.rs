//! From a connection string to a connection, with libpq's meaning of every parameter.
//!
//! [`ConnectPlan::new`] decides everything that can be decided without the network: parameters from string, service file,
//! `PG*` environment and password file, hosts in order, TLS. [`Connector`] then connects. Our own and pgx's parameters are
//! taken out before the rest goes to the driver, which refuses what it does not know. Nothing here pools or retries.

mod connector;
mod error;
mod flow;
mod greeting;
mod metered;
mod options;
mod parameters;
mod passfile;
mod plan;
mod sslmode;
#[cfg(test)]
mod tests;
mod tls;
mod verifier;
mod wire;

pub use connector::{Connected, Connector, PgConnection};
pub use error::ConnectError;
pub(crate) use flow::Rows;
pub use flow::{Flow, RowRoom};
pub use greeting::greeted_by;
pub(crate) use options::runtime_parameters;
pub use plan::{ConnectPlan, PoolHints, SessionAttrs, Target};
pub use sslmode::SslMode;
pub use tls::TlsChoice;
