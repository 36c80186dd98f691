#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ringway::proxy::auth::fuzz_users(data));
