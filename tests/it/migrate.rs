//! The migration engine against real servers: what it creates, what it changes, what it refuses, and who waits for whom.

mod basics;
mod fixture;
