#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| foghorn::fuzzing::redis(input));
