//! See `tripline_fuzz::kql`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tripline_fuzz::kql::check(data));
