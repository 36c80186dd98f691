//! TLS together with what comes before it and instead of HTTP: terminated and passed through on one
//! port, behind and in front of the PROXY protocol, in tunnels and relayed connections.

use std::sync::Arc;

use super::support::certs::Authority;
use super::support::tls::{Tls, server, server_connection};
use super::support::wire::End;
use super::support::{Client, Conn, Origin, Setup, eventually, ok};
use super::tls;

/// Ends the TLS of clients of `a.test`.
fn terminating(setup: Setup, authority: &Authority) -> Setup {
    tls::terminating(setup, &authority.sign(&["a.test"]))
}

/// A member that speaks TLS behind a line of the PROXY protocol, if it is to expect one, and says
/// that line.
fn secure_member(authority: &Authority, name: &str, announced: bool) -> Origin {
    let config = server(&authority.sign(&[name]), None);
    Origin::scripted(move |conn: &mut Conn| {
        let mut line = b"none\r\n".to_vec();
        if announced {
            line = conn.wire.through(b"\r\n")?.unwrap_or_default();
        }
        conn.wire.secure(server_connection(&config))?;
        while conn.request()?.is_some() {
            conn.send(ok(String::from_utf8_lossy(&line).trim_end()))?;
        }
        Ok(())
    })
}

#[test]
fn one_port_terminates_some_names_and_passes_others_through() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let inside = Origin::saying("terminated");
    let tenant = secure_member(&theirs, "b.tenant.example", false);
    let (web, tenant_address) = (inside.address(), tenant.address());
    let body = format!(
        "[[listener.web.passthrough]]\nsni = [\"*.tenant.example\"]\npool = \"tenant\"\n\
         [[route]]\npool = \"web\"\n[pool.web]\nmembers = [\"{web}\"]\n\
         [pool.tenant]\nmembers = [\"{tenant_address}\"]\n"
    );
    let setup = Setup::with_body(body);
    let proxy = terminating(setup, &ours).start();
    for _ in 0..2 {
        let mut client = Tls::trusting(&ours).connect(proxy.address(), "a.test");
        assert_eq!(client.get("/").text(), "terminated");
        // Shown by the member itself.
        let mut client = Tls::trusting(&theirs).connect(proxy.address(), "b.tenant.example");
        assert_eq!(client.get("/").text(), "none");
        assert!(Tls::trusting(&ours).try_connect(proxy.address(), "b.tenant.example").is_err());
    }
    // Neither a name nor TLS: told by whoever terminates.
    let mut client = Client::connect(proxy.address());
    let answer = client.ask("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(answer.status(), 400);
    proxy.wait_idle();
    let stats = proxy.stats();
    assert_eq!((stats.total("tls_handshakes"), stats.total("relays")), (2, 4));
    assert_eq!(stats.total("error_client_tls_plain_http"), 1);
}

#[test]
fn a_header_comes_before_the_tls_of_clients() {
    let authority = Authority::new("test");
    let origin = Origin::saying("hello");
    let setup = Setup::to(&[&origin]);
    let listener = "proxy_protocol = { trusted = [\"127.0.0.0/8\"] }";
    let proxy = terminating(setup, &authority).listener(listener).start();
    let mut client = Client::connect(proxy.address());
    client.send("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n");
    client.wire.secure(Tls::trusting(&authority).connection("a.test")).expect("a handshake");
    assert_eq!(client.get("/").text(), "hello");
    let request = origin.only_request();
    assert_eq!(request.head.get("x-forwarded-for"), Some("203.0.113.9"));
    assert_eq!(request.head.get("x-forwarded-proto"), Some("https"));
    assert_eq!(request.head.get("x-forwarded-port"), Some("443"));
}

#[test]
fn a_header_comes_before_the_tls_of_members() {
    let authority = Authority::new("internal");
    let member = secure_member(&authority, "127.0.0.1", true);
    let pool = "proxy_protocol = \"v1\"\ntls = { ca = \"ca.pem\" }\n\
                health = { interval = \"1s\", timeout = \"950ms\", start = \"down\" }";
    let setup = Setup::to(&[&member]).beside("ca.pem", authority.pem()).pool(pool).workers(1);
    let proxy = setup.start();
    // A probe has been through it.
    proxy.wait_stat("members_out", 0);
    let mut client = Client::connect(proxy.address());
    let here = client.wire.stream().local_addr().unwrap();
    let expected =
        format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", here.port(), proxy.address().port());
    assert_eq!(client.get("/").text(), expected);
}

