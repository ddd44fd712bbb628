//! Puts of a row or a few: what they ask of Postgres, and that they promise no less than large ones.

mod known;
mod together;
mod trips;
