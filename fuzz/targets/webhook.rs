#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| crustocean::fuzzing::webhook(body));
