//! The PROXY protocol: read from a load balancer in front, written for members.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::proxy::{value_in, wait_lines};
use crate::support::wire::{End, Wire};
use crate::support::{Client, Conn, Origin, Setup, eventually, ok};

const TRUSTING: &str = "proxy_protocol = { trusted = [\"127.0.0.0/8\"] }";
const OPTIONAL: &str = "proxy_protocol = { trusted = [\"127.0.0.1\"], mode = \"optional\" }";
const STRANGERS: &str = "proxy_protocol = { trusted = [\"192.0.2.0/24\"] }";
const LINE: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, rest].concat()
}

/// The same addresses as in [`LINE`].
fn binary() -> Vec<u8> {
    v2(1, 0x11, &[203, 0, 113, 9, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB])
}

/// The listener's other end for TCP.
fn relaying(origin: &Origin, pool: &str) -> Setup {
    let member = origin.address();
    Setup::with_body(format!("[pool.main]\nmembers = [\"{member}\"]\n{pool}\n"))
        .listener("protocol = \"tcp\"\npool = \"main\"")
}

#[test]
fn the_address_of_the_header_is_the_clients() {
    for header in [LINE.as_bytes().to_vec(), binary()] {
        let origin = Origin::saying("ok");
        let proxy = Setup::to(&[&origin])
            .listener(TRUSTING)
            .server("access_log = \"{directory}/access.log\"")
            .start();
        let mut client = Client::connect(proxy.address());
        let answer = client.ask([&header, GET.as_bytes()].concat());
        assert_eq!(answer.text(), "ok");
        client.get("/again");
        for request in origin.requests() {
            assert_eq!(request.head.get("x-forwarded-for"), Some("203.0.113.9"));
            assert_eq!(request.head.get("x-real-ip"), Some("203.0.113.9"));
            assert_eq!(request.head.get("x-forwarded-port"), Some("443"));
        }
        let lines = wait_lines(&proxy.directory().join("access.log"), 2);
        assert!(lines.iter().all(|line| line.starts_with("203.0.113.9 ")), "{lines:?}");
    }
}

#[test]
fn a_header_may_come_in_pieces() {
    for header in [LINE.as_bytes().to_vec(), binary()] {
        let origin = Origin::saying("ok");
        let proxy = Setup::to(&[&origin]).listener(TRUSTING).start();
        let mut client = Client::connect(proxy.address());
        for byte in &header {
            client.send([*byte]);
        }
        assert_eq!(client.get("/").text(), "ok");
        assert_eq!(origin.only_request().head.get("x-real-ip"), Some("203.0.113.9"));
    }
}

#[test]
fn a_header_with_large_extensions_fits() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener(TRUSTING).start();
    let mut client = Client::connect(proxy.address());
    let mut rest = vec![203, 0, 113, 9, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB, 0xEE, 0x0F, 0xF1];
    rest.resize(4096, b'x');
    client.send(v2(1, 0x11, &rest));
    assert_eq!(client.get("/").text(), "ok");
    let mut client = Client::connect(proxy.address());
    rest.push(b'x');
    client.send(v2(1, 0x11, &rest));
    client.expect_end();
    assert_eq!(proxy.stats().total("error_client_bad_proxy_header"), 1);
}

#[test]
fn a_header_without_a_client_leaves_the_peer() {
    for header in ["PROXY UNKNOWN\r\n".into(), v2(0, 0, &[]), v2(1, 0x31, &[0; 216])] {
        let origin = Origin::saying("ok");
        let proxy = Setup::to(&[&origin]).listener(TRUSTING).start();
        let mut client = Client::connect(proxy.address());
        client.send(header);
        assert_eq!(client.get("/").text(), "ok");
        assert_eq!(origin.only_request().head.get("x-real-ip"), Some("127.0.0.1"));
    }
}

#[test]
fn strangers_are_closed_where_a_header_is_required() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener(STRANGERS).start();
    for bytes in [format!("{LINE}{GET}"), GET.to_owned()] {
        let mut client = Client::connect(proxy.address());
        // It may be closed already.
        drop(client.wire.send(bytes));
        client.expect_end();
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("error_client_proxy_untrusted"), 2);
    assert_eq!(stats.total("exchanges"), 0);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn strangers_are_clients_where_a_header_is_optional() {
    let origin = Origin::saying("ok");
    let listener = STRANGERS.replace(" }", ", mode = \"optional\" }");
    let proxy = Setup::to(&[&origin]).listener(listener).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    // Its header is not believed, and as a request it is none.
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(format!("{LINE}{GET}")).status(), 400);
    assert_eq!(origin.only_request().head.get("x-real-ip"), Some("127.0.0.1"));
}

