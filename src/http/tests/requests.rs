//! Requests that are accepted, and what is said of them.

use super::*;

fn accepted(text: &str) -> RequestHead {
    request(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// A line without its version; form, authority, host, path and query.
type TargetCase =
    (&'static str, TargetForm, &'static str, &'static str, &'static str, Option<&'static str>);

#[test]
fn targets() {
    let cases: &[TargetCase] = &[
        ("GET /", TargetForm::Origin, "h:1", "h", "/", None),
        ("GET /a?", TargetForm::Origin, "h:1", "h", "/a", Some("")),
        ("GET /a?b?c", TargetForm::Origin, "h:1", "h", "/a", Some("b?c")),
        ("GET //a//b/", TargetForm::Origin, "h:1", "h", "//a//b/", None),
        ("GET /?/../%zz", TargetForm::Origin, "h:1", "h", "/", Some("/../%zz")),
        ("GET /a|b\"{}[]^`<>", TargetForm::Origin, "h:1", "h", "/a|b\"{}[]^`<>", None),
        ("GET /http://x/", TargetForm::Origin, "h:1", "h", "/http://x/", None),
        ("GET http://X.y/a?b", TargetForm::Absolute, "X.y", "x.y", "/a", Some("b")),
        ("GET HTTPS://x:8", TargetForm::Absolute, "x:8", "x", "/", None),
        ("GET http://x?q", TargetForm::Absolute, "x", "x", "/", Some("q")),
        ("GET http://x/%7E/.", TargetForm::Absolute, "x", "x", "/~/", None),
        ("GET http://[::A]:1/", TargetForm::Absolute, "[::A]:1", "[::a]", "/", None),
        ("OPTIONS *", TargetForm::Asterisk, "h:1", "h", "*", None),
        ("OPTIONS http://x", TargetForm::Absolute, "x", "x", "*", None),
        ("OPTIONS http://x/", TargetForm::Absolute, "x", "x", "/", None),
        ("OPTIONS http://x?", TargetForm::Absolute, "x", "x", "/", Some("")),
        ("CONNECT X:443", TargetForm::Authority, "X:443", "x", "", None),
        ("CONNECT [::1]:443", TargetForm::Authority, "[::1]:443", "[::1]", "", None),
    ];
    for &(line, form, authority, host, path, query) in cases {
        let head = accepted(&format!("{line} HTTP/1.1\r\nHost: h:1\r\n\r\n"));
        assert_eq!(head.target_form(), form, "{line}");
        assert_eq!(head.authority(), authority.as_bytes(), "{line}");
        assert_eq!(head.host(), host.as_bytes(), "{line}");
        assert_eq!(head.path(), path.as_bytes(), "{line}");
        assert_eq!(head.query(), query.map(str::as_bytes), "{line}");
        assert_eq!(head.target_bytes(), line.split_once(' ').unwrap().1.as_bytes());
    }
    let scheme = |line| accepted(&format!("GET {line} HTTP/1.1\r\nHost: h\r\n\r\n")).scheme();
    assert_eq!(scheme("/"), None);
    assert_eq!(scheme("hTTp://a"), Some(Scheme::Http));
    assert_eq!(scheme("https://a"), Some(Scheme::Https));
}

#[test]
fn hosts() {
    let cases = [
        ("Host: A.Example\r\n", "A.Example", "a.example", None),
        ("Host:a:80\r\n", "a:80", "a", Some(80)),
        ("host: \t a.b. \t\r\n", "a.b.", "a.b", None),
        ("HOST: A.B.:80\r\n", "A.B.:80", "a.b", Some(80)),
        ("Host: [::1]:80\r\n", "[::1]:80", "[::1]", Some(80)),
    ];
    for (line, authority, host, port) in cases {
        let head = accepted(&format!("GET / HTTP/1.1\r\n{line}\r\n"));
        assert_eq!((head.authority(), head.host()), (authority.as_bytes(), host.as_bytes()));
        assert_eq!(head.port(), port, "{line}");
    }
    let head = accepted("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((head.authority(), head.host(), head.port()), (&b""[..], &b""[..], None));
}

#[test]
fn methods_and_versions() {
    let head = accepted("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        (head.method(), head.method_bytes()),
        (Method::Other, &b"!#$%&'*+-.^_`|~09azAZ"[..])
    );
    let head = accepted(&format!("{} / HTTP/1.0\r\n\r\n", "M".repeat(32)));
    assert_eq!((head.method_bytes().len(), head.version()), (32, Version::Http10));
    assert_eq!(accepted("DELETE / HTTP/1.0\r\n\r\n").method(), Method::Delete);
    // A later minor version is read as the last that we know (RFC 9110 2.5).
    for minor in 1..=9 {
        let head = accepted(&format!("GET / HTTP/1.{minor}\r\nHost: h\r\n\r\n"));
        assert_eq!((head.version(), head.path()), (Version::Http11, &b"/"[..]), "1.{minor}");
    }
}

#[test]
fn empty_lines_before_the_request_count_as_consumed() {
    for empty in 0..=2 {
        let text = format!("{}GET /a/../b HTTP/1.1\r\nHost: H\r\n\r\nnext", "\r\n".repeat(empty));
        let mut head = RequestHead::new();
        let parsed = head.parse(text.as_bytes(), &LIMITS);
        assert_eq!(parsed, Ok(Parsed::Complete(text.len() - 4)));
        assert_eq!((head.path(), head.host()), (&b"/b"[..], &b"h"[..]));
    }
}

#[test]
fn what_the_connection_does_next() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Keep-Alive, CLOSE\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Proxy-Connection: close\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ];
    for (version, fields, expected) in cases {
        let head = accepted(&format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(head.wants_keep_alive(), expected, "{version} {fields}");
    }
}

#[test]
fn expectations_and_upgrades() {
    let with = |version: &str, fields: &str| {
        accepted(&format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"))
    };
    assert!(with("1.1", "Expect: 100-Continue\r\n").expects_continue());
    assert!(!with("1.0", "Expect: 100-continue\r\n").expects_continue());
    assert!(!with("1.1", "Expect: 100-continue, x\r\n").expects_continue());
    for (fields, expected) in [
        ("", false),
        ("Expect:\r\n", false),
        ("Expect: 100-continue\r\n", false),
        ("Expect: ,100-Continue ,\r\nExpect: 100-continue\r\n", false),
        ("Expect: 100-continue, x\r\n", true),
        ("Expect: 100-continue\r\nExpect: x\r\n", true),
        ("Expect: x 100-continue\r\n", true),
        ("Expect: 100-continue;a=b\r\n", true),
        ("Expect: \"100-continue\"\r\n", true),
    ] {
        assert_eq!(with("1.1", fields).expects_more(), expected, "{fields}");
        assert!(!with("1.0", fields).expects_more());
    }

    let websocket = "Connection: x, Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(with("1.1", websocket).upgrade(), Some(&b"websocket"[..]));
    assert_eq!(with("1.0", websocket).upgrade(), None);
    assert_eq!(with("1.1", "Upgrade: websocket\r\n").upgrade(), None);
    assert_eq!(with("1.1", "Connection: upgrade\r\n").upgrade(), None);
    assert_eq!(with("1.1", "Connection: upgrade\r\nUpgrade:\r\n").upgrade(), None);
    let twice = format!("{websocket}Upgrade: h2c\r\n");
    assert_eq!(with("1.1", &twice).upgrade(), None);
}

#[test]
fn how_far_a_request_may_go() {
    let count = |method: &str, fields: &str| {
        accepted(&format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).max_forwards()
    };
    for method in ["OPTIONS", "TRACE"] {
        assert_eq!(count(method, ""), None);
        assert_eq!(count(method, "Max-Forwards: 0\r\n"), Some(0));
        assert_eq!(count(method, "MAX-FORWARDS: 010\r\n"), Some(10));
        assert_eq!(count(method, "Max-Forwards: 99999999999999999999\r\n"), Some(u64::MAX));
        for value in ["", "-1", "1,0", "x", "1 0"] {
            assert_eq!(count(method, &format!("Max-Forwards: {value}\r\n")), None, "{value}");
        }
    }
    assert_eq!(count("GET", "Max-Forwards: 0\r\n"), None);
}

#[test]
fn fields_that_end_here() {
    let head = accepted(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: a\r\nProxy-Authenticate: a\r\nProxy-Authorization: a\r\nTE: trailers\r\n\
         Trailer: a\r\nTransfer-Encoding: chunked\r\nUpgrade: a\r\nx-hop: a\r\nX-End: a\r\n\
         Cookie: a\r\nX-Forwarded-For: a\r\n\r\n",
    );
    let on: Vec<&[u8]> =
        head.fields().filter(|f| !head.is_hop_by_hop(f)).map(|f| f.name_bytes).collect();
    assert_eq!(on, [&b"Host"[..], b"X-End", b"Cookie", b"X-Forwarded-For"]);
}

/// Nothing of a head shines through in the next, and a warm head keeps its buffers.
#[test]
fn a_head_is_reused() {
    let mut head = RequestHead::new();
    let first =
        b"OPTIONS HTTPS://A.b:1/%7e?q HTTP/1.1\r\nHost: c\r\nConnection: close, x\r\nX: y\r\n\r\n";
    let second = b"GET / HTTP/1.0\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(head.parse(first, &LIMITS), Ok(Parsed::Complete(first.len())));
        head.clear();
        assert_eq!((head.path(), head.host(), head.fields().len()), (&b""[..], &b""[..], 0));
        assert_eq!(head.parse(second, &LIMITS), Ok(Parsed::Complete(second.len())));
        assert_eq!((head.method(), head.path(), head.query()), (Method::Get, &b"/"[..], None));
        assert_eq!(
            (head.scheme(), head.authority(), head.value(Name::Host)),
            (None, &b""[..], None)
        );
        assert_eq!(head.connection(), ConnectionOptions::default());
    }
    head.shrink_to(0);
    assert_eq!(head.parse(first, &LIMITS), Ok(Parsed::Complete(first.len())));
    assert_eq!(head.path(), b"/~");
}
