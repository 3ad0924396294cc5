//! See `tripline_fuzz::line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tripline_fuzz::line::check(data));
