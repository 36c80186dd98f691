//! 1xx: `100 Continue` comes from the origin and from nobody else, other interim answers pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Client, Origin, Setup, exchange, ok};

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn continue_comes_from_the_origin() {
    let allowed = Arc::new(AtomicBool::new(false));
    let allow = Arc::clone(&allowed);
    let origin = Origin::scripted(move |conn| {
        while let Some(head) = conn.wire.head()? {
            assert_eq!(head.get("expect"), Some("100-continue"), "{head:?}");
            allow.store(true, Ordering::SeqCst);
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            let framing = head.request_framing();
            let request = conn.wire.message(head, framing)?;
            conn.send(ok(&request.body))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for body in ["hello", "again"] {
        allowed.store(false, Ordering::SeqCst);
        client.send(EXPECTING);
        let interim = client.head();
        assert_eq!(interim.status(), 100);
        assert!(allowed.load(Ordering::SeqCst), "100 before the origin had said it");
        assert_eq!(client.ask(body).text(), body);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn continue_for_a_chunked_body() {
    let origin = Origin::scripted(move |conn| {
        let head = conn.wire.head()?.expect("a request");
        conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        let framing = head.request_framing();
        let request = conn.wire.message(head, framing)?;
        conn.send(ok(&request.body))
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n");
    client.send("Expect: 100-CONTINUE\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    assert_eq!(client.ask("5\r\nhello\r\n0\r\n\r\n").text(), "hello");
}

#[test]
fn a_final_answer_instead_of_continue() {
    let origin = Origin::scripted(|conn| {
        conn.wire.head()?;
        let head = "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\n";
        conn.send(format!("{head}Content-Length: 3\r\n\r\nno\n"))
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(EXPECTING);
    assert_eq!((answer.status(), answer.text().as_str()), (417, "no\n"));
    // The client may or may not send the body now, so the connection cannot go on.
    client.wire.finish().unwrap();
    client.expect_end();
    proxy.wait_idle();
}

#[test]
fn a_body_that_does_not_wait_passes() {
    let origin = Origin::scripted(|conn| {
        while let Some(request) = conn.request()? {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
            conn.send(ok(&request.body))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        client.send(format!("{EXPECTING}hello"));
        let mut answer = client.answer();
        if answer.status() == 100 {
            answer = client.answer();
        }
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    }
}

#[test]
fn an_origin_may_answer_without_continue() {
    let origin = Origin::serving(|request| ok(&request.body));
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    // It reads the body first, so the client must not wait for ever: it sends when it likes.
    client.send(EXPECTING);
    assert_eq!(client.ask("hello").text(), "hello");
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn early_hints_pass_in_order() {
    let origin = Origin::scripted(|conn| {
        while conn.request()?.is_some() {
            conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
            conn.send(
                "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\n",
            )?;
            conn.send(ok("done"))?;
        }
        Ok(())
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        let hint = client.head();
        assert_eq!((hint.status(), hint.get("link")), (103, Some("</a.css>; rel=preload")));
        assert_eq!(client.head().status(), 102);
        let hint = client.head();
        assert_eq!((hint.status(), hint.get("link")), (103, Some("b")));
        assert_eq!(client.answer().text(), "done");
    }
}

#[test]
fn an_interim_answer_arrives_before_the_final_one_is_there() {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")?;
        wait.lock().unwrap().recv_timeout(crate::support::PATIENCE).expect("the client's word");
        conn.send(ok("done"))
    });
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "done");
}

#[test]
fn http_1_0_gets_no_interim_answer() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")?;
        conn.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        conn.send(ok("done"))
    });
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(proxy.address(), "GET / HTTP/1.0\r\nHost: t\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "done"));
}

#[test]
fn a_connection_that_ends_after_an_interim_answer_is_a_reset_or_502() {
    let origin = Origin::blurting("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
    let proxy = Setup::to(&[&origin]).start();
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    client.answer().expect_error(502, "member", "reset");
    proxy.wait_stat("upstream_active", 0);
}
