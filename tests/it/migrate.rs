//! The migration engine against real servers: what it creates, what it changes, what it refuses, and who waits for whom.

mod basics;
mod cloudquery;
mod concurrency;
mod fixture;
mod forced;
mod laws;
mod special;
mod storage;
mod widening;
