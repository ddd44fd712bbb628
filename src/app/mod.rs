//! The composition root: the only place that knows every module. Builds the parts from a configuration and runs them.

mod check;
mod commands;
mod health;
mod load;
pub mod serve;

pub use commands::run;
