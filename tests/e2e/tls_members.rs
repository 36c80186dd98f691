//! TLS to members: who is trusted, who is not, and what becomes of requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::certs::{Authority, Leaf, Valid};
use super::support::proxy::value_in;
use super::support::tls::{Tls, server, server_connection, server_of};
use super::support::wire::End;
use super::support::{Client, Origin, Proxy, Setup, eventually, exchange, ok};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// A member with this certificate, which may ask for one of the proxy; says `hello` and how it was
/// spoken to.
fn member(leaf: &Leaf, clients: Option<&Authority>) -> Origin {
    let config = server(leaf, clients);
    Origin::scripted(move |conn| {
        conn.wire.secure(server_connection(&config))?;
        while let Some(request) = conn.request()? {
            let tls = conn.wire.tls();
            let resumed = tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            let own = tls.peer_certificates().map_or(0, <[_]>::len);
            let length = request.body.len();
            conn.send(ok(format!("hello resumed={resumed} certificates={own} body={length}")))?;
        }
        Ok(())
    })
}

fn to(members: &[&Origin], tls: &str, authority: &Authority) -> Setup {
    Setup::to(members)
        .workers(1)
        .beside("ca.pem", authority.pem())
        .pool(format!("tls = {{ {tls} }}"))
}

fn ask(proxy: &Proxy) -> (u16, String) {
    let answer = exchange(proxy.address(), GET);
    (answer.status(), answer.text())
}

#[test]
fn members_that_prove_who_they_are_serve() {
    let authority = Authority::new("internal");
    let by_name = member(&authority.sign(&["api.internal"]), None);
    let named = "ca = \"ca.pem\", server_name = \"api.internal\"";
    let proxy = to(&[&by_name], named, &authority).start();
    assert_eq!(ask(&proxy), (200, "hello resumed=false certificates=0 body=0".to_owned()));
    // On the connection that is kept.
    assert_eq!(ask(&proxy).0, 200);
    assert_eq!((by_name.connections(), proxy.stats().total("upstream_reuses")), (1, 1));
    // Without a name, the address is what they must prove to be.
    let by_address = member(&authority.sign(&["127.0.0.1"]), None);
    let proxy = to(&[&by_address], "ca = \"ca.pem\"", &authority).start();
    assert_eq!(ask(&proxy).0, 200);
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new("internal");
    let origin = member(&authority.sign(&["127.0.0.1"]), None);
    let setup = to(&[&origin], "ca = \"ca.pem\"", &authority).pool("keepalive.idle = 0");
    let proxy = setup.start();
    let texts: Vec<_> = (0..4).map(|_| ask(&proxy).1).collect();
    assert!(texts[0].contains("resumed=false"), "{texts:?}");
    assert!(texts[1..].iter().all(|text| text.contains("resumed=true")), "{texts:?}");
}

#[test]
fn members_that_cannot_prove_it_are_not_spoken_to() {
    let (authority, stranger) = (Authority::new("internal"), Authority::new("stranger"));
    let algorithm = &rcgen::PKCS_ED25519;
    let cases = [
        (authority.sign(&["other.internal"]), "tls_wrong_name"),
        (stranger.sign(&["127.0.0.1"]), "tls_unknown_issuer"),
        (authority.sign_with(&["127.0.0.1"], Valid::Past, algorithm), "tls_expired"),
        (authority.sign_with(&["127.0.0.1"], Valid::Future, algorithm), "tls_expired"),
    ];
    for (leaf, reason) in cases {
        let config = server(&leaf, None);
        let origin = Origin::scripted(move |conn| {
            let secured = conn.wire.secure(server_connection(&config));
            // Not a byte of the request; at the latest the first read fails.
            assert!(secured.is_err() || conn.wire.some(1).is_err());
            Ok(())
        });
        let setup = to(&[&origin], "ca = \"ca.pem\"", &authority).pool("retry = \"off\"");
        let proxy = setup.pool("eject = { failures = 3 }").start();
        exchange(proxy.address(), GET).expect_error(502, "member", reason);
        let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
        exchange(proxy.address(), post).expect_error(502, "member", reason);
        assert_eq!(proxy.stats().total(&format!("error_member_{reason}")), 2);
        let told = |line: &String| line.contains("no TLS with a member");
        eventually("the log says so", || proxy.log.all().iter().any(told));
        let all = proxy.log.all();
        let line = all.iter().find(|line| told(line)).expect("a line");
        assert_eq!(value_in(line, "pool"), Some("main"), "{line}");
        // Once: not for every request.
        assert_eq!(proxy.log.all().iter().filter(|line| told(line)).count(), 1);
        assert_eq!(origin.requests().len(), 0);
        // Whoever does not care must say so.
        let careless = to(&[&member(&leaf, None)], "verify = false", &authority).start();
        assert!(careless.log.all().iter().any(|line| line.contains("need not prove who they are")));
    }
}

