#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::http::caching::fuzz::content_range(data));
