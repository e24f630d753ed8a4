//! Data sets, fuzzed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shs_tests::fuzz::dataset(bytes));
