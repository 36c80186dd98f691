//! TLS with clients: how connections end, and what that says.

use super::support::certs::Authority;
use super::support::tls::Tls;
use super::support::wire::End;
use super::support::{Client, Origin};
use super::tls::{start, with};

#[test]
fn ends_are_announced_and_cuts_are_not() {
    let origin = Origin::scripted(|conn| {
        let request = conn.expect_request()?;
        match request.head.target() {
            "/close" => conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"),
            _ => conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it"),
        }
    });
    let (authority, proxy) = start(&origin);
    let tls = Tls::trusting(&authority);
    // To HTTP/1.0 the end of the connection is the end of the body.
    let mut client = tls.connect(proxy.address(), "a.test");
    client.send("GET /close HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 200);
    let (body, end) = client.rest();
    assert_eq!((&body[..], end), (&b"all of it"[..], End::Clean));
    // One that was cut must not look complete.
    let mut client = tls.connect(proxy.address(), "a.test");
    client.send("GET /cut HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let (_, end) = client.rest();
    assert_eq!(end, End::Reset);
    // An idle client is told, too.
    let origin = Origin::saying("hello");
    let idle =
        with(&authority.sign(&["a.test"]), &origin).listener("timeouts.idle = \"100ms\"").start();
    let mut client = tls.connect(idle.address(), "a.test");
    client.get("/");
    assert_eq!(client.rest(), (Vec::new(), End::Clean));
}

#[test]
fn a_client_that_has_said_its_end_still_gets_its_answer() {
    let origin = Origin::saying("hello");
    let (authority, proxy) = start(&origin);
    for announced in [true, false] {
        let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        if announced {
            client.wire.finish().expect("the end");
        } else {
            client.wire.stream().shutdown(std::net::Shutdown::Write).expect("the end");
        }
        assert_eq!(client.answer().text(), "hello");
        assert_eq!(client.rest(), (Vec::new(), End::Clean));
    }
    proxy.wait_idle();
    assert_eq!(proxy.stats().total("panics"), 0);
}

#[test]
fn a_slow_reader_gets_everything() {
    const SIZE: usize = 3 << 20;
    let origin = Origin::serving(|_| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + SIZE, b'z');
        answer
    });
    let (authority, proxy) = start(&origin);
    let mut client = Client::connect_narrow(proxy.address(), 4096);
    client.wire.secure(Tls::trusting(&authority).connection("a.test")).expect("a handshake");
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    client.head();
    let mut left = SIZE;
    while left > 0 {
        left -= client.wire.some(50_000).expect("a part").len();
    }
    assert_eq!(client.rest(), (Vec::new(), End::Clean));
}

#[test]
fn upgraded_connections_are_tunnels_in_tls() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n",
        )?;
        for _ in 0..100 {
            let got = conn.wire.exactly(5)?;
            conn.send(got)?;
        }
        conn.wire.exactly(3)?;
        conn.wire.finish()?;
        assert!(conn.wire.some(1).is_err());
        Ok(())
    });
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    for _ in 0..100 {
        client.send("hello");
        assert_eq!(client.wire.exactly(5).expect("an echo"), b"hello");
    }
    client.send("end");
    // The member ended its side; then we end ours.
    assert_eq!(client.rest(), (Vec::new(), End::Clean));
    client.wire.finish().expect("the end");
    origin.wait_all_closed();
    proxy.wait_idle();
}

#[test]
fn an_answer_that_the_end_of_the_process_cuts_does_not_look_complete() {
    let origin = Origin::scripted(|conn| {
        conn.expect_request()?;
        conn.send("HTTP/1.1 200 OK\r\n\r\nhalf of it")?;
        // Until the proxy goes.
        while conn.wire.some(1).is_ok() {}
        Ok(())
    });
    let authority = Authority::new("test");
    let mut proxy =
        with(&authority.sign(&["a.test"]), &origin).server("drain_timeout = \"100ms\"").start();
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    client.head();
    assert_eq!(client.wire.exactly(10).expect("the half"), b"half of it");
    proxy.signal(libc::SIGTERM);
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
    assert_eq!(proxy.wait_exit(), Some(0));
}

#[test]
fn idle_connections_are_told_of_the_end_of_the_process() {
    let origin = Origin::saying("hello");
    let (authority, mut proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    client.get("/");
    proxy.signal(libc::SIGTERM);
    assert_eq!(client.rest(), (Vec::new(), End::Clean));
    assert_eq!(proxy.wait_exit(), Some(0));
}
