//! Encoded forms that are kept beside what is stored: made once, told by their length, and gone with it.

use std::thread;

use super::cache::status;
use crate::support::coding::{decode, json};
use crate::support::message::{Framing, Message, answer_with};
use crate::support::{Client, Origin, Proxy, Setup, client::exchange, eventually};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// An origin whose one answer has this body and `Cache-Control`; 304 to who has it.
fn storing(body: Vec<u8>, control: &'static str) -> Origin {
    Origin::serving(move |request| {
        let fields =
            [("Cache-Control", control), ("Content-Type", "application/json"), ("ETag", "\"e\"")];
        match request.head.get("if-none-match") {
            Some("\"e\"") => {
                b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nCache-Control: no-cache\r\n\r\n"
                    .to_vec()
            }
            _ => answer_with("200 OK", &fields, &body),
        }
    })
}

fn setup(origin: &Origin, compress: &str) -> Setup {
    let route = format!("cache = {{ status_header = true }}\ncompress = {{ {compress} }}");
    Setup::to(&[origin]).route(route)
}

fn ask(method: &str, coding: &str, more: &str) -> String {
    format!("{method} /a HTTP/1.1\r\nHost: t\r\nAccept-Encoding: {coding}\r\n{more}\r\n")
}

fn get(proxy: &Proxy, coding: &str, more: &str) -> Message {
    exchange(proxy.address(), ask("GET", coding, more))
}

/// The answer is the whole body, encoded, and says how long it is.
#[track_caller]
fn expect_kept(answer: &Message, coding: &str, body: &[u8]) {
    assert_eq!((answer.status(), answer.head.get("content-encoding")), (200, Some(coding)));
    assert_eq!(answer.head.get("content-length"), Some(&*answer.body.len().to_string()));
    assert_eq!(answer.head.get("transfer-encoding"), None);
    assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
    assert_eq!(answer.head.get("etag"), Some("W/\"e\""));
    assert!(decode(coding, &answer.body) == (body.to_vec(), true), "{coding}");
}

/// The same, once it was made: on a busy machine that may take longer than anybody waits for it. How
/// many answers were encoded for themselves meanwhile.
#[track_caller]
fn expect_kept_soon(proxy: &Proxy, coding: &str, body: &[u8]) -> i64 {
    let mut others = 0;
    loop {
        let answer = get(proxy, coding, "");
        if answer.head.get("content-length").is_some() {
            expect_kept(&answer, coding, body);
            return others;
        }
        expect_made_anew(&answer, coding, body);
        others += 1;
    }
}

