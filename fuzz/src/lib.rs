//! Bytes of strangers, given to the functions that read them: what `cargo fuzz` drives (`fuzz_targets/`), and what the test suite
//! drives on stable Rust (`tests/it/fuzz.rs` includes these files).
//!
//! A target takes any bytes and returns. It panics where the program must not do what it did: that is a finding.

pub mod seeds;
pub mod targets;
