//! Which answers are encoded, and what that makes of their heads.

use crate::support::coding::{decode, json};
use crate::support::message::Head;
use crate::support::{Client, Origin, Setup, answer_with};

const ON: &str = "compress = [\"br\", \"gzip\"]";
const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

/// Fields as they came, but for those of the connection.
fn fields(head: &Head) -> Vec<(&str, &str)> {
    let own = ["connection", "transfer-encoding"];
    let fields = head.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fields.filter(|(name, _)| !own.iter().any(|own| name.eq_ignore_ascii_case(own))).collect()
}

/// An origin that answers everything like this, HEAD without the body.
fn answering(status: &str, given: &[(&str, &str)], length: usize) -> Origin {
    let whole = answer_with(status, given, &json(length));
    Origin::serving(move |request| {
        let end = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let end = if request.head.method() == "HEAD" { end } else { whole.len() };
        whole[..end].to_vec()
    })
}

#[test]
fn fields_of_an_encoded_answer_and_the_same_to_head() {
    let given = [
        JSON,
        ("Date", "Thu, 26 Nov 2026 12:00:01 GMT"),
        ("Vary", "Origin"),
        ("ETag", "\"abc\""),
        ("X-First", "1"),
        ("Accept-Ranges", "bytes"),
        ("Content-MD5", "x"),
        ("Content-Digest", "sha-256=:x:"),
        ("Repr-Digest", "sha-256=:x:"),
        ("Digest", "sha-256=x"),
        ("vary", "X-Tenant, X-User"),
        ("Last-Modified", "Thu, 26 Nov 2026 12:00:00 GMT"),
    ];
    let expected = [
        JSON,
        ("Date", "Thu, 26 Nov 2026 12:00:01 GMT"),
        ("X-First", "1"),
        ("Last-Modified", "Thu, 26 Nov 2026 12:00:00 GMT"),
        ("Content-Encoding", "gzip"),
        ("ETag", "W/\"abc\""),
        ("Vary", "Origin, X-Tenant, X-User, Accept-Encoding"),
    ];
    let origin = answering("200 OK", &given, 3000);
    let proxy = Setup::to(&[&origin]).route(ON).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(fields(&answer.head), expected);
    assert_eq!(decode("gzip", &answer.body).0, json(3000));
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = client.answer_to("HEAD").head;
    assert_eq!(fields(&head), expected);
    // Members get the request as it is: they may encode by themselves.
    assert_eq!(origin.requests()[0].head.get("accept-encoding"), Some("gzip"));
}

/// The request's fields, the answer's, and the coding or the counter of why there is none.
type Case =
    (&'static str, &'static [(&'static str, &'static str)], Result<&'static str, &'static str>);

#[test]
fn which_answers_are_encoded() {
    const GZIP: &str = "Accept-Encoding: gzip\r\n";
    let cases: [Case; 27] = [
        (GZIP, &[JSON], Ok("gzip")),
        ("Accept-Encoding: gzip, br\r\n", &[JSON], Ok("br")),
        ("Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", &[JSON], Ok("br")),
        ("Accept-Encoding: gzip, br;q=0.5\r\n", &[JSON], Ok("gzip")),
        ("Accept-Encoding: *\r\n", &[JSON], Ok("br")),
        ("Accept-Encoding: x-gzip\r\n", &[JSON], Ok("gzip")),
        ("", &[JSON], Err("unaccepted")),
        ("Accept-Encoding: zstd, deflate\r\n", &[JSON], Err("unaccepted")),
        ("Accept-Encoding: gzip;q=2\r\n", &[JSON], Err("unaccepted")),
        ("Accept-Encoding: gzip;q=0.5, identity\r\n", &[JSON], Err("unaccepted")),
        ("Range: bytes=0-9\r\nAccept-Encoding: gzip\r\n", &[JSON], Err("range")),
        (GZIP, &[("Content-Type", "TEXT/HTML")], Ok("gzip")),
        (GZIP, &[("Content-Type", "application/problem+json")], Ok("gzip")),
        (GZIP, &[("Content-Type", "image/svg+xml")], Ok("gzip")),
        (GZIP, &[("Content-Type", "image/png")], Err("type")),
        (GZIP, &[("Content-Type", "application/octet-stream")], Err("type")),
        (GZIP, &[], Err("type")),
        (GZIP, &[JSON, ("Content-Type", "text/plain")], Err("type")),
        (GZIP, &[JSON, ("Content-Encoding", "gzip")], Err("encoded")),
        (GZIP, &[JSON, ("content-encoding", "dcz")], Err("encoded")),
        (GZIP, &[JSON, ("Content-Range", "bytes 0-9/10")], Err("range")),
        (GZIP, &[JSON, ("Cache-Control", "private, No-Transform")], Err("no_transform")),
        (GZIP, &[JSON, ("Cache-Control", "private=\"no-transforming\"")], Ok("gzip")),
        ("Cache-Control: no-transform\r\nAccept-Encoding: gzip\r\n", &[JSON], Err("no_transform")),
        (GZIP, &[JSON, ("ETag", "W/\"x\"")], Ok("gzip")),
        (GZIP, &[JSON, ("Vary", "*")], Ok("gzip")),
        (GZIP, &[JSON, ("Vary", "accept-ENCODING, Origin")], Ok("gzip")),
    ];
    for (request, given, expected) in cases {
        let origin = answering("200 OK", given, 3000);
        let proxy = Setup::to(&[&origin]).route(ON).start();
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: t\r\n{request}\r\n"));
        let names = |head: &Head| format!("{request} {given:?} {head:?}");
        match expected {
            Ok(coding) => {
                assert_eq!(answer.head.get("content-encoding"), Some(coding), "{given:?}");
                assert_eq!(decode(coding, &answer.body), (json(3000), true));
            }
            Err(why) => {
                assert_eq!(answer.body, json(3000), "{}", names(&answer.head));
                let counter = format!("compress_{why}");
                assert_eq!(proxy.stats().total(&counter), 1, "{}", names(&answer.head));
                assert_eq!(answer.head.get("etag"), None);
            }
        }
        let could = matches!(expected, Ok(_) | Err("unaccepted")) || request.contains("Range");
        let varies = answer.head.all("vary").join(", ").to_ascii_lowercase();
        let says = varies == "*" || varies.contains("accept-encoding");
        assert_eq!(says, could, "{}", names(&answer.head));
        assert!(answer.head.all("vary").len() < 2);
    }
}

