//! Answers that ringway itself cuts short, and requests that must not be sent twice.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Setup, ok};

/// An answer that the drain's deadline cuts must not look complete: least of all one that ends with
/// its connection.
#[test]
fn an_answer_cut_by_the_drain_is_reset() {
    for version in ["1.0", "1.1"] {
        let (begun, wait) = mpsc::channel();
        let begun = Mutex::new(begun);
        let origin = Origin::scripted(move |conn| {
            conn.expect_request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\nfirst")?;
            begun.lock().unwrap().send(()).expect("the test waits");
            conn.wire.rest().map(drop)
        });
        let mut proxy = Setup::to(&[&origin]).server("drain_timeout = \"300ms\"").start();
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET / HTTP/{version}\r\nHost: t\r\n\r\n"));
        wait.recv_timeout(PATIENCE).expect("the answer begins");
        assert_eq!(client.head().status(), 200);
        proxy.signal(libc::SIGTERM);
        let (_, end) = client.rest();
        assert_eq!(end, End::Reset, "HTTP/{version}");
        assert_eq!(proxy.wait_exit(), Some(0));
    }
}

/// An idle connection ends cleanly even when the deadline cuts others.
#[test]
fn a_second_signal_cuts_at_once() {
    let (begun, wait) = mpsc::channel();
    let begun = Mutex::new(begun);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        begun.lock().unwrap().send(()).expect("the test waits");
        conn.wire.rest().map(drop)
    });
    let mut proxy = Setup::to(&[&origin]).server("drain_timeout = \"1h\"").start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    wait.recv_timeout(PATIENCE).expect("the request arrives");
    proxy.signal(libc::SIGTERM);
    assert!(proxy.log.wait(0, |line| line.contains(" draining ")).is_some());
    proxy.signal(libc::SIGTERM);
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_exit(), Some(0));
}

/// A kept-alive connection that ends behind an interim answer has answered: the request was seen, and
/// what the client was told must not be told again.
#[test]
fn a_request_that_got_an_interim_answer_is_not_sent_again() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            let target = request.head.target().to_owned();
            log.lock().unwrap().push(target.clone());
            if target == "/hinted" {
                return conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            }
            conn.send(ok("fine"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).workers(1).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/first").text(), "fine");
    client.send("GET /hinted HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    client.answer().expect_error(502, "member", "reset");
    assert_eq!(*seen.lock().unwrap(), ["/first", "/hinted"]);
}

/// Without a host to tell of, nothing is told.
#[test]
fn an_older_client_without_host_has_no_forwarded_host() {
    let origin = Origin::saying("fine");
    let proxy = Setup::to(&[&origin]).start();
    assert_eq!(Client::connect(proxy.address()).ask("GET / HTTP/1.0\r\n\r\n").text(), "fine");
    assert_eq!(origin.only_request().head.get("x-forwarded-host"), None);
}