/// What a member hears of the TLS that ended here: the name and the version.
#[test]
fn members_hear_of_the_tls_of_clients() {
    let authority = Authority::new("test");
    let member = Origin::scripted(|conn: &mut Conn| {
        let head = conn.wire.exactly(16)?;
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        let rest = conn.wire.exactly(length)?;
        // Behind two addresses and two ports of IPv4.
        let extensions = String::from_utf8_lossy(&rest[12..]).into_owned();
        while conn.request()?.is_some() {
            conn.send(ok(extensions.as_str()))?;
        }
        Ok(())
    });
    let setup = Setup::to(&[&member]).pool("proxy_protocol = \"v2\"");
    let proxy = terminating(setup, &authority).start();
    let tls = Tls::trusting(&authority).only_13().alpn(&["http/1.1"]);
    let mut client = tls.connect(proxy.address(), "a.test");
    let said = client.get("/").text();
    let expected =
        "\u{1}\0\u{8}http/1.1\u{2}\0\u{6}a.test\u{20}\0\u{f}\u{1}\0\0\0\u{1}\u{21}\0\u{7}TLSv1.3";
    assert!(said.starts_with(expected), "{said:?}");
}

#[test]
fn tunnels_pass_through_tls_on_both_sides() {
    let authority = Authority::new("test");
    let config = server(&authority.sign(&["127.0.0.1"]), None);
    let member = Origin::scripted(move |conn: &mut Conn| {
        conn.wire.secure(server_connection(&config))?;
        conn.wire.head()?.expect("a request");
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        )?;
        let (bytes, _) = conn.wire.rest()?;
        conn.send([b"got ".as_slice(), &bytes].concat())?;
        conn.wire.finish()
    });
    let setup =
        Setup::to(&[&member]).beside("ca.pem", authority.pem()).pool("tls = { ca = \"ca.pem\" }");
    let proxy = terminating(setup, &authority).start();
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    let sent: Vec<u8> = (0..300_000u32).map(|byte| byte as u8).collect();
    client.send(&sent);
    client.wire.finish().unwrap();
    let (bytes, end) = client.rest();
    assert_eq!((bytes.len(), end), (sent.len() + 4, End::Clean));
    assert!(bytes[4..] == sent, "changed on the way");
    proxy.wait_idle();
}

#[test]
fn plain_connections_are_relayed_in_tls() {
    let authority = Authority::new("internal");
    let config = server(&authority.sign(&["127.0.0.1"]), None);
    let member = Origin::scripted(move |conn: &mut Conn| {
        conn.wire.secure(server_connection(&Arc::clone(&config)))?;
        let (bytes, _) = conn.wire.rest()?;
        conn.send([b"got ".as_slice(), &bytes].concat())?;
        conn.wire.finish()
    });
    let address = member.address();
    let setup = Setup::with_body(format!(
        "protocol = \"tcp\"\npool = \"db\"\n[pool.db]\nmembers = [\"{address}\"]\n\
         tls = {{ ca = \"ca.pem\" }}\n"
    ));
    let proxy = setup.beside("ca.pem", authority.pem()).start();
    let mut client = Client::connect(proxy.address());
    client.send("hello");
    client.wire.finish().unwrap();
    assert_eq!(client.rest(), (b"got hello".to_vec(), End::Clean));
    eventually("its connection ended", || proxy.stats().total("upstream_active") == 0);
}

/// A body that streams from a client in TLS is sent again, byte for byte, when its member dies.
#[test]
fn uploads_in_tls_are_sent_again() {
    let authority = Authority::new("test");
    let dying = Origin::scripted(|conn: &mut Conn| {
        conn.wire.head()?;
        conn.wire.exactly(20_000)?;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    let healthy = Origin::saying("done");
    let setup = Setup::to(&[&dying, &healthy]).workers(1);
    let proxy = terminating(setup, &authority).start();
    let body: Vec<u8> = (0..60_000u32).map(|byte| (byte * 7) as u8).collect();
    for round in 0..4 {
        let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
        client.send("PUT /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 60000\r\n\r\n");
        for piece in body.chunks(7_000) {
            client.send(piece);
        }
        assert_eq!(client.answer().text(), "done", "round {round}");
    }
    assert!(healthy.requests().iter().all(|request| request.body == body));
    assert_eq!(healthy.requests().len(), 4);
    assert!(proxy.stats().total("retries") >= 1);
}
