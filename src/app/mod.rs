//! The composition root: the only place that knows every module. Builds the parts from a configuration and runs them.

mod check;
mod commands;
pub mod demo;
pub mod embedded;
mod embeddings;
mod first_look;
mod followers;
mod foreground;
mod health;
mod http_port;
pub mod interrupt;
mod key_source;
pub mod load;
mod open_files;
mod plan;
mod ports;
mod reload;
pub mod serve;
mod serve_error;
mod terminal;
mod traces;
mod unconfigured;

pub use commands::run;
