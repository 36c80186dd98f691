//! Origins that answer nonsense, or more than was asked for: the client gets 502, or the answer it
//! asked for, and never another one's bytes.

use std::sync::Mutex;
use std::sync::mpsc;

use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Setup, ok};

/// An origin that answers `/bad` with `bytes` and anything else with "good".
fn origin_with(bytes: &[u8]) -> Origin {
    let bytes = bytes.to_vec();
    Origin::serving(move |request| match request.head.target() {
        "/bad" => bytes.clone(),
        _ => ok("good"),
    })
}

/// Each of these answer heads makes 502, and the client's connection goes on.
fn check_refused(answers: &[&[u8]]) {
    for bytes in answers {
        let origin = origin_with(bytes);
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        let answer = client.get("/bad");
        assert_eq!(answer.status(), 502, "{:?}", String::from_utf8_lossy(bytes));
        answer.expect_error(502, "member", "bad_head");
        assert_eq!(client.get("/good").text(), "good");
        assert_eq!(origin.connections(), 2, "a connection that went wrong was used again");
        assert_eq!(proxy.stats().total("error_member_bad_head"), 1);
    }
}

#[test]
fn ambiguous_answers_are_not_passed_on() {
    check_refused(&[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ]);
}

#[test]
fn malformed_answer_heads_are_not_passed_on() {
    check_refused(&[
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length :5\r\nContent-Length: 4\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ]);
}

#[test]
fn malformed_status_lines_are_not_passed_on() {
    check_refused(&[
        b"complete garbage\r\n\r\n",
        b"\x15\x03\x01\0\x02\x02\x46\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        // Nobody asked to switch.
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ]);
}

#[test]
fn oversized_answer_heads_are_not_passed_on() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: a\r\n".repeat(200));
    for bytes in [long, many] {
        let origin = origin_with(bytes.as_bytes());
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        assert_eq!(client.get("/bad").status(), 502);
        assert_eq!(client.get("/good").text(), "good");
    }
}

/// What an origin sends behind a whole answer belongs to nobody.
#[test]
fn a_second_answer_in_the_same_write_is_never_delivered() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let answers = [
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{evil}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{evil}")),
        ("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{evil}")),
        ("GET", format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n{evil}")),
        ("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil}", evil.len())),
    ];
    for (method, bytes) in answers {
        let origin = origin_with(bytes.as_bytes());
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send(format!("{method} /bad HTTP/1.1\r\nHost: t\r\n\r\n"));
        let first = client.answer_to(method);
        assert!([200, 204, 304].contains(&first.status()), "{bytes:?}");
        assert_eq!(client.get("/good").text(), "good", "{bytes:?}");
        assert_eq!(proxy.stats().total("upstream_excess"), 1, "{bytes:?}");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_never_delivered() {
    let (written, told) = mpsc::channel();
    let written = Mutex::new(written);
    let origin = Origin::scripted(move |conn| {
        let first = conn.index == 0;
        while conn.request()?.is_some() {
            conn.send(ok("good"))?;
            if first {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")?;
                written.lock().unwrap().send(()).unwrap();
            }
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/1").text(), "good");
    // From here on the bytes lie in the proxy's socket.
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.get("/2").text(), "good");
    assert_eq!(client.get("/3").text(), "good");
}

const BAD_CHUNKS: [&str; 5] =
    ["zz\r\n", "5\nhello\r\n", "5\r\nhelloXX", "fffffffffffffffff\r\n", "5;a\rb\r\nhello\r\n"];

#[test]
fn a_chunked_answer_that_turns_bad_resets_the_client() {
    for bad in BAD_CHUNKS {
        let (seen, wait) = mpsc::channel();
        let wait = Mutex::new(wait);
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")?;
            wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client has read so far");
            conn.send(format!("{bad}0\r\n\r\n"))?;
            conn.wire.rest().map(drop)
        });
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("GET /bad HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        assert_eq!(client.wire.chunk().unwrap(), b"abc");
        seen.send(()).unwrap();
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.ends_with("0\r\n\r\n"), "{bad:?} was made whole: {text:?}");
        assert_eq!(end, End::Reset, "{bad:?}: {text:?}");
        assert_eq!(proxy.stats().total("error_member_bad_body"), 1);
        proxy.wait_idle();
    }
}

/// Here the proxy may see it before the first byte of the answer went out.
#[test]
fn a_chunked_answer_that_is_bad_at_once_is_502_or_a_reset() {
    for bad in BAD_CHUNKS {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let origin = origin_with(format!("{head}{bad}0\r\n\r\n").as_bytes());
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("GET /bad HTTP/1.1\r\nHost: t\r\n\r\n");
        let head = client.head();
        if head.status() == 502 {
            let framing = head.answer_framing("GET");
            let answer = client.wire.message(head, framing).unwrap();
            answer.expect_error(502, "member", "bad_body");
            assert_eq!(client.get("/good").text(), "good");
        } else {
            assert_eq!(client.rest().1, End::Reset, "{bad:?}");
        }
    }
}
