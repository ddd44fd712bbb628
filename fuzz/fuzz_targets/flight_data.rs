//! `cargo fuzz run flight_data`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pgflight_fuzz::targets::flight_data(input));
