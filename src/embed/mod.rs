//! Embeddings: workers that keep chunks and vectors at what the ledger says they should be.
//!
//! Pure: [`split`], [`sections`], [`pack`], [`reply`], [`failure`], [`hash_test`]. Effects: [`provider`] (one HTTP request), `gate` (when to
//! ask), `batch` (some rows from text to vectors), [`Workers`] (the loop). Rows, ledger and vectors are reached through
//! `ingest::ports::embed` alone; nothing here knows SQL, and no transaction is open while a provider is asked.

mod batch;
pub mod failure;
mod gate;
pub mod hash_test;
mod http;
pub mod pack;
pub mod provider;
pub mod reply;
pub mod sections;
pub mod split;
mod until;
mod workers;

pub use until::{Summary, Until};
pub use workers::Workers;
