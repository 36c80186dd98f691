//! Clients that leave or stall: what they held is freed, and nobody waits for them for ever.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Setup, ok};

/// An origin that reads requests and never answers.
fn mute() -> Origin {
    Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.wire.rest().map(drop)
    })
}

#[test]
fn a_client_that_leaves_while_it_waits() {
    for resets in [false, true] {
        let origin = mute();
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        proxy.wait_stat("upstream_active", 1);
        if resets {
            client.wire.reset();
        } else {
            drop(client);
        }
        origin.wait_all_closed();
        proxy.wait_idle();
    }
}

#[test]
fn a_client_that_leaves_while_it_reads() {
    for framing in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))?;
            let chunked = framing.starts_with('T');
            let block = ".".repeat(0x4000);
            let block = if chunked { format!("4000\r\n{block}\r\n") } else { block };
            loop {
                conn.send(&block)?;
            }
        });
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        client.wire.exactly(500_000).unwrap();
        drop(client);
        origin.wait_all_closed();
        proxy.wait_idle();
    }
}

#[test]
fn a_client_that_leaves_in_its_upload() {
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let origin = Origin::saying("must not answer");
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n5\r\nhello\r\n"));
        proxy.wait_stat("upstream_active", 1);
        drop(client);
        origin.wait_all_closed();
        proxy.wait_idle();
        assert_eq!(origin.requests().len(), 0, "half an upload was made a whole one");
        assert_eq!(proxy.stats().total("error_client_gone"), 1);
    }
}

#[test]
fn a_client_that_finishes_in_its_head_is_forgotten() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).start();
    for part in ["", "GET", "GET / HTTP/1.1\r\nHost: t\r\n"] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        client.wire.finish().unwrap();
        client.rest();
    }
    assert_eq!(origin.connections(), 0);
    proxy.wait_idle();
}

#[test]
fn a_client_that_stalls_in_its_head_gets_408() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).listener("timeouts = { head = \"2s\" }").start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.1\r\nHost: t\r\nX-");
    answer.expect_error(408, "client", "head_timeout");
    assert!(answer.head.closes());
    client.expect_close();
    assert_eq!(proxy.stats().total("error_client_head_timeout"), 1);
    proxy.wait_idle();
}

#[test]
fn a_head_that_drips_is_late_all_the_same() {
    let origin = Origin::saying("must not be asked");
    let proxy = Setup::to(&[&origin]).listener("timeouts = { head = \"2s\" }").start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\nX-Drip: ");
    let mut drops = 0;
    while client.wire.silent_for(Duration::from_millis(20)).unwrap() {
        client.send("x");
        drops += 1;
        assert!(drops < 500, "the head may drip for ever");
    }
    client.answer().expect_error(408, "client", "head_timeout");
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let origin = Origin::saying("must not be asked");
    let timeouts = "timeouts = { head = \"200ms\", idle = \"200ms\" }";
    let proxy = Setup::to(&[&origin]).listener(timeouts).start();
    let mut client = Client::connect(proxy.address());
    let (bytes, end) = client.rest();
    assert_eq!(end, End::Clean);
    assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408 "));
    proxy.wait_idle();
}

#[test]
fn an_idle_connection_is_closed_cleanly() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener("timeouts = { idle = \"2s\" }").start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "ok");
    client.expect_close();
    proxy.wait_idle();
}

#[test]
fn a_client_that_stalls_in_its_body_is_let_go() {
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let origin = mute();
        let proxy = Setup::to(&[&origin]).listener("timeouts = { body = \"200ms\" }").start();
        let mut client = Client::connect(proxy.address());
        client.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n5\r\nhello\r\n"));
        let (bytes, _) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        let said = text.is_empty()
            || (text.starts_with("HTTP/1.1 408 ")
                && text.contains("ringway: client body_timeout: "));
        assert!(said, "{text}");
        origin.wait_all_closed();
        assert_eq!(proxy.stats().total("error_client_body_timeout"), 1);
        proxy.wait_idle();
    }
}

#[test]
fn a_client_that_reads_nothing_is_let_go() {
    for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"))?;
            if framing.starts_with('T') {
                conn.send("5f5e100\r\n")?;
            }
            conn.wire.send_until_stuck(100_000_000, PATIENCE).map(drop)
        });
        let proxy = Setup::to(&[&origin]).listener("timeouts = { write = \"300ms\" }").start();
        let mut client = Client::connect_narrow(proxy.address(), 4096);
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        proxy.wait_stat("error_client_write_timeout", 1);
        origin.wait_all_closed();
        proxy.wait_idle();
        let (bytes, end) = client.rest();
        assert!(bytes.len() < 100_000_000);
        assert_eq!(end, End::Reset, "an answer that was cut ended as if it were whole");
    }
}

#[test]
fn a_slow_origin_is_not_the_clients_fault() {
    // The client's timeouts must not run while it is the origin that everybody waits for.
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default();
        conn.send(ok("late"))
    });
    let timeouts = "timeouts = { head = \"1s\", body = \"1s\", idle = \"1s\", write = \"1s\" }";
    let proxy = Setup::to(&[&origin]).listener(timeouts).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody");
    // Well beyond every one of them.
    assert!(client.wire.silent_for(Duration::from_secs(3)).unwrap());
    drop(go);
    assert_eq!(client.answer().text(), "late");
}
