//! Plain exchanges: methods, bodies of every framing, connections of every kind.

use std::fmt::Write as _;

use crate::support::message::Framing;
use crate::support::{Client, Origin, Setup, answer_with, exchange, ok};

/// A body that shows a byte lost, repeated or moved.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte")).collect()
}

#[test]
fn get_passes_both_ways() {
    let origin = Origin::serving(|_| answer_with("200 OK", &[("X-Origin", "yes")], b"hello"));
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(
        proxy.address(),
        "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.test\r\nX-Client: 1\r\n\r\n",
    );
    assert_eq!(answer.head.start, "HTTP/1.1 200 OK");
    assert_eq!(answer.head.get("x-origin"), Some("yes"));
    assert_eq!(answer.text(), "hello");
    let request = origin.only_request();
    assert_eq!(request.head.start, "GET /a/b?c=d&e HTTP/1.1");
    assert_eq!(request.head.get("host"), Some("example.test"));
    assert_eq!(request.head.get("x-client"), Some("1"));
}

#[test]
fn post_with_a_length_passes_its_body() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(
        proxy.address(),
        "POST /form HTTP/1.1\r\nHost: t\r\nContent-Length: 7\r\n\r\na=1&b=2",
    );
    assert_eq!(answer.text(), "a=1&b=2");
    assert_eq!(origin.only_request().head.get("content-length"), Some("7"));
}