#[test]
fn a_member_without_tls_is_no_member() {
    let authority = Authority::new("internal");
    let plain = Origin::scripted(|conn| {
        _ = conn.wire.some(1)?;
        conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    });
    let proxy = to(&[&plain], "ca = \"ca.pem\"", &authority).start();
    exchange(proxy.address(), GET).expect_error(502, "member", "tls_handshake");
    // One that takes the connection and says nothing.
    let silent = Origin::scripted(|conn| {
        while conn.wire.some(1000).is_ok() {}
        Ok(())
    });
    let setup = to(&[&silent], "ca = \"ca.pem\"", &authority).pool("timeouts.connect = \"200ms\"");
    exchange(setup.start().address(), GET).expect_error(504, "member", "connect_timeout");
}

#[test]
fn requests_go_on_to_a_member_that_can_prove_it() {
    let (authority, stranger) = (Authority::new("internal"), Authority::new("stranger"));
    let (good, bad) = (
        member(&authority.sign(&["127.0.0.1"]), None),
        member(&stranger.sign(&["127.0.0.1"]), None),
    );
    let proxy = to(&[&bad, &good], "ca = \"ca.pem\"", &authority)
        .pool("eject = { failures = 1 }\nretry.on = [\"connect\"]")
        .start();
    // Also those that may be sent only once: nothing of them was.
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
    for _ in 0..10 {
        let answer = exchange(proxy.address(), post);
        assert!(answer.text().ends_with("body=3"), "{}", answer.text());
    }
    assert_eq!(bad.requests().len(), 0);
    proxy.wait_stat("members_out", 1);
}

#[test]
fn members_that_ask_are_shown_a_certificate() {
    let (authority, clients) = (Authority::new("internal"), Authority::new("clients"));
    let own = clients.sign(&["ringway"]);
    let origin = member(&authority.sign(&["127.0.0.1"]), Some(&clients));
    let with = "ca = \"ca.pem\", client_certificate = { chain = \"own.crt\", key = \"own.key\" }";
    let proxy = to(&[&origin], with, &authority)
        .beside("own.crt", own.chain_pem())
        .beside("own.key", own.key_pem())
        .start();
    assert_eq!(ask(&proxy).1, "hello resumed=false certificates=1 body=0");
    let without = to(&[&origin], "ca = \"ca.pem\"", &authority).start();
    assert_eq!(ask(&without).0, 502);
}

