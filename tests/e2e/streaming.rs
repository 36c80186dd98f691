//! Bodies are passed on as they come, with back-pressure, in bounded memory.

use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::message::Framing;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, ok};

/// The size of a body that must not fit anywhere on its way.
const BIG: u64 = 200 << 20;
/// What the sockets' buffers on the way may hold at the very most.
const IN_FLIGHT: u64 = 64 << 20;
/// How much the proxy may grow over a big body.
const GROWTH: u64 = 8 << 20;
/// A sender that could not place a byte for this long is taken to be held back.
const SILENCE: Duration = Duration::from_millis(700);

/// Each event must arrive before the origin sends the next.
fn check_events(head: &str, wrap: fn(&str) -> String, end: &str) {
    let (seen, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let (head, end) = (head.to_owned(), end.to_owned());
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send(&head)?;
        for number in 0..10 {
            conn.send(wrap(&format!("data: {number}\n\n")))?;
            wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the event");
        }
        conn.send(&end)
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET /events HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n");
    let framing = client.head().answer_framing("GET");
    for number in 0..10 {
        let event = format!("data: {number}\n\n");
        let got = match framing {
            Framing::Chunked => client.wire.chunk().unwrap(),
            _ => client.wire.exactly(event.len()).unwrap(),
        };
        assert_eq!(String::from_utf8_lossy(&got), event);
        seen.send(()).unwrap();
    }
    if framing == Framing::Chunked {
        assert_eq!(client.wire.exactly(5).unwrap(), b"0\r\n\r\n");
    }
}

#[test]
fn chunked_events_arrive_one_by_one() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_events(head, |event| format!("{:x}\r\n{event}\r\n", event.len()), "0\r\n\r\n");
}

#[test]
fn close_delimited_events_arrive_one_by_one() {
    check_events("HTTP/1.1 200 OK\r\n\r\n", str::to_owned, "");
}

#[test]
fn events_of_a_known_length_arrive_one_by_one() {
    check_events("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", str::to_owned, "");
}

#[test]
fn an_answer_head_does_not_wait_for_its_body() {
    let (seen, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")?;
        wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client sees the head");
        conn.send("body")
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    seen.send(()).unwrap();
    assert_eq!(client.wire.exactly(4).unwrap(), b"body");
}

#[test]
fn parts_of_an_upload_arrive_one_by_one() {
    for chunked in [true, false] {
        let (arrived, wait) = mpsc::channel();
        let arrived = Mutex::new(arrived);
        let origin = Origin::scripted(move |conn| {
            conn.wire.head()?;
            for _ in 0..10 {
                let part = if chunked { conn.wire.chunk()? } else { conn.wire.exactly(6)? };
                arrived.lock().unwrap().send(part).expect("the client waits");
            }
            if chunked {
                assert_eq!(conn.wire.chunk()?, b"");
                conn.wire.trailers()?;
            }
            conn.send(ok("all"))
        });
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 60" };
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n"));
        for number in 0..10 {
            let part = format!("part {number}");
            client.send(if chunked { format!("6\r\n{part}\r\n") } else { part.clone() });
            assert_eq!(wait.recv_timeout(PATIENCE).unwrap(), part.as_bytes());
        }
        client.send(if chunked { "0\r\n\r\n" } else { "" });
        assert_eq!(client.answer().text(), "all");
    }
}

/// The resident memory after what every proxy needs once has been touched.
fn warm(proxy: &Proxy) -> u64 {
    for _ in 0..8 {
        Client::connect(proxy.address()).get("/small");
    }
    proxy.resident()
}

#[test]
fn a_big_upload_to_a_slow_origin_takes_bounded_memory() {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        while let Some(head) = conn.wire.head()? {
            let mut received = 0;
            if head.method() == "PUT" {
                wait.lock().unwrap().recv_timeout(PATIENCE).expect("the test's word");
                let framing = head.request_framing();
                conn.wire.body_into(framing, &mut |part| received += part.len())?;
            }
            conn.send(ok(received.to_string()))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let before = warm(&proxy);
    let mut client = Client::connect(proxy.address());
    client.send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {BIG}\r\n\r\n"));
    let held_back = client.wire.send_until_stuck(BIG, SILENCE).unwrap();
    assert!(held_back < IN_FLIGHT, "{held_back} bytes were taken that nobody read");
    let stuck = proxy.resident();
    go.send(()).unwrap();
    let rest = client.wire.send_until_stuck(BIG - held_back, PATIENCE).unwrap();
    assert_eq!(held_back + rest, BIG);
    assert_eq!(client.answer().text(), BIG.to_string());
    let most = stuck.max(proxy.resident());
    assert!(most < before + GROWTH, "grew from {before} to {most} bytes");
}

#[test]
fn a_slow_reader_of_a_big_answer_takes_bounded_memory() {
    for chunked in [false, true] {
        check_slow_reader(chunked);
    }
}

fn check_slow_reader(chunked: bool) {
    let (stuck, told) = mpsc::channel();
    let stuck = Mutex::new(stuck);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            if request.head.target() == "/small" {
                conn.send(ok("small"))?;
                continue;
            }
            // One chunk or none: what matters is that it does not fit.
            conn.send(match chunked {
                true => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{BIG:x}\r\n"),
                false => format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n"),
            })?;
            let sent = conn.wire.send_until_stuck(BIG, SILENCE)?;
            stuck.lock().unwrap().send(sent).expect("the test waits");
            let rest = conn.wire.send_until_stuck(BIG - sent, PATIENCE)?;
            assert_eq!(sent + rest, BIG);
            conn.send(if chunked { "\r\n0\r\n\r\n" } else { "" })?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let before = warm(&proxy);
    let mut client = Client::connect(proxy.address());
    client.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n");
    let framing = client.head().answer_framing("GET");
    let held_back = told.recv_timeout(PATIENCE).unwrap();
    assert!(held_back < IN_FLIGHT, "{held_back} bytes were taken that nobody read");
    let mut most = proxy.resident();
    let mut received = 0;
    let mut next = BIG / 4;
    client
        .wire
        .body_into(framing, &mut |part| {
            received += part.len() as u64;
            if received >= next {
                next += BIG / 4;
                most = most.max(proxy.resident());
            }
        })
        .unwrap();
    assert_eq!(received, BIG);
    assert!(most < before + GROWTH, "grew from {before} to {most} bytes");
    assert_eq!(client.get("/small").text(), "small");
}

#[test]
fn many_stalled_answers_do_not_stop_the_others() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/big" => ok(vec![b'.'; 16 << 20]),
        _ => ok("small"),
    });
    let proxy = Setup::to(&[&origin]).start();
    let stalled: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Client::connect_narrow(proxy.address(), 4096);
            client.send("GET /big HTTP/1.1\r\nHost: t\r\n\r\n");
            assert_eq!(client.head().status(), 200);
            client
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(proxy.address());
                for _ in 0..20 {
                    assert_eq!(client.get("/small").text(), "small");
                }
            });
        }
    });
    drop(stalled);
    proxy.wait_idle();
}
