//! `cargo fuzz run cloudquery_write`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pgflight_fuzz::targets::cloudquery_write(input));
