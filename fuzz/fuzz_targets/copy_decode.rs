//! `cargo fuzz run copy_decode`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pgflight_fuzz::targets::copy_decode(input));
