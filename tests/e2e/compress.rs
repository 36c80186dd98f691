//! Bodies that ringway encodes: every coding, framing and version, streams, cuts, bounds.

use std::sync::{Mutex, mpsc};
use std::thread;

use crate::support::coding::{decode, json};
use crate::support::message::{Framing, Head};
use crate::support::proxy::wait_lines;
use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, answer_with, eventually, ok};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];
const ON: &str = "compress = [\"zstd\", \"br\", \"gzip\"]";
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn ask(coding: &str, version: &str) -> String {
    format!("GET / HTTP/{version}\r\nHost: t\r\nAccept-Encoding: {coding}\r\n\r\n")
}

/// The fields of an answer that is encoded so.
#[track_caller]
fn expect_encoded(head: &Head, coding: &str) {
    assert_eq!(head.status(), 200);
    assert_eq!(head.get("content-encoding"), Some(coding), "{head:?}");
    assert_eq!(head.get("vary"), Some("Accept-Encoding"));
    assert_eq!(head.get("content-length"), None);
}

/// An origin that sends a body of `length` bytes in the framing that the path names, in pieces of
/// about as many bytes as it names, too.
fn framed(body: Vec<u8>) -> Origin {
    Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            let mut path = request.head.target().split('/').skip(1);
            let (framing, piece) = (path.next().unwrap(), path.next().unwrap().parse().unwrap());
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            match framing {
                "length" => conn.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()))?,
                "chunked" => conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"))?,
                _ => conn.send(format!("{head}Connection: close\r\n\r\n"))?,
            }
            for piece in body.chunks(piece) {
                match framing {
                    "chunked" => {
                        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                        chunk.extend_from_slice(piece);
                        chunk.extend_from_slice(b"\r\n");
                        conn.send(chunk)?;
                    }
                    _ => conn.send(piece)?,
                }
            }
            match framing {
                "chunked" => conn.send("0\r\n\r\n")?,
                "length" => {}
                _ => return Ok(()),
            }
        }
        Ok(())
    })
}

#[test]
fn every_coding_framing_version_and_piece() {
    let body = json(40_000);
    let origin = framed(body.clone());
    let proxy = Setup::to(&[&origin]).route(ON).start();
    for version in ["1.1", "1.0"] {
        let mut client = Client::connect(proxy.address());
        for (coding, framing) in
            CODINGS.iter().flat_map(|coding| ["length", "chunked", "close"].map(|f| (*coding, f)))
        {
            for piece in [101, 5000, 20_000, 100_000] {
                if version == "1.0" {
                    client = Client::connect(proxy.address());
                }
                let answer = client.ask(format!(
                    "GET /{framing}/{piece} HTTP/{version}\r\nHost: t\r\nAccept-Encoding: {coding}\r\n\r\n"
                ));
                expect_encoded(&answer.head, coding);
                let expected =
                    if version == "1.1" { Framing::Chunked } else { Framing::UntilClose };
                assert_eq!(answer.head.answer_framing("GET"), expected);
                let (decoded, whole) = decode(coding, &answer.body);
                assert!(whole && decoded == body, "{coding} {framing} {piece}: {}", decoded.len());
                assert!(answer.body.len() < body.len() / 2, "{}", answer.body.len());
            }
        }
    }
    proxy.wait_stat("compress_active", 0);
    let stats = proxy.stats();
    for coding in CODINGS {
        assert_eq!(stats.total(&format!("compress_{coding}")), 24);
        assert_eq!(stats.total(&format!("compress_{coding}_in")), 24 * body.len() as i64);
        let out = stats.total(&format!("compress_{coding}_out"));
        assert!(out > 0 && out < 12 * body.len() as i64, "{out}");
    }
}

/// Larger than all that is held anywhere on the way, to a client that reads slowly.
#[test]
fn a_large_body() {
    let body = json(3 << 20);
    let origin = framed(body.clone());
    let proxy = Setup::to(&[&origin]).route(ON).start();
    for coding in CODINGS {
        let mut client = Client::connect_narrow(proxy.address(), 4096);
        let answer = client.ask(format!(
            "GET /length/1000000 HTTP/1.1\r\nHost: t\r\nAccept-Encoding: {coding}\r\n\r\n"
        ));
        expect_encoded(&answer.head, coding);
        let (decoded, whole) = decode(coding, &answer.body);
        assert!(whole && decoded == body, "{coding}");
    }
}

