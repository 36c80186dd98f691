//! The keepalive race: an origin closes an idle connection just when it is used again.

use std::sync::Mutex;
use std::sync::mpsc;

use crate::support::{Client, Origin, PATIENCE, Setup, ok};

const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";

/// Answers one request of each connection, and closes when it has read the next one.
fn closing_on_the_second() -> Origin {
    Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send(ok("fresh"))?;
        conn.wire.head().map(drop)
    })
}

#[test]
fn an_idempotent_request_is_sent_again_unseen() {
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let origin = closing_on_the_second();
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        for number in 0..5 {
            let answer = client.ask(format!("{method} /{number} HTTP/1.1\r\nHost: t\r\n\r\n"));
            assert_eq!((answer.status(), answer.text().as_str()), (200, "fresh"), "{method}");
        }
        assert_eq!(origin.connections(), 5);
    }
}

#[test]
fn a_reset_of_an_idle_connection_is_unseen_too() {
    let origin = Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.send(ok("fresh"))?;
        conn.wire.head()?;
        conn.wire.reset();
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "fresh");
    }
}

#[test]
fn a_post_that_was_sent_is_not_sent_again() {
    let origin = closing_on_the_second();
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "fresh");
    client.ask(POST).expect_error(502, "member", "reset");
    assert_eq!(origin.connections(), 1);
    // And the next one finds a connection that works.
    assert_eq!(client.ask(POST).text(), "fresh");
}

#[test]
fn a_connection_seen_closed_is_not_used() {
    let (closed, told) = mpsc::channel();
    let closed = Mutex::new(closed);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send(ok("fresh"))?;
        conn.wire.finish()?;
        closed.lock().unwrap().send(()).unwrap();
        conn.wire.rest().map(drop)
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..5 {
        assert_eq!(client.ask(POST).text(), "fresh");
        // The FIN lies in the proxy's socket now.
        told.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(origin.connections(), 5);
}

#[test]
fn an_origin_that_closes_after_each_answer_is_no_trouble() {
    let origin = Origin::blurting(ok("once"));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..200 {
        assert_eq!(client.get("/").text(), "once");
    }
    drop(client);
    proxy.wait_idle();
}

#[test]
fn a_restarted_origin_is_found_again() {
    // Every idle connection dies at once, as when an origin restarts.
    let (die, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        if conn.index < 4 {
            conn.expect_request()?;
            conn.send(ok("old"))?;
            // All hold until the sender is dropped.
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default();
            return Ok(());
        }
        while conn.request()?.is_some() {
            conn.send(ok("new"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).workers(1).start();
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(proxy.address())).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    for client in &mut clients {
        client.answer();
    }
    drop(die);
    origin.wait_all_closed();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "new");
    }
}
