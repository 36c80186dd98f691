#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::proxy::fuzz_cache_file(data));