/// Each event can be decoded before the origin sends the next.
#[test]
fn events_are_seen_one_by_one() {
    for coding in CODINGS {
        let (seen, wait) = mpsc::channel();
        let wait = Mutex::new(wait);
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
            wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the head");
            for number in 0..5 {
                conn.send(format!("data: event {number}\n\n"))?;
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the event");
            }
            Ok(())
        });
        let proxy = Setup::to(&[&origin]).route(ON).start();
        let mut client = Client::connect(proxy.address());
        client.send(ask(coding, "1.1"));
        expect_encoded(&client.head(), coding);
        seen.send(()).unwrap();
        let (mut got, mut expected) = (Vec::new(), String::new());
        for number in 0..5 {
            expected += &format!("data: event {number}\n\n");
            while decode(coding, &got).0 != expected.as_bytes() {
                let chunk = client.wire.chunk().unwrap();
                assert!(!chunk.is_empty(), "{coding}: the end before event {number}");
                got.extend_from_slice(&chunk);
            }
            assert!(!decode(coding, &got).1, "{coding}");
            seen.send(()).unwrap();
        }
        loop {
            match client.wire.chunk().unwrap() {
                chunk if chunk.is_empty() => break,
                chunk => got.extend_from_slice(&chunk),
            }
        }
        assert_eq!(decode(coding, &got), (expected.into_bytes(), true), "{coding}");
    }
}

/// A body that its member did not end does not end for the client either.
#[test]
fn a_body_that_was_cut_is_cut() {
    let heads = ["Content-Length: 50000", "Transfer-Encoding: chunked\r\nX: y"];
    for (coding, framing) in CODINGS.iter().flat_map(|coding| heads.map(|head| (*coding, head))) {
        for version in ["1.1", "1.0"] {
            let (seen, wait) = mpsc::channel();
            let wait = Mutex::new(wait);
            let origin = Origin::scripted(move |conn| {
                conn.expect_request()?;
                let start = if framing.contains("chunked") { "c350\r\n" } else { "" };
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n{start}"
                ))?;
                conn.send(vec![b'x'; 30_000])?;
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees a part");
                Ok(())
            });
            let proxy = Setup::to(&[&origin]).route(ON).start();
            let mut client = Client::connect(proxy.address());
            client.send(ask(coding, version));
            expect_encoded(&client.head(), coding);
            let mut part = Vec::new();
            while decode(coding, &part).0.len() < 30_000 {
                part.extend_from_slice(&match version {
                    "1.1" => client.wire.chunk().unwrap(),
                    _ => client.wire.some(1000).unwrap(),
                });
            }
            seen.send(()).unwrap();
            let (rest, end) = client.rest();
            assert_eq!(end, End::Reset, "{coding} {framing} {version}");
            part.extend_from_slice(&rest);
            assert!(!decode(coding, &part).1, "{coding} {framing} {version}");
            assert_eq!(proxy.stats().total("error_member_short_body"), 1);
            proxy.wait_stat("compress_active", 0);
        }
    }
}

/// Where nothing was sent yet the client can still be told.
#[test]
fn a_body_that_was_cut_at_once_is_an_error() {
    let origin = Origin::blurting(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nbad\n",
    );
    let proxy = Setup::to(&[&origin]).route(ON).start();
    let answer = Client::connect(proxy.address()).ask(ask("gzip", "1.1"));
    answer.expect_error(502, "member", "bad_body");
    assert_eq!(answer.head.get("content-encoding"), None);
}

#[test]
fn a_worker_encodes_no_more_than_it_may() {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() == "/held" {
                conn.send(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\na",
                )?;
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the test's word");
                conn.send("b")?;
            } else {
                conn.send(answer_with("200 OK", &[JSON, ("ETag", "\"x\"")], &json(2000)))?;
            }
        }
        Ok(())
    });
    let line = "compress = { min_size = 0 }";
    let setup = Setup::to(&[&origin]).workers(1).limits("encoders = 1").route(line);
    let proxy = setup.start();
    let mut held = Client::connect(proxy.address());
    held.send(ask("gzip", "1.1").replace("GET /", "GET /held"));
    expect_encoded(&held.head(), "gzip");
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(ask("gzip", "1.1"));
    assert_eq!(answer.body, json(2000));
    assert_eq!(answer.head.get("content-encoding"), None);
    assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"));
    assert_eq!(answer.head.get("etag"), Some("\"x\""));
    assert_eq!(proxy.stats().total("compress_busy"), 1);
    assert_eq!(proxy.stats().total("compress_active"), 1);
    go.send(()).unwrap();
    let body = held.wire.message(held_head(), Framing::Chunked).unwrap().body;
    assert_eq!(decode("gzip", &body), (b"ab".to_vec(), true));
    let answer = client.ask(ask("gzip", "1.1"));
    expect_encoded(&answer.head, "gzip");
    assert_eq!(decode("gzip", &answer.body), (json(2000), true));
}