#[test]
fn every_form_is_made_once_by_the_first_hit() {
    let body = json(12_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").start();
    get(&proxy, "identity", "");
    let bytes = |proxy: &Proxy| proxy.stats().total("cache_bytes");
    eventually("the answer is counted", || bytes(&proxy) > 12_000);
    let plain = bytes(&proxy);
    let mut kept = 0;
    for coding in CODINGS {
        let first = get(&proxy, coding, "");
        expect_kept(&first, coding, &body);
        assert!(status(&first).starts_with("ringway; hit; ttl="), "{first:?}");
        for _ in 0..6 {
            let next = get(&proxy, coding, "");
            expect_kept(&next, coding, &body);
            assert!(next.body == first.body);
        }
        kept += first.body.len() as i64;
    }
    assert_eq!(origin.requests().len(), 1);
    proxy.wait_stat("cache_encoded_hits", 21);
    let stats = proxy.stats();
    assert_eq!((stats.total("cache_encodings"), stats.total("cache_encoding_bytes")), (3, kept));
    for coding in CODINGS {
        assert_eq!(stats.total(&format!("compress_{coding}")), 0);
    }
    eventually("they are counted, too", || bytes(&proxy) >= plain + kept);
    assert!(bytes(&proxy) < plain + kept + 1000);
    proxy.wait_stat("compress_active", 0);
}

#[test]
fn every_kind_of_request_is_answered_as_before() {
    let body = json(12_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").start();
    get(&proxy, "identity", "");
    let coded = get(&proxy, "gzip", "").body;
    let mut client = Client::connect(proxy.address());
    client.send(ask("HEAD", "gzip", ""));
    let head = client.answer_to("HEAD").head;
    assert_eq!(head.get("content-length"), Some(&*coded.len().to_string()));
    assert_eq!(head.get("content-encoding"), Some("gzip"));
    // The length of a form that nobody has made is not known.
    client.send(ask("HEAD", "br", ""));
    let head = client.answer_to("HEAD").head;
    assert_eq!((head.get("content-length"), head.get("content-encoding")), (None, Some("br")));
    client.send(ask("GET", "gzip", "If-None-Match: W/\"e\"\r\n"));
    let had = client.answer();
    assert_eq!((had.status(), had.head.get("etag")), (304, Some("W/\"e\"")));
    let part = client.ask(ask("GET", "gzip", "Range: bytes=5-9\r\n"));
    assert_eq!((part.status(), &part.body[..]), (206, &body[5..10]));
    assert_eq!(part.head.get("content-encoding"), None);
    let plain = client.ask(ask("GET", "identity", ""));
    assert!(plain.body == body && plain.head.get("etag") == Some("\"e\""));
    // An old client can go on, too: it is told the length.
    let old =
        "GET /a HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n";
    for _ in 0..2 {
        expect_kept(&client.ask(old), "gzip", &body);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_crowd_has_one_form_made() {
    let body = json(200_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "stored = { br_level = 7 }").start();
    get(&proxy, "identity", "");
    let others: i64 = thread::scope(|scope| {
        let ask = || (0..3).map(|_| expect_kept_soon(&proxy, "br", &body)).sum::<i64>();
        let crowd: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        crowd.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    proxy.wait_stat("cache_encoded_hits", 48);
    proxy.wait_stat("compress_br", others);
    assert_eq!(proxy.stats().total("cache_encodings"), 1);
}

#[test]
fn nobody_waits_for_a_large_form() {
    let body = json(3 << 20);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").start();
    get(&proxy, "identity", "");
    let first = get(&proxy, "zstd", "");
    assert_eq!(first.head.answer_framing("GET"), Framing::Chunked);
    assert!(decode("zstd", &first.body) == (body.clone(), true));
    proxy.wait_stat("cache_encodings", 1);
    let mut client = Client::connect_narrow(proxy.address(), 4096);
    for _ in 0..2 {
        expect_kept(&client.ask(ask("GET", "zstd", "")), "zstd", &body);
    }
}

#[test]
fn a_body_that_was_validated_keeps_its_forms() {
    let body = json(12_000);
    let origin = storing(body.clone(), "no-cache");
    let proxy = setup(&origin, "").start();
    let first = get(&proxy, "gzip", "");
    assert_eq!(first.head.answer_framing("GET"), Framing::Chunked);
    for _ in 0..4 {
        let next = get(&proxy, "gzip", "");
        expect_kept(&next, "gzip", &body);
        assert!(status(&next).contains("fwd-status=304"), "{next:?}");
    }
    assert_eq!(origin.requests().len(), 5);
    assert_eq!(proxy.stats().total("cache_encodings"), 1);
}

#[test]
fn a_form_that_is_no_smaller_is_not_kept() {
    let mut state = 7u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(30_000)
    .collect();
    let origin = storing(noise.clone(), "max-age=60");
    let proxy = setup(&origin, "").start();
    get(&proxy, "identity", "");
    for coding in CODINGS {
        for _ in 0..2 {
            let answer = get(&proxy, coding, "");
            assert!(answer.body == noise, "{coding}");
            assert_eq!(answer.head.get("content-encoding"), None);
            assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.head.get("etag"), Some("\"e\""));
        }
    }
    proxy.wait_stat("compress_useless", 6);
    assert_eq!(proxy.stats().total("cache_encodings"), 0);
}

#[test]
fn nothing_is_kept_where_that_is_off() {
    let body = json(12_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "stored = \"off\"").start();
    get(&proxy, "identity", "");
    for _ in 0..3 {
        expect_made_anew(&get(&proxy, "gzip", ""), "gzip", &body);
    }
    proxy.wait_stat("compress_gzip", 3);
    assert_eq!(proxy.stats().total("cache_encodings"), 0);
}

#[track_caller]
fn expect_made_anew(answer: &Message, coding: &str, body: &[u8]) {
    assert!(status(answer).starts_with("ringway; hit"), "{answer:?}");
    assert_eq!(answer.head.answer_framing("GET"), Framing::Chunked);
    assert!(decode(coding, &answer.body) == (body.to_vec(), true), "{coding}");
}

/// What is stored takes half of the store at the most, with its forms.
#[test]
fn forms_are_kept_as_long_as_there_is_room() {
    let body = json(250_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").server("cache = { memory = \"1MiB\" }").start();
    get(&proxy, "identity", "");
    for _ in 0..3 {
        expect_kept_soon(&proxy, "gzip", &body);
        expect_made_anew(&get(&proxy, "br", ""), "br", &body);
    }
    proxy.wait_stat("compress_br", 3);
    assert_eq!(proxy.stats().total("cache_encodings"), 1);
}

#[test]
fn one_encoder_is_enough() {
    let body = json(12_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").limits("encoders = 1").workers(1).start();
    get(&proxy, "identity", "");
    for coding in CODINGS {
        expect_kept(&get(&proxy, coding, ""), coding, &body);
    }
    assert_eq!(proxy.stats().total("compress_busy"), 0);
}

#[test]
fn what_is_purged_takes_its_forms_along() {
    let body = json(12_000);
    let origin = storing(body.clone(), "max-age=60");
    let proxy = setup(&origin, "").start();
    get(&proxy, "identity", "");
    expect_kept(&get(&proxy, "gzip", ""), "gzip", &body);
    // Succeeds, and so invalidates.
    exchange(proxy.address(), "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    eventually("nothing is left", || proxy.stats().total("cache_bytes") < 2000);
    assert!(status(&get(&proxy, "gzip", "")).contains("fwd=uri-miss"));
}
