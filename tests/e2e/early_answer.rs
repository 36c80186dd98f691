//! An origin that answers before it has the whole body: the client gets that answer.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::support::{Client, Origin, PATIENCE, Setup, answer_with, eventually, ok};

const SIZE: usize = 2 << 20;

fn upload_head() -> String {
    format!("POST /up HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n")
}

/// How an origin goes on after it has answered too early.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Stops reading and holds the connection.
    Stops,
    /// Closes, with unread bytes: the kernel sends RST.
    Closes,
    /// Reads on to the end of the body.
    ReadsOn,
}

/// An origin that answers each upload after its head.
fn hasty(answer: Vec<u8>, then: Then) -> (Origin, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel();
    let wait = Arc::new(Mutex::new(wait));
    let origin = Origin::scripted(move |conn| {
        let Some(head) = conn.wire.head()? else { return Ok(()) };
        conn.send(&answer)?;
        match then {
            // The sender goes when the test is over.
            Then::Stops => wait.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default(),
            Then::Closes => {}
            Then::ReadsOn => {
                let framing = head.request_framing();
                conn.wire.message(head, framing)?;
                conn.wire.rest()?;
            }
        }
        Ok(())
    });
    (origin, release)
}

#[test]
fn the_answer_comes_while_the_upload_waits() {
    for then in [Then::Stops, Then::Closes, Then::ReadsOn] {
        for status in ["413 Content Too Large", "200 OK"] {
            let (origin, _release) = hasty(answer_with(status, &[], b"early"), then);
            let proxy = Setup::to(&[&origin]).start();
            let mut client = Client::connect(proxy.address());
            client.send(upload_head());
            client.send(vec![b'.'; 1000]);
            let answer = client.answer();
            assert_eq!(answer.head.start, format!("HTTP/1.1 {status}"), "{then:?}");
            assert_eq!(answer.text(), "early", "{then:?}");
        }
    }
}

#[test]
fn the_answer_comes_to_a_client_that_sends_everything_first() {
    for then in [Then::Stops, Then::Closes, Then::ReadsOn] {
        let (origin, _release) = hasty(answer_with("413 Content Too Large", &[], b"early"), then);
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send(upload_head());
        // When the proxy does not read on it closes, which a client notices only here.
        let sent = client.wire.send(vec![b'.'; SIZE]);
        let head = client.wire.head().unwrap_or_else(|error| panic!("{then:?}: {error}, {sent:?}"));
        assert_eq!(head.expect("a head").status(), 413, "{then:?}");
    }
}

#[test]
fn the_answer_comes_in_the_middle_of_a_chunked_upload() {
    for then in [Then::Stops, Then::Closes, Then::ReadsOn] {
        let (origin, _release) = hasty(answer_with("403 Forbidden", &[], b"early"), then);
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text().as_str()), (403, "early"), "{then:?}");
    }
}

#[test]
fn an_upload_goes_on_behind_an_early_answer_or_the_connection_ends() {
    let (origin, _release) = hasty(ok("early"), Then::ReadsOn);
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send(upload_head());
    let answer = client.answer();
    assert_eq!(answer.text(), "early");
    let sent = client.wire.send(vec![b'.'; SIZE]);
    if answer.head.closes() {
        return;
    }
    // Kept: then the next request must be read where the body ends.
    sent.expect("the connection is kept, so the body is taken");
    assert_eq!(client.get("/next").text(), "early");
}

#[test]
fn nothing_is_left_of_a_cut_upload() {
    let (origin, release) = hasty(answer_with("413 Content Too Large", &[], b"early"), Then::Stops);
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send(upload_head());
    client.send(vec![b'.'; 100_000]);
    assert_eq!(client.answer().status(), 413);
    drop(client);
    drop(release);
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn an_upstream_connection_with_half_a_body_is_not_used_again() {
    let origin = Origin::scripted(|conn| {
        if conn.index == 0 {
            conn.wire.head()?;
            conn.send(answer_with("413 Content Too Large", &[], b"early"))?;
            return conn.wire.rest().map(drop);
        }
        conn.expect_request()?;
        conn.send(ok("fresh"))
    });
    let proxy = Setup::to(&[&origin]).workers(1).start();
    let mut client = Client::connect(proxy.address());
    client.send(upload_head());
    assert_eq!(client.answer().status(), 413);
    drop(client);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "fresh");
    eventually("both connections were opened", || origin.connections() == 2);
}

/// Request and answer in turns, as RPC over HTTP/1.1 does.
#[test]
fn body_and_answer_may_run_side_by_side() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            let chunk = conn.wire.chunk()?;
            if chunk.is_empty() {
                conn.wire.trailers()?;
                return conn.send("0\r\n\r\n");
            }
            echo(conn, &chunk)?;
        }
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    for number in 0..20 {
        client.send(format!("4\r\n{number:04}\r\n"));
        assert_eq!(client.wire.exactly(4 + 5).unwrap(), format!("4\r\n{number:04}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.wire.exactly(5).unwrap(), b"0\r\n\r\n");
}

fn echo(conn: &mut crate::support::Conn, chunk: &[u8]) -> io::Result<()> {
    conn.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
}