#[test]
fn trusted_peers_may_leave_out_what_is_optional() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).listener(OPTIONAL).start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "ok");
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(format!("{LINE}{GET}")).text(), "ok");
    let seen: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.head.get("x-real-ip").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(seen, ["127.0.0.1", "127.0.0.1", "203.0.113.9"]);
}

#[test]
fn what_is_no_header_is_refused() {
    let bad_sum = [203, 0, 113, 9, 198, 51, 100, 1, 0, 1, 0, 2, 3, 0, 4, 1, 2, 3, 4];
    for (bytes, counter) in [
        (GET.as_bytes().to_vec(), "error_client_no_proxy_header"),
        (b"PROXY TCP4 nobody\r\n".to_vec(), "error_client_bad_proxy_header"),
        (v2(1, 0x11, &bad_sum), "error_client_bad_proxy_header"),
        (v2(7, 0x11, &bad_sum), "error_client_bad_proxy_header"),
    ] {
        let origin = Origin::saying("ok");
        for setup in [Setup::to(&[&origin]), relaying(&origin, "")] {
            let proxy = setup.listener(TRUSTING).start();
            let mut client = Client::connect(proxy.address());
            client.send(&bytes);
            client.expect_end();
            proxy.wait_idle();
            assert_eq!(proxy.stats().total(counter), 1, "{counter}");
        }
        assert_eq!(origin.connections(), 0);
    }
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for() {
    let origin = Origin::saying("ok");
    for setup in [Setup::to(&[&origin]), relaying(&origin, "")] {
        let proxy = setup.listener(TRUSTING).listener("timeouts = { head = \"300ms\" }").start();
        let mut client = Client::connect(proxy.address());
        client.send("PROXY TCP4 ");
        client.expect_end();
        assert_eq!(proxy.stats().total("error_client_proxy_header_timeout"), 1);
        // Somebody who only looks whether there is a listener is no mistake.
        drop(Client::connect(proxy.address()));
        proxy.wait_idle();
        assert_eq!(proxy.stats().total("error_client_gone"), 0);
    }
}

#[test]
fn forwarded_headers_are_believed_by_the_clients_address() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener(TRUSTING)
        .listener("trusted_proxies = [\"203.0.113.0/24\"]")
        .start();
    let ask = "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    for from in ["203.0.113.9", "198.51.100.9"] {
        let mut client = Client::connect(proxy.address());
        client.ask(format!("PROXY TCP4 {from} 198.51.100.1 4711 443\r\n{ask}"));
    }
    let requests = origin.requests();
    assert_eq!(requests[0].head.get("x-real-ip"), Some("192.0.2.1"));
    assert_eq!(requests[1].head.get("x-real-ip"), Some("198.51.100.9"));
}

#[test]
fn hashing_by_address_uses_the_headers() {
    let origins: Vec<_> = (0..4).map(|n| Origin::saying(&n.to_string())).collect();
    let members: Vec<_> = origins.iter().map(|o| format!("\"{}\"", o.address())).collect();
    let pool = format!(
        "[pool.main]\nmembers = [{}]\nbalance = {{ hash = \"client-ip\" }}\n",
        members.join(", ")
    );
    let http = Setup::with_body(format!("[[route]]\npool = \"main\"\n{pool}"));
    let tcp = Setup::with_body(pool.clone()).listener("protocol = \"tcp\"\npool = \"main\"");
    let mut seen = Vec::new();
    for setup in [http, tcp] {
        let proxy = setup.listener(TRUSTING).start();
        let member_of = |last: u8| {
            let mut client = Client::connect(proxy.address());
            client.send(format!("PROXY TCP4 203.0.113.{last} 198.51.100.1 1 443\r\n"));
            client.get("/").text()
        };
        let members: Vec<_> = (1..40).map(member_of).collect();
        assert_eq!(members, (1..40).map(member_of).collect::<Vec<_>>());
        assert!((0..4).all(|n| members.contains(&n.to_string())), "{members:?}");
        seen.push(members);
    }
    // A pool behaves the same whoever uses it.
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn connections_are_announced_to_members() {
    for version in ["v1", "v2"] {
        let origin = Origin::scripted(|conn| {
            conn.wire.through(b"hello").map(drop)?;
            conn.send("bye")
        });
        let pool = format!("proxy_protocol = \"{version}\"");
        let proxy = relaying(&origin, &pool).start();
        let mut client = Client::connect(proxy.address());
        let here = client.wire.stream().local_addr().unwrap();
        client.send("hello");
        assert_eq!(client.rest(), (b"bye".to_vec(), End::Clean));
        let (from, to) = (here.port(), proxy.address().port());
        if version == "v1" {
            let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\nhello");
            assert_eq!(origin.received(), expected);
        }
    }
}

/// Reads a header of version 2 byte by byte, by a reader of the test's own.
fn read_v2(wire: &mut Wire) -> std::io::Result<(u8, Vec<u8>)> {
    let head = wire.exactly(16)?;
    assert_eq!(&head[..12], SIGNATURE);
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    Ok((head[12], wire.exactly(length)?))
}

#[test]
fn a_header_is_passed_on_in_another_version() {
    let origin = Origin::scripted(|conn| {
        let (command, rest) = read_v2(&mut conn.wire)?;
        assert_eq!(command, 0x21);
        assert_eq!(rest[..12], [203, 0, 113, 9, 198, 51, 100, 1, 0x12, 0x67, 1, 0xBB]);
        // The checksum, of which the library's own tests know whether it is right.
        assert_eq!(rest[12..15], [3, 0, 4]);
        assert_eq!(conn.wire.exactly(5)?, b"hello");
        conn.send("bye")
    });
    let proxy = relaying(&origin, "proxy_protocol = \"v2\"").listener(TRUSTING).start();
    let mut client = Client::connect(proxy.address());
    client.send(format!("{LINE}hello"));
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Clean));
}

