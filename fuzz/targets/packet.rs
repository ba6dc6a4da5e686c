#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| crustocean::fuzzing::packet(text));
