//! Embeddings: workers that keep chunks and vectors at what the ledger says they should be.
//!
//! Pure: [`split`], [`sections`], [`pack`], [`reply`], [`failure`], [`hash_test`]. Effects: [`provider`] (one request, by `openai`, `http` and
//! `connect`), `gate` (when to ask), `batch` (some rows from text to vectors), [`Workers`] (the loop). Rows, ledger and vectors are reached through
//! `ingest::ports::embed` alone; nothing here knows SQL, and no transaction is open while a provider is asked.

mod ask;
mod batch;
mod connect;
pub mod failure;
mod gate;
pub mod hash_test;
pub mod http;
mod openai;
pub mod pack;
pub mod provider;
pub mod reply;
pub mod sections;
pub mod split;
mod until;
mod watch;
mod workers;

pub use http::document;
pub use until::{Summary, Until};
pub use workers::Workers;
