//! What two parsers could read differently: requests are refused before an origin sees them, and
//! answers never reach a client.

use crate::support::{Client, Origin, Proxy, Setup, ok};

/// The request that an attacker would like to hide in another one's body.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: t\r\n\r\n";

/// Sends `bytes` on a connection of their own; they must be refused with one of `statuses`, and
/// nothing more may come.
#[track_caller]
fn refused(proxy: &Proxy, bytes: &[u8], statuses: &[u16]) -> String {
    let mut client = Client::connect(proxy.address());
    client.send(bytes);
    let answer = client.answer();
    let shown = String::from_utf8_lossy(bytes);
    assert!(statuses.contains(&answer.status()), "{shown:?} got {}", answer.head.start);
    assert!(answer.head.closes(), "{shown:?} is refused without closing");
    assert!(answer.text().starts_with("ringway: client "), "{shown:?}: {}", answer.text());
    client.expect_end();
    answer.text()
}

/// Every request is refused with 400, for `reason`, and the origin gets nothing at all.
fn check_refused(reason: &str, requests: &[&[u8]]) {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    for request in requests {
        let text = refused(&proxy, request, &[400]);
        let shown = String::from_utf8_lossy(request);
        assert!(text.starts_with(&format!("ringway: client {reason}: ")), "{shown:?}: {text}");
    }
    assert_eq!(origin.received(), "");
    let stats = proxy.stats();
    let count = i64::try_from(requests.len()).unwrap();
    assert_eq!(stats.total(&format!("error_client_{reason}")), count);
}

#[test]
fn ambiguous_framing_is_refused() {
    let fields: [&[u8]; 16] = [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 6",
        b"Content-Length: 6\r\nTransfer-Encoding: identity",
        b"Content-Length: 6\r\nContent-Length: 5",
        b"Content-Length: 6, 5",
        b"Content-Length: +6",
        b"Content-Length: -6",
        b"Content-Length: 6a",
        b"Content-Length: 0x6",
        b"Content-Length: 6 6",
        b"Content-Length:",
        b"Content-Length: 18446744073709551616",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: 6;",
        b"Content-Length: \"6\"",
        b"Content-Length: 6,",
    ];
    let body = format!("\r\n\r\n0\r\n\r\n{HIDDEN}");
    let requests: Vec<_> = fields
        .iter()
        .map(|fields| [b"POST / HTTP/1.1\r\nHost: t\r\n", *fields, body.as_bytes()].concat())
        .collect();
    let requests: Vec<_> = requests.iter().map(Vec::as_slice).collect();
    check_refused("bad_framing", &requests);
}

#[test]
fn obfuscated_codings_are_refused() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    let values: [&[u8]; 13] = [
        b"chunked, identity",
        b"chunked\r\nTransfer-Encoding: identity",
        b"chunked, chunked",
        b"xchunked",
        b"chunkedx",
        b"identity",
        b"gzip, chunked",
        b"\"chunked\"",
        b"chunked;q=1",
        b"\x0bchunked",
        b"chunked\x0b",
        b"chunk\xe9d",
        b"",
    ];
    for value in values {
        let head = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: ";
        let bytes = [head, value, b"\r\n\r\n0\r\n\r\n", HIDDEN.as_bytes()].concat();
        refused(&proxy, &bytes, &[400, 501]);
    }
    // RFC 9112 6.1: a coding from a client that cannot know it.
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(&proxy, old.as_bytes(), &[400]);
    assert_eq!(origin.received(), "");
}

#[test]
fn malformed_request_heads_are_refused() {
    check_refused(
        "bad_head",
        &[
            b"GET / HTTP/1.1\nHost: t\n\n",
            b"GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
            b"GET / HTTP/1.1\nHost: t\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n\tfolded\r\n\r\n",
            b"GET / HTTP/1.1\r\n Host: t\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX\0: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: \x01\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX: \x7f\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX\t: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : t\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\n: empty\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX(y): a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: t\r\nX\xc3\xa9: a\r\n\r\n",
            b"\x17\x03\x01\x02\0\x01\0\r\n\r\n",
        ],
    );
}