fn held_head() -> Head {
    Head::parse(b"HTTP/1.1 200 OK\r\n\r\n")
}

#[test]
fn a_client_that_leaves_ends_the_work() {
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
        while conn.send("and so on, ").is_ok() {}
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).workers(1).limits("encoders = 2").route(ON).start();
    for coding in CODINGS {
        let mut client = Client::connect(proxy.address());
        client.send(ask(coding, "1.1"));
        expect_encoded(&client.head(), coding);
        client.wire.chunk().unwrap();
        assert_eq!(proxy.stats().total("compress_active"), 1);
        client.wire.reset();
        proxy.wait_stat("compress_active", 0);
    }
    origin.wait_all_closed();
}

#[test]
fn many_clients_on_two_workers() {
    let origin = Origin::serving(|request| {
        let length = request.head.target().trim_start_matches('/').parse().unwrap();
        answer_with("200 OK", &[JSON], &json(length))
    });
    let proxy = Setup::to(&[&origin]).route(ON).start();
    thread::scope(|scope| {
        for thread in 0..6 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = Client::connect(proxy.address());
                for number in 0..15 {
                    let (coding, length) = (CODINGS[(thread + number) % 3], 2000 + 3000 * number);
                    let get = ask(coding, "1.1").replace("GET /", &format!("GET /{length}"));
                    let answer = client.ask(get);
                    expect_encoded(&answer.head, coding);
                    let (decoded, whole) = decode(coding, &answer.body);
                    assert!(whole && decoded == json(length), "{coding} {length}");
                }
            });
        }
    });
    let total = |name: &str| proxy.stats().total(name);
    let all: i64 = CODINGS.iter().map(|coding| total(&format!("compress_{coding}"))).sum();
    assert_eq!((all, total("compress_active")), (90, 0));
}

#[test]
fn the_access_log_says_how() {
    let body = json(5000);
    let answer = answer_with("200 OK", &[JSON], &body);
    let origin = Origin::serving(move |_| answer.clone());
    for (format, wanted) in
        [("common", " enc=br plain="), ("json", ",\"encoding\":\"br\",\"plain\":")]
    {
        let setup = Setup::to(&[&origin]).route(ON).workers(1);
        let setup = setup.server("access_log = \"{directory}/access.log\"");
        let proxy = setup.server(format!("access_log_format = \"{format}\"")).start();
        let mut client = Client::connect(proxy.address());
        let sent = client.ask(ask("br", "1.1")).body.len();
        client.ask(ask("identity", "1.1"));
        let lines = wait_lines(&proxy.directory().join("access.log"), 2);
        assert!(lines[0].contains(&format!("{wanted}{}", body.len())), "{}", lines[0]);
        let bytes = match format {
            "json" => format!(",\"bytes\":{sent},"),
            _ => format!("\" 200 {sent} \""),
        };
        assert!(lines[0].contains(&bytes), "{} of {}", bytes, lines[0]);
        assert!(!lines[1].contains("plain"), "{}", lines[1]);
    }
}

#[test]
fn trailers_that_speak_of_other_bytes_are_left_out() {
    let origin = Origin::serving(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: Repr-Digest, X-Cost\r\n\r\n";
        let end = "5\r\nhello\r\n0\r\nRepr-Digest: sha-256=:x:\r\nX-Cost: 7\r\n\r\n";
        [head, end].concat().into_bytes()
    });
    let proxy = Setup::to(&[&origin]).route(ON).start();
    let mut client = Client::connect(proxy.address());
    let trailer = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let answer = client.ask(ask("gzip", "1.1"));
    assert_eq!(decode("gzip", &answer.body), (b"hello".to_vec(), true));
    assert_eq!(answer.trailers, [trailer("X-Cost", "7")]);
    let answer = client.ask(ask("identity", "1.1"));
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers.len(), 2);
}

/// A route without it is as it was, beside one with it.
#[test]
fn other_routes_are_left_alone() {
    let plain = ok("text");
    let origin = Origin::serving(move |_| plain.clone());
    let member = origin.address();
    let body = format!(
        "[[route]]\npath = \"/on/*\"\n{ON}\npool = \"main\"\n[[route]]\npool = \"main\"\n\
         [pool.main]\nmembers = [\"{member}\"]"
    );
    let proxy: Proxy = Setup::with_body(body).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(ask("gzip", "1.1"));
    assert_eq!((answer.text().as_str(), answer.head.get("vary")), ("text", None));
    eventually("nothing was looked at", || proxy.stats().total("exchanges") == 1);
    assert!(
        proxy
            .stats()
            .names()
            .all(|name| { !name.starts_with("compress_") || proxy.stats().total(name) == 0 })
    );
}
