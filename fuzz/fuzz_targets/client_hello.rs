#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::wire::fuzz::client_hello(data));
