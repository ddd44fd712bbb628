//! `cargo fuzz run dsn`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pgflight_fuzz::targets::connection_string(input));