#[test]
fn malformed_request_lines_are_refused() {
    check_refused(
        "bad_head",
        &[
            b"GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
            b" GET / HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: t\r\n\r\n",
            b"GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET /\r\nHost: t\r\n\r\n",
            b"GET / http/1.1\r\nHost: t\r\n\r\n",
            b"GET / HTTP/1\r\nHost: t\r\n\r\n",
            b"GET / HTTP/11.1\r\nHost: t\r\n\r\n",
            b"GET / HTTP/1.1x\r\nHost: t\r\n\r\n",
            b"G@T / HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET /a\0b HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET /a\x7fb HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET noslash HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET * HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET http:// HTTP/1.1\r\nHost: t\r\n\r\n",
            b"GET http://user@t/ HTTP/1.1\r\nHost: t\r\n\r\n",
        ],
    );
}

#[test]
fn a_missing_or_second_host_is_refused() {
    check_refused(
        "bad_head",
        &[
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a:port\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
        ],
    );
}

#[test]
fn other_versions_and_connect_are_refused() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    refused(&proxy, b"GET / HTTP/2.0\r\nHost: t\r\n\r\n", &[400, 505]);
    refused(&proxy, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]);
    refused(&proxy, b"CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", &[400, 405, 501]);
    assert_eq!(origin.received(), "");
}

#[test]
fn equal_lengths_are_one_length_or_refused() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    for fields in ["Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3"] {
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: t\r\n{fields}\r\n\r\nabc"));
        assert!([200, 400].contains(&answer.status()), "{fields:?}: {}", answer.head.start);
    }
    for request in origin.requests() {
        assert_eq!(
            (request.head.get("content-length"), request.text().as_str()),
            (Some("3"), "abc")
        );
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let bodies: [&[u8]; 23] = [
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5h\r\nhello\r\n0\r\n\r\n",
        b"5,5\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\0b\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\n\r\n",
        b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        b"5\r\nhello\r\n0\r\nnocolon\r\n\r\n",
        long.as_bytes(),
    ];
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    for body in bodies {
        let head = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
        let text = refused(&proxy, &[head, body, HIDDEN.as_bytes()].concat(), &[400]);
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        assert!(text.starts_with("ringway: client bad_body: "), "{shown:?}: {text}");
    }
    // A head may have gone up before its body turned out bad, but never as a whole request.
    assert_eq!(origin.requests().len(), 0);
    assert!(!origin.received().contains("hidden"), "{:?}", origin.received());
    proxy.wait_idle();
}

#[test]
fn a_body_that_turns_bad_later_is_cut_upstream() {
    let origin = Origin::saying("must not answer");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    crate::support::eventually("the origin gets the first chunk", || {
        origin.received().contains("hello")
    });
    client.send(format!("zz\r\n\r\n0\r\n\r\n{HIDDEN}"));
    client.answer().expect_error(400, "client", "bad_body");
    client.expect_end();
    origin.wait_all_closed();
    assert_eq!(origin.requests().len(), 0);
    assert!(!origin.received().contains("hidden"), "{:?}", origin.received());
}

#[test]
fn requests_before_a_bad_one_are_answered() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let good = "GET /good HTTP/1.1\r\nHost: t\r\n\r\n";
    client.send(format!("{good}GET /bad HTTP/1.1\nHost: t\r\n\r\n{HIDDEN}"));
    assert_eq!(client.answer().text(), "/good");
    client.answer().expect_error(400, "client", "bad_head");
    client.expect_end();
    assert_eq!(origin.only_request().head.target(), "/good");
}

#[test]
fn what_follows_a_body_is_the_next_request() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client
        .send(format!("POST /first HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody{HIDDEN}"));
    assert_eq!(client.answer().text(), "/first");
    assert_eq!(client.answer().text(), "/hidden");
    assert_eq!(origin.requests()[0].text(), "body");
}

#[test]
fn field_values_keep_odd_but_legal_bytes() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send(b"GET / HTTP/1.1\r\nHost: t\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nX-Tab: a\tb\r\n");
    assert_eq!(client.ask("X-Pad: \t  v \t\r\n\r\n").status(), 200);
    let request = origin.only_request();
    assert!(request.head.raw.windows(5).any(|bytes| bytes == b"caf\xe9\r"));
    assert_eq!(request.head.get("x-empty"), Some(""));
    assert_eq!(request.head.get("x-tab"), Some("a\tb"));
    assert_eq!(request.head.get("x-pad"), Some("v"));
}
