//! Replays the fuzz corpora: what fuzzing found once stays found, without a fuzzer at hand.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

/// Runs `target` over its corpus; the last name printed is the input at fault.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 12, "{name} has a corpus worth the name");
    for input in inputs {
        println!("{}", input.display());
        target(&fs::read(input).unwrap());
    }
}

#[test]
fn request_head() {
    replay("request_head", ringway::http::fuzz::request_head);
}

#[test]
fn response_head() {
    replay("response_head", ringway::http::fuzz::response_head);
}

#[test]
fn framing() {
    replay("framing", ringway::http::fuzz::framing);
}

#[test]
fn chunked() {
    replay("chunked", ringway::http::fuzz::chunked);
}

#[test]
fn target() {
    replay("target", ringway::http::fuzz::target);
}

#[test]
fn pairs() {
    replay("pairs", ringway::http::fuzz::pairs);
}

#[test]
fn config() {
    replay("config", ringway::config::fuzz::document);
}

#[test]
fn proxy_header() {
    replay("proxy_header", ringway::wire::fuzz::proxy_header);
}

#[test]
fn client_hello() {
    replay("client_hello", ringway::wire::fuzz::client_hello);
}

#[test]
fn forwarded() {
    replay("forwarded", ringway::http::fuzz::forwarded);
}

#[test]
fn rewriting() {
    replay("rewriting", ringway::http::fuzz::rewriting);
}

#[test]
fn cache_control() {
    replay("cache_control", ringway::http::caching::fuzz::cache_control);
}

#[test]
fn range() {
    replay("range", ringway::http::caching::fuzz::range);
}

#[test]
fn content_range() {
    replay("content_range", ringway::http::caching::fuzz::content_range);
}

#[test]
fn date() {
    replay("date", ringway::http::caching::fuzz::date);
}

#[test]
fn accept_encoding() {
    replay("accept_encoding", ringway::http::fuzz::accept_encoding);
}

#[test]
fn credentials() {
    replay("credentials", ringway::http::fuzz::credentials);
}

#[test]
fn token() {
    replay("token", ringway::proxy::auth::fuzz_token);
}

#[test]
fn htpasswd() {
    replay("htpasswd", ringway::proxy::auth::fuzz_users);
}

#[test]
fn jwks() {
    replay("jwks", ringway::proxy::auth::fuzz_keys);
}

#[test]
fn cache_file() {
    replay("cache_file", ringway::proxy::fuzz_cache_file);
}