#[test]
fn statuses_and_sizes() {
    let cases = [
        ("200 OK", 2000, Ok(())),
        ("201 Created", 2000, Ok(())),
        ("203 Non-Authoritative Information", 2000, Ok(())),
        ("206 Partial Content", 2000, Err("range")),
        ("404 Not Found", 2000, Err("status")),
        ("301 Moved Permanently", 2000, Err("status")),
        ("500 Internal Server Error", 2000, Err("status")),
        ("200 OK", 200, Err("small")),
    ];
    for (status, length, expected) in cases {
        let origin = answering(status, &[JSON, ("ETag", "\"x\"")], length);
        let proxy = Setup::to(&[&origin]).route(ON).start();
        let mut client = Client::connect(proxy.address());
        for method in ["GET", "POST", "HEAD"] {
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nAccept-Encoding: gzip\r\n\r\n"
            ));
            let answer = client.answer_to(method);
            assert_eq!(answer.head.get("content-encoding").is_some(), expected.is_ok(), "{status}");
            let known = expected.err().map(|_| json(length).len().to_string());
            assert_eq!(answer.head.get("content-length"), known.as_deref(), "{status} {method}");
            let tag = if expected.is_ok() { "W/\"x\"" } else { "\"x\"" };
            assert_eq!(answer.head.get("etag"), Some(tag), "{status} {method}");
        }
        if let Err(why) = expected {
            assert_eq!(proxy.stats().total(&format!("compress_{why}")), 3, "{status}");
        }
    }
}

/// A client that has the encoded body asked with its weak tag, and is answered with it; one that has
/// the body as it is gets its own.
#[test]
fn not_modified_speaks_of_what_the_client_has() {
    let origin = Origin::serving(|_| {
        b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nVary: Origin\r\n\r\n".to_vec()
    });
    let proxy = Setup::to(&[&origin]).route(ON).start();
    let mut client = Client::connect(proxy.address());
    let cases =
        [("W/\"x\"", "W/\"x\""), ("\"y\", W/\"x\"", "W/\"x\""), ("\"x\"", "\"x\""), ("*", "\"x\"")];
    for (asked, told) in cases {
        let answer = client.ask(format!(
            "GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\nIf-None-Match: {asked}\r\n\r\n"
        ));
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.head.get("etag"), Some(told), "{asked}");
        assert_eq!(answer.head.get("vary"), Some("Origin, Accept-Encoding"));
    }
}

#[test]
fn what_the_route_says() {
    let line =
        "compress = { encodings = [\"gzip\", \"br\"], types = [\"image/*\"], min_size = 100 }";
    let origin = Origin::serving(|request| {
        let kind = request.head.target().trim_start_matches('/').to_owned();
        answer_with("200 OK", &[("Content-Type", &kind)], &json(120))
    });
    let proxy = Setup::to(&[&origin]).route(line).start();
    let mut client = Client::connect(proxy.address());
    for (kind, expected) in [("image/png", Some("gzip")), ("text/html", None)] {
        let answer = client.ask(format!(
            "GET /{kind} HTTP/1.1\r\nHost: t\r\nAccept-Encoding: br, zstd, gzip\r\n\r\n"
        ));
        assert_eq!(answer.head.get("content-encoding"), expected, "{kind}");
    }
}
