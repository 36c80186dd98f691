//! What a client sees when a member fails: 502 or 504 with a reason before the answer has begun,
//! a reset afterwards, and never a hang.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::origin::{refusing, unanswering};
use crate::support::wire::End;
use crate::support::{Client, Origin, PATIENCE, Proxy, Setup, ok};

/// A GET must be answered by ringway itself, and the connection must go on.
#[track_caller]
fn check_error(proxy: &Proxy, status: u16, reason: &str) {
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let answer = client.get("/");
        answer.expect_error(status, "member", reason);
        assert!(!answer.head.closes(), "{:?}", answer.head);
    }
    let head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    client.ask(head).expect_error(status, "member", reason);
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.answer_to("HEAD");
    assert_eq!((answer.status(), answer.body.len()), (status, 0));
    assert_eq!(proxy.stats().total(&format!("error_member_{reason}")), 4);
    drop(client);
    proxy.wait_idle();
}

/// The answer must begin with `start` and then be cut by a reset, for `reason`.
#[track_caller]
fn check_cut(origin: &Origin, pool: &str, start: &str, reason: &str) {
    let proxy = Setup::to(&[origin]).pool(pool).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (bytes, end) = client.rest();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
    // A reset may overtake the last bytes, but nothing may be put in their place.
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(start.starts_with(body), "{body:?}");
    assert_eq!(end, End::Reset, "an answer that was cut ended as if it were whole: {body:?}");
    assert_eq!(proxy.stats().total(&format!("error_member_{reason}")), 1);
    proxy.wait_idle();
}

#[test]
fn connect_refused() {
    let (_socket, address) = refusing();
    check_error(&Setup::to_addresses(&[address]).start(), 502, "connect_refused");
}

#[test]
fn connect_timeout() {
    let (_socket, _fillers, address) = unanswering();
    let setup = Setup::to_addresses(&[address]).pool("timeouts = { connect = \"150ms\" }");
    check_error(&setup.start(), 504, "connect_timeout");
}

#[test]
fn closed_before_the_head() {
    let origin = Origin::blurting("");
    check_error(&Setup::to(&[&origin]).start(), 502, "reset");
}

#[test]
fn reset_before_the_head() {
    let origin = Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.wire.reset();
        Ok(())
    });
    check_error(&Setup::to(&[&origin]).start(), 502, "reset");
}

#[test]
fn closed_at_once() {
    let origin = Origin::scripted(|_| Ok(()));
    check_error(&Setup::to(&[&origin]).start(), 502, "reset");
}

#[test]
fn closed_in_the_head() {
    for part in ["H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let origin = Origin::blurting(part);
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!(answer.status(), 502, "{part:?}");
            assert!(answer.text().starts_with("ringway: member "), "{}", answer.text());
        }
        drop(client);
        proxy.wait_idle();
    }
}

#[test]
fn silent_before_the_head() {
    let origin = Origin::scripted(|conn| conn.wire.rest().map(drop));
    let setup = Setup::to(&[&origin]).pool("timeouts = { response = \"200ms\" }");
    check_error(&setup.start(), 504, "response_timeout");
    origin.wait_all_closed();
}

#[test]
fn silent_in_the_head() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-")?;
        conn.wire.rest().map(drop)
    });
    let setup = Setup::to(&[&origin]).pool("timeouts = { response = \"200ms\" }");
    check_error(&setup.start(), 504, "response_timeout");
}

#[test]
fn a_short_body_resets_the_client() {
    let origin = Origin::blurting("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    check_cut(&origin, "", "short", "short_body");
}

#[test]
fn a_big_short_body_resets_the_client() {
    let body = ".".repeat(3 << 20);
    let origin = Origin::blurting(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len() + 1
    ));
    check_cut(&origin, "", &body, "short_body");
}

#[test]
fn a_cut_chunked_body_resets_the_client() {
    for cut in ["3\r\nabc\r\n", "3\r\nabc\r\n5\r\nhe", "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n0\r\nX: y"]
    {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let origin = Origin::blurting(format!("{head}{cut}"));
        // How the bytes before the cut are put in chunks is the proxy's business.
        let proxy = Setup::to(&[&origin]).start();
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
        assert!(!text.ends_with("0\r\n\r\n"), "made whole: {text:?}");
        assert_eq!(end, End::Reset, "{cut:?}: {text:?}");
        assert_eq!(proxy.stats().total("error_member_short_body"), 1);
        proxy.wait_idle();
    }
}

#[test]
fn a_reset_in_the_body_resets_the_client() {
    let (seen, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let origin = Origin::owning(move |mut conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?;
        wait.lock().unwrap().recv_timeout(PATIENCE).expect("the client has read so far");
        conn.wire.reset();
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.wire.exactly(5).unwrap(), b"short");
    seen.send(()).unwrap();
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    proxy.wait_idle();
}

#[test]
fn a_reset_of_a_close_delimited_body_is_not_a_clean_end() {
    let origin = Origin::owning(|mut conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\nno length")?;
        conn.wire.reset();
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let (bytes, end) = client.rest();
    let text = String::from_utf8_lossy(&bytes);
    // The reset may also have destroyed the head: then there is an answer of our own.
    if !text.starts_with("HTTP/1.1 502 ") {
        assert_eq!(end, End::Reset, "{text:?}");
        assert!(!text.ends_with("0\r\n\r\n"), "{text:?}");
    }
}

#[test]
fn silence_in_the_body_resets_the_client() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")?;
        conn.wire.rest().map(drop)
    });
    check_cut(&origin, "timeouts = { response = \"2s\" }", "first", "body_timeout");
    origin.wait_all_closed();
}

#[test]
fn a_member_that_takes_no_upload_is_a_timeout() {
    const SIZE: u64 = 100_000_000;
    let (over, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        conn.wire.head()?;
        // Reads nothing more, until the test is over.
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap_or_default();
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).pool("timeouts = { response = \"300ms\" }").start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"));
    // Until the answer comes nobody takes it all, and then the proxy may close.
    let sent = client.wire.send_until_stuck(SIZE, Duration::from_millis(200)).unwrap_or_default();
    assert!(sent < SIZE);
    client.answer().expect_error(504, "member", "response_timeout");
    drop(client);
    proxy.wait_idle();
    drop(over);
}

#[test]
fn other_exchanges_go_on_beside_a_failure() {
    let origin = Origin::scripted(|conn| {
        while let Some(request) = conn.request()? {
            match request.head.target() {
                "/bad" => return conn.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
                _ => conn.send(ok("good"))?,
            }
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut steady = Client::connect(proxy.address());
    for _ in 0..10 {
        let mut client = Client::connect(proxy.address());
        client.send("GET /bad HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.rest().1, End::Reset);
        assert_eq!(steady.get("/good").text(), "good");
    }
    assert_eq!(proxy.stats().total("error_member_short_body"), 10);
}