/// An origin that takes a line of version 1 on each connection, and answers with it.
fn announced() -> Origin {
    Origin::scripted(|conn: &mut Conn| {
        let line = conn.wire.through(b"\r\n")?.unwrap_or_default();
        while conn.request()?.is_some() {
            conn.send(ok(String::from_utf8_lossy(&line).trim_end()))?;
        }
        Ok(())
    })
}

#[test]
fn requests_are_announced_and_no_connection_is_anothers() {
    let origin = announced();
    let proxy = Setup::to(&[&origin]).pool("proxy_protocol = \"v1\"").workers(1).start();
    let mut lines = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(proxy.address());
        let here: SocketAddr = client.wire.stream().local_addr().unwrap();
        for _ in 0..2 {
            let expected = format!(
                "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}",
                here.port(),
                proxy.address().port()
            );
            assert_eq!(client.get("/").text(), expected);
        }
        // With a body that streams, too.
        let ask =
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        lines.push(client.ask(ask).text());
    }
    assert_ne!(lines[0], lines[1]);
    let stats = proxy.stats();
    assert_eq!((stats.total("upstream_opens"), stats.total("upstream_reuses")), (6, 0));
    assert_eq!(stats.total("upstream_idle"), 0);
}

#[test]
fn probes_are_announced_without_a_client() {
    for (version, kind) in [("v1", "http"), ("v2", "http"), ("v1", "tcp"), ("v2", "tcp")] {
        let origin = Origin::scripted(move |conn| {
            match version {
                "v1" => assert_eq!(conn.wire.through(b"\r\n")?.unwrap(), b"PROXY UNKNOWN\r\n"),
                _ => assert_eq!(read_v2(&mut conn.wire)?, (0x20, Vec::new())),
            }
            if kind == "http" {
                conn.expect_request()?;
                conn.send(ok("fit"))?;
            }
            conn.wire.rest().map(drop)
        });
        let health = format!(
            "proxy_protocol = \"{version}\"\nhealth = {{ type = \"{kind}\", interval = \"150ms\", \
             timeout = \"140ms\", start = \"down\" }}"
        );
        let proxy = Setup::to(&[&origin]).pool(health).start();
        proxy.wait_stat("members_out", 0);
        eventually("probes were made", || origin.connections() >= 2);
    }
}

#[test]
fn relayed_connections_are_logged_by_the_headers_address() {
    let origin = Origin::scripted(|conn| conn.send("bye"));
    let proxy = relaying(&origin, "")
        .listener(TRUSTING)
        .server("access_log = \"{directory}/access.log\"")
        .start();
    let mut client = Client::connect(proxy.address());
    client.send(LINE);
    assert_eq!(client.rest(), (b"bye".to_vec(), End::Clean));
    drop(client);
    let line = wait_lines(&proxy.directory().join("access.log"), 1)[0].clone();
    assert!(line.starts_with("203.0.113.9 - - ["), "{line}");
    assert_eq!(value_in(&line, "in"), Some("0"));
}

#[test]
fn a_client_that_says_nothing_more_is_relayed_all_the_same() {
    let origin = Origin::scripted(|conn| {
        conn.send("220 ready")?;
        conn.wire.rest().map(drop)
    });
    let proxy = relaying(&origin, "").listener(TRUSTING).start();
    let mut client = Client::connect(proxy.address());
    client.send(LINE);
    assert_eq!(client.wire.exactly(9).unwrap(), b"220 ready");
    assert!(client.wire.silent_for(Duration::from_millis(50)).unwrap());
}
