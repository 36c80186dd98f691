//! Everything has a bound: heads, fields, targets, bodies, connections.

use std::time::Duration;

use crate::support::wire::End;
use crate::support::{Client, Origin, Setup, answer_with, ok};

/// A GET whose head is `size` bytes.
fn head_of(size: usize) -> String {
    let frame = "GET / HTTP/1.1\r\nHost: t\r\nX-Pad: \r\n\r\n".len();
    format!("GET / HTTP/1.1\r\nHost: t\r\nX-Pad: {}\r\n\r\n", "x".repeat(size - frame))
}

#[test]
fn a_head_may_be_as_big_as_its_limit() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("limits = { head = \"1KiB\" }").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(head_of(1000)).status(), 200);
    let answer = client.ask(head_of(1100));
    answer.expect_error(431, "client", "head_too_large");
    assert!(answer.head.closes());
    client.expect_end();
    // It need not have ended: the bound is on what is held.
    let mut client = Client::connect(proxy.address());
    client.send(&head_of(2000)[..1500]);
    client.answer().expect_error(431, "client", "head_too_large");
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(proxy.stats().total("error_client_head_too_large"), 2);
}

#[test]
fn the_default_head_limit_is_32_kib() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(head_of(32_000)).status(), 200);
    assert_eq!(client.ask(head_of(33_500)).status(), 431);
    assert_eq!(origin.only_request().head.get("x-pad").map(str::len), Some(31_964));
}

#[test]
fn fields_are_counted() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("limits = { headers = 20 }").start();
    let mut client = Client::connect(proxy.address());
    let with = |count: usize| {
        // Host is one of them.
        format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: y\r\n".repeat(count - 1))
    };
    assert_eq!(client.ask(with(20)).status(), 200);
    let answer = client.ask(with(21));
    answer.expect_error(431, "client", "head_too_large");
    assert!(answer.head.closes());
}

#[test]
fn a_target_too_long_is_414() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("limits = { head = \"1KiB\" }").start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(2000)));
    let answer = client.answer();
    answer.expect_error(414, "client", "target_too_long");
    assert!(answer.head.closes());
    client.expect_end();
}

#[test]
fn a_body_may_be_as_big_as_its_limit() {
    let origin = Origin::serving(|request| ok(request.body.len().to_string()));
    let proxy = Setup::to(&[&origin]).listener("limits = { body = \"1KiB\" }").start();
    let mut client = Client::connect(proxy.address());
    let body = "x".repeat(1024);
    let length =
        |size: usize| format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n");
    assert_eq!(client.ask(length(1024) + &body).text(), "1024");
    // Refused by its head alone.
    let answer = client.ask(length(1025));
    answer.expect_error(413, "client", "body_too_large");
    assert!(answer.head.closes());
    client.expect_end();
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_chunked_body_is_counted_as_it_comes() {
    let origin = Origin::serving(|request| ok(request.body.len().to_string()));
    let proxy = Setup::to(&[&origin]).listener("limits = { body = \"1KiB\" }").start();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(format!("{head}{chunk}{chunk}0\r\n\r\n")).text(), "1024");
    let answer = client.ask(format!("{head}{chunk}{chunk}1\r\nx\r\n0\r\n\r\n"));
    answer.expect_error(413, "client", "body_too_large");
    assert!(answer.head.closes());
    client.expect_end();
    assert_eq!(origin.requests().len(), 1, "a body that was too big came through");
    assert_eq!(proxy.stats().total("error_client_body_too_large"), 1);
    proxy.wait_idle();
}

#[test]
fn an_endless_chunk_extension_or_trailer_is_refused() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).limits("trailers = \"1KiB\"").start();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        format!("5;{}", "x".repeat(100_000)),
        "0".repeat(100_000) + "5",
        format!("0\r\nX: {}\r\n\r\n", "x".repeat(2000)),
        format!("0\r\n{}\r\n", "X: y\r\n".repeat(400)),
    ] {
        let mut client = Client::connect(proxy.address());
        let answer = client.ask(format!("{head}{body}"));
        let status = answer.status();
        assert!([400, 413, 431].contains(&status), "{:?}: {status}", &body[..20]);
        client.expect_end();
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn trailers_of_an_answer_are_bounded() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
    let origin = Origin::blurting(format!("{head}X: {}\r\n\r\n", "x".repeat(2000)));
    let proxy = Setup::to(&[&origin]).limits("trailers = \"1KiB\"").start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head();
    if head.status() == 502 {
        let framing = head.answer_framing("GET");
        let answer = client.wire.message(head, framing).unwrap();
        answer.expect_error(502, "member", "bad_body");
    } else {
        assert_eq!(client.rest().1, End::Reset);
    }
}

#[test]
fn an_answer_head_may_be_as_big_as_its_limit() {
    let origin = Origin::serving(|request| {
        let size = request.head.target()[1..].parse().expect("a size");
        let value = "x".repeat(size);
        answer_with("200 OK", &[("X-Pad", &value)], b"ok")
    });
    let proxy = Setup::to(&[&origin]).limits("response_head = \"4KiB\"").start();
    let mut client = Client::connect(proxy.address());
    let answer = client.get("/4000");
    assert_eq!(answer.head.get("x-pad").map(str::len), Some(4000));
    client.get("/4200").expect_error(502, "member", "head_too_large");
    assert_eq!(client.get("/10").text(), "ok");
}

#[test]
fn fields_of_an_answer_are_counted() {
    let origin = Origin::serving(|request| {
        let count = request.head.target()[1..].parse::<usize>().expect("a count");
        answer_with("200 OK", &vec![("X", "y"); count - 1], b"ok")
    });
    let proxy = Setup::to(&[&origin]).limits("response_headers = 20").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/20").text(), "ok");
    client.get("/21").expect_error(502, "member", "head_too_large");
    assert_eq!(client.get("/20").text(), "ok");
}

#[test]
fn connections_are_bounded() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("limits = { connections = 2 }").start();
    let mut clients: Vec<_> = (0..2).map(|_| Client::connect(proxy.address())).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    // One more is refused, or waits for its turn.
    let mut third = Client::connect(proxy.address());
    drop(third.wire.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    match third.wire.silent_for(Duration::from_millis(300)) {
        Ok(true) => {}
        Ok(false) => {
            let (bytes, _) = third.rest();
            assert!(!bytes.starts_with(b"HTTP/1.1 200 "), "a third connection was served");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert!(proxy.stats().total("connections_active") <= 2);
    // Those that are in go on, and a place that is freed is given away.
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    drop(third);
    drop(clients);
    proxy.wait_stat("connections_active", 0);
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "ok");
}
