#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::wire::fuzz::proxy_header(data));
