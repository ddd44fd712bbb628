//! The migration engine against real servers: what it creates, what it changes, what it refuses, and who waits for whom.

mod basics;
mod changed;
mod cloudquery;
mod concurrency;
mod door;
mod fixture;
mod forced;
mod held;
mod history;
mod kept;
mod laws;
mod special;
mod storage;
mod torn;
mod widening;