#[test]
fn large_bodies_go_both_ways_through_tls_on_both_sides() {
    const SIZE: usize = 5 << 20;
    let (authority, front) = (Authority::new("internal"), Authority::new("front"));
    let config = server(&authority.sign(&["127.0.0.1"]), None);
    let origin = Origin::scripted(move |conn| {
        conn.wire.secure(server_connection(&config))?;
        while let Some(request) = conn.request()? {
            conn.send(ok(request.body))?;
        }
        Ok(())
    });
    let leaf = front.sign(&["a.test"]);
    let proxy = to(&[&origin], "ca = \"ca.pem\"", &authority)
        .beside("a.crt", leaf.chain_pem())
        .beside("a.key", leaf.key_pem())
        .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]")
        .start();
    let body: Vec<u8> = (0..SIZE).map(|i| (i / 3 % 249) as u8).collect();
    let mut client = Tls::trusting(&front).connect(proxy.address(), "a.test");
    for _ in 0..2 {
        client.send(format!("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {SIZE}\r\n\r\n"));
        client.send(&body);
        assert!(client.answer().body == body);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_until_close_is_whole_only_if_its_end_is_announced() {
    let authority = Authority::new("internal");
    for announced in [true, false] {
        let config = server(&authority.sign(&["127.0.0.1"]), None);
        let origin = Origin::scripted(move |conn| {
            conn.wire.secure(server_connection(&config))?;
            conn.expect_request()?;
            conn.send("HTTP/1.1 200 OK\r\n\r\nsome of it")?;
            if announced {
                conn.wire.finish()?;
            }
            Ok(())
        });
        let proxy = to(&[&origin], "ca = \"ca.pem\"", &authority).start();
        let mut client = Client::connect(proxy.address());
        // So that the end of the connection is the end of the body here, too.
        client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
        client.head();
        let end = client.rest().1;
        assert_eq!(end, if announced { End::Clean } else { End::Reset });
        let cut = proxy.stats().total("error_member_short_body");
        assert_eq!(cut, i64::from(!announced));
    }
}

/// A member that answers, then sends what nobody asked for, must not be believed.
#[test]
fn what_a_member_sends_unasked_is_no_answer() {
    let authority = Authority::new("internal");
    let config = server(&authority.sign(&["127.0.0.1"]), None);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let origin = Origin::scripted(move |conn| -> io::Result<()> {
        conn.wire.secure(server_connection(&config))?;
        conn.expect_request()?;
        conn.send(ok("first"))?;
        conn.send(ok("unasked"))?;
        counted.fetch_add(1, Ordering::SeqCst);
        while conn.wire.some(1000).is_ok() {}
        Ok(())
    });
    let proxy = to(&[&origin], "ca = \"ca.pem\"", &authority).start();
    for round in 1..=3 {
        assert_eq!(ask(&proxy), (200, "first".to_owned()));
        // What comes behind the next request would be its answer to everybody.
        eventually("it is sent", || sent.load(Ordering::SeqCst) == round);
    }
}

#[test]
fn probes_speak_tls_too() {
    let (authority, stranger) = (Authority::new("internal"), Authority::new("stranger"));
    let (good, bad) = (
        member(&authority.sign(&["127.0.0.1"]), None),
        member(&stranger.sign(&["127.0.0.1"]), None),
    );
    for kind in ["http", "tcp"] {
        let probe = format!(
            "health = {{ type = \"{kind}\", interval = \"1s\", timeout = \"950ms\", start = \"down\" }}"
        );
        let proxy = to(&[&good, &bad], "ca = \"ca.pem\"", &authority).pool(&probe).start();
        eventually("the good one is in", || ask(&proxy).0 == 200);
        for _ in 0..10 {
            assert_eq!(ask(&proxy).0, 200);
        }
        assert_eq!(proxy.stats().total("members_out"), 1);
        assert_eq!(proxy.stats().total("error_member_tls_unknown_issuer"), 0);
    }
    assert_eq!(bad.requests().len(), 0);
}

/// What `openssl req -x509` makes: a certificate that is its own issuer.
#[test]
fn a_self_signed_member_is_known_by_its_own_certificate() {
    let (own, other) = (Authority::for_host("127.0.0.1"), Authority::for_host("127.0.0.1"));
    let elsewhere = Authority::for_host("192.0.2.1");
    for (member_is, trusted, expected) in [
        (&own, &own, None),
        (&own, &other, Some("tls_unknown_issuer")),
        (&elsewhere, &elsewhere, Some("tls_wrong_name")),
    ] {
        let config = server_of(member_is.chain(), member_is.key(), None);
        let origin = Origin::scripted(move |conn| {
            conn.wire.secure(server_connection(&config))?;
            while conn.request()?.is_some() {
                conn.send(ok("hello"))?;
            }
            Ok(())
        });
        let proxy = to(&[&origin], "ca = \"ca.pem\"", trusted).start();
        let answer = exchange(proxy.address(), GET);
        match expected {
            None => assert_eq!(answer.text(), "hello"),
            Some(reason) => answer.expect_error(502, "member", reason),
        }
    }
}
