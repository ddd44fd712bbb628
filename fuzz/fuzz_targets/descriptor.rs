//! `cargo fuzz run descriptor`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pgflight_fuzz::targets::descriptor_and_ticket(input));