#[test]
fn a_post_without_a_body_keeps_its_zero_length() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.only_request().head.get("content-length"), Some("0"));
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin = Origin::serving(|request| match request.head.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n".to_vec(),
        _ => ok("next"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("HEAD /big HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.answer_to("HEAD");
    assert_eq!(answer.head.get("content-length"), Some("12345"));
    assert_eq!(answer.head.get("etag"), Some("\"x\""));
    assert_eq!(client.get("/").text(), "next");
}

#[test]
fn head_of_a_chunked_answer_has_no_body() {
    let origin = Origin::serving(|request| match request.head.method() {
        "HEAD" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        _ => ok("next"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").status(), 200);
    assert_eq!(client.get("/").text(), "next");
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/204" => b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n".to_vec(),
        "/304c" => b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        "/205" => b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok("end"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for (path, status) in [("/204", 204), ("/304", 304), ("/304c", 304), ("/205", 205)] {
        let answer = client.get(path);
        assert_eq!((answer.status(), answer.body.len()), (status, 0), "{path}");
    }
    assert_eq!(client.get("/").text(), "end");
}

#[test]
fn a_204_has_no_framing_field() {
    let origin = Origin::serving(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let proxy = Setup::to(&[&origin]).start();
    let answer = Client::connect(proxy.address()).get("/");
    assert_eq!(answer.head.get("content-length"), None);
    assert_eq!(answer.head.get("transfer-encoding"), None);
}

#[test]
fn an_answer_without_a_reason_passes() {
    let origin = Origin::serving(|_| b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok".to_vec());
    let proxy = Setup::to(&[&origin]).start();
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}

#[test]
fn large_bodies_pass_unchanged_both_ways() {
    // Around the sizes where a proxy changes its way of copying, and well beyond.
    const SIZES: [usize; 8] = [1, 4095, 16 << 10, 65_535, 65_536, 65_537, 300_001, 5 << 20];
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for size in SIZES {
        let body = pattern(size);
        client.send(format!("PUT /{size} HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n"));
        client.send(&body);
        let answer = client.answer();
        assert!(answer.body == body, "the body of {size} bytes came back changed");
    }
    for (request, size) in origin.requests().iter().zip(SIZES) {
        assert!(request.body == pattern(size), "the body of {size} bytes went up changed");
    }
}

#[test]
fn large_chunked_bodies_pass_unchanged_both_ways() {
    let origin = Origin::serving(|request| {
        assert_eq!(request.head.request_framing(), Framing::Chunked);
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend(in_chunks(&request.body));
        answer.extend_from_slice(b"0\r\n\r\n");
        answer
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for size in [1, 65_536, 1 << 20] {
        let body = pattern(size);
        client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(in_chunks(&body));
        client.send("0\r\n\r\n");
        assert!(client.answer().body == body, "the body of {size} bytes came back changed");
    }
}

/// Chunks of growing, odd sizes, without the last one.
fn in_chunks(body: &[u8]) -> Vec<u8> {
    let (mut left, mut size, mut bytes) = (body, 1, Vec::new());
    while !left.is_empty() {
        let (chunk, rest) = left.split_at(left.len().min(size));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        (left, size) = (rest, size * 3 + 1);
    }
    bytes
}

#[test]
fn chunked_in_any_spelling_passes_with_its_trailers() {
    let origin = Origin::serving(|request| {
        let trailers = vec![("X-Sum".to_owned(), "abc".to_owned())];
        assert_eq!((request.text().as_str(), &request.trailers), ("Wikipedia", &trailers));
        let head = "HTTP/1.1 200 OK\r\nTRANSFER-encoding: CHUNked\r\nTrailer: X-After\r\n\r\n";
        let body = "A;ext=1;q=\"x\"\r\n0123456789\r\n00003\r\nabc\r\n000\r\nX-After: z\r\n\r\n";
        format!("{head}{body}").into_bytes()
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: t\r\ntRaNsFeR-eNcOdInG: ChUnKeD\r\n\r\n");
        client.send("4\r\nWiki\r\n5;name=value\r\npedia\r\n0\r\nX-Sum: abc\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.text(), "0123456789abc");
        assert_eq!(answer.trailers, [("X-After".to_owned(), "z".to_owned())]);
    }
}

#[test]
fn a_close_delimited_answer_ends_as_the_origin_ended_it() {
    let origin = Origin::blurting("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end");
    let proxy = Setup::to(&[&origin]).start();
    for _ in 0..3 {
        let mut client = Client::connect(proxy.address());
        let answer = client.get("/");
        assert_eq!(answer.text(), "until the end");
        if answer.head.answer_framing("GET") == Framing::Chunked {
            // Re-framed, so that the client connection may live on.
            continue;
        }
        client.expect_close();
    }
    // To a client that knows no chunks the end is the end.
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(answer.head.answer_framing("GET"), Framing::UntilClose);
    assert_eq!(answer.text(), "until the end");
}

#[test]
fn a_connection_carries_many_requests() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for number in 0..50 {
        let path = format!("/{number}");
        assert_eq!(client.get(&path).text(), path);
    }
    assert_eq!(proxy.stats().total("accepts"), 1);
}

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    let origin =
        Origin::serving(|request| ok(format!("{}|{}", request.head.target(), request.text())));
    let proxy = Setup::to(&[&origin]).start();
    let mut bytes = String::new();
    for number in 0..100 {
        match number % 3 {
            0 => write!(bytes, "GET /{number} HTTP/1.1\r\nHost: t\r\n\r\n"),
            1 => write!(
                bytes,
                "POST /{number} HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n{number:03}"
            ),
            _ => write!(
                bytes,
                "POST /{number} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\n{number:03}\r\n0\r\n\r\n"
            ),
        }
        .expect("writing to a string");
    }
    let mut client = Client::connect(proxy.address());
    client.send(bytes);
    for number in 0..100 {
        let body = if number % 3 == 0 { String::new() } else { format!("{number:03}") };
        assert_eq!(client.answer().text(), format!("/{number}|{body}"));
    }
}

#[test]
fn connection_close_is_honoured() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(answer.head.closes(), "{:?}", answer.head);
    client.expect_close();
}

#[test]
fn a_client_that_finishes_sending_still_gets_its_answer() {
    let origin = Origin::saying("late");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    client.wire.finish().unwrap();
    assert_eq!(client.answer().text(), "late");
    client.expect_close();
}

#[test]
fn http_1_0_closes_unless_asked_to_keep_alive() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask("GET / HTTP/1.0\r\n\r\n").text(), "ok");
    client.expect_close();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(answer.text(), "ok");
        let kept = answer.head.all("connection");
        assert!(kept.iter().any(|value| value.eq_ignore_ascii_case("keep-alive")), "{kept:?}");
    }
    let request = origin.requests().remove(0);
    assert_eq!(request.head.start, "GET / HTTP/1.1");
    assert_eq!(request.head.all("host").len(), 1, "{:?}", request.head);
}

#[test]
fn a_chunked_answer_to_http_1_0_is_not_chunked() {
    let origin = Origin::serving(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            .to_vec()
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(answer.head.answer_framing("GET"), Framing::UntilClose, "{:?}", answer.head);
    assert_eq!(answer.text(), "abcde");
}

#[test]
fn requests_may_come_byte_by_byte() {
    let origin =
        Origin::serving(|request| ok(format!("{} {}", request.head.target(), request.text())));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let requests = [
        ("GET /one HTTP/1.1\r\nHost: t\r\nX-Field: value\r\n\r\n", "/one "),
        ("POST /two HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", "/two hello"),
        (
            "POST /three HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
             2;e=f\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
            "/three hello",
        ),
    ];
    for (bytes, expected) in requests {
        for byte in bytes.as_bytes() {
            client.send([*byte]);
        }
        assert_eq!(client.answer().text(), expected);
    }
}

#[test]
fn answers_may_come_byte_by_byte() {
    let origin = Origin::scripted(|conn| {
        while let Some(request) = conn.request()? {
            let answer = match request.head.target() {
                "/length" => ok("abc"),
                _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       1\r\na\r\n2;x\r\nbc\r\n0\r\nX-T: 1\r\n\r\n"
                    .to_vec(),
            };
            for byte in answer {
                conn.send([byte])?;
            }
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/length").text(), "abc");
    assert_eq!(client.get("/chunked").text(), "abc");
    assert_eq!(client.get("/length").text(), "abc");
}

#[test]
fn an_absolute_target_is_sent_in_origin_form() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.ask("GET http://real.test:8080/p?q HTTP/1.1\r\nHost: other.test\r\n\r\n");
    client.ask("GET http://real.test HTTP/1.1\r\nHost: real.test\r\n\r\n");
    client.ask("GET HTTP://real.test/ HTTP/1.1\r\nHost: real.test\r\n\r\n");
    let requests = origin.requests();
    assert_eq!(requests[0].head.start, "GET /p?q HTTP/1.1");
    // RFC 9112 3.2.2: the target's authority counts, not the Host that came.
    assert_eq!(requests[0].head.get("host"), Some("real.test:8080"));
    assert_eq!(requests[1].head.start, "GET / HTTP/1.1");
    assert_eq!(requests[2].head.start, "GET / HTTP/1.1");
}

#[test]
fn options_star_passes() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(proxy.address(), "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.only_request().head.start, "OPTIONS * HTTP/1.1");
}

#[test]
fn unknown_methods_pass() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(proxy.address(), "M-SEARCH /x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.only_request().head.start, "M-SEARCH /x HTTP/1.1");
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(proxy.address(), "\r\nGET /x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(answer.status(), 200);
    assert_eq!(origin.only_request().head.target(), "/x");
}
