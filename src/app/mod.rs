//! The composition root: the only place that knows every module. Builds the parts from a configuration and runs them.

mod check;
mod commands;
mod health;
pub mod serve;

pub use commands::run;
