//! What a `HEAD` tells the cache of what is stored (RFC 9111 4.3.5).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::cache::{cached, status};
use crate::support::{Client, Message, Origin, Proxy};

/// An origin that gives its first answer to everybody, and then others, by method.
fn changing(first: &'static str, head: &'static str, get: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::serving(move |request| {
        let first_time = count.fetch_add(1, Ordering::SeqCst) == 0;
        let method = request.head.method();
        let answer = match method {
            _ if first_time => first,
            "HEAD" => head,
            _ => get,
        };
        answer.as_bytes().to_vec()
    })
}

fn ask(proxy: &Proxy, method: &str, fields: &str) -> Message {
    let mut client = Client::connect(proxy.address());
    client.send(format!("{method} /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    client.answer_to(method)
}

const STALE: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nETag: \"a\"\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn a_head_of_the_same_renews_what_is_stored() {
    for (head, validated) in [
        ("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nX-A: 9\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-A: 9\r\n\r\n", false),
        (
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-A: 9\r\nETag: \"a\"\r\nContent-Length: 3\r\n\r\n",
            false,
        ),
    ] {
        let origin = changing(STALE, head, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        let proxy = cached(&origin, "");
        // On one connection, and so by one worker.
        let mut client = Client::connect(proxy.address());
        let mut ask = |method: &str| {
            client.send(format!("{method} /a HTTP/1.1\r\nHost: t\r\n\r\n"));
            client.answer_to(method)
        };
        assert_eq!(ask("GET").text(), "abc");
        let renewed = ask("HEAD");
        let told = status(&renewed);
        assert!(told.starts_with("ringway; fwd=stale") && told.contains("stored"), "{told}");
        assert_eq!(told.contains("fwd-status=304"), validated, "{told}");
        for answer in [renewed, ask("GET"), ask("HEAD")] {
            assert_eq!((answer.head.get("x-a"), answer.head.get("x-b")), (Some("9"), Some("2")));
            assert_eq!(answer.head.get("content-length"), Some("3"), "{head}");
        }
        let asked = origin.requests();
        assert_eq!((asked.len(), asked[1].head.method()), (2, "HEAD"), "{head}");
        assert_eq!(asked[1].head.get("if-none-match"), Some("\"a\""));
        // The member's connection goes on behind it.
        assert_eq!(client.get("/b").status(), 500);
        assert_eq!((origin.requests().len(), origin.connections()), (3, 1), "{head}");
        drop(client);
        proxy.wait_idle();
    }
}

#[test]
fn a_head_of_something_else_makes_it_stale() {
    for head in [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"b\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\n",
    ] {
        let fresh = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\nContent-Length: 3\r\n\r\nabc";
        let get = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nabcd";
        let origin = changing(fresh, head, get);
        let proxy = cached(&origin, "");
        assert_eq!(ask(&proxy, "GET", "").text(), "abc");
        // The client insists.
        let told = ask(&proxy, "HEAD", "Cache-Control: no-cache\r\n");
        assert_eq!((told.status(), &*status(&told)), (200, "ringway; fwd=request"), "{head}");
        assert_eq!(told.head.get("age"), None, "{head}");
        assert_eq!(ask(&proxy, "GET", "").text(), "abcd", "{head}");
        assert_eq!(ask(&proxy, "GET", "").text(), "abcd", "{head}");
        assert_eq!(origin.requests().len(), 3, "{head}");
    }
}

#[test]
fn other_answers_to_a_head_change_nothing() {
    let gone =
        "HTTP/1.1 410 Gone\r\nCache-Control: max-age=60\r\nX-A: 9\r\nContent-Length: 3\r\n\r\n";
    let origin = changing(STALE, gone, "HTTP/1.1 304 Not Modified\r\n\r\n");
    let proxy = cached(&origin, "");
    assert_eq!(ask(&proxy, "GET", "").text(), "abc");
    let told = ask(&proxy, "HEAD", "");
    assert_eq!((told.status(), told.head.get("x-a")), (410, Some("9")));
    let got = ask(&proxy, "GET", "");
    assert_eq!((got.status(), got.text().as_str(), got.head.get("x-a")), (200, "abc", Some("1")));
}

#[test]
fn a_head_is_answered_stale_where_the_pool_has_no_answer() {
    let broken = "HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n";
    let origin = changing(STALE, broken, broken);
    let proxy = cached(&origin, "");
    assert_eq!(ask(&proxy, "GET", "").text(), "abc");
    let told = ask(&proxy, "HEAD", "");
    assert_eq!((told.status(), told.head.get("content-length")), (200, Some("3")));
    assert_eq!(told.head.get("x-a"), Some("1"));
}

/// What a `HEAD` brings has no body, and must not be stored as if it were the answer to a `GET`.
#[test]
fn a_head_never_takes_the_place_of_a_body() {
    let stale = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=600\r\nContent-Length: 3\r\n\r\nabc";
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\n";
    let origin = changing(stale, head, stale);
    let proxy = cached(&origin, "");
    assert_eq!(ask(&proxy, "GET", "").text(), "abc");
    let told = ask(&proxy, "HEAD", "");
    assert_eq!((told.status(), told.head.get("content-length")), (200, Some("3")));
    assert!(status(&told).starts_with("ringway; hit"), "{told:?}");
    proxy.wait_idle();
    for _ in 0..3 {
        let got = ask(&proxy, "GET", "");
        assert_eq!((got.text().as_str(), got.head.get("content-length")), ("abc", Some("3")));
    }
}
