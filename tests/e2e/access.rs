//! Who may come: address rules of listeners and routes, by the peer or by the client behind a proxy.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Socket, Type};

use crate::support::certs::Authority;
use crate::support::proxy::wait_lines;
use crate::support::wire::{End, Wire};
use crate::support::{Client, Origin, Setup};

/// A client whose address is 127.0.0.`last`.
pub(crate) fn client_at(last: u8, address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    Client { wire: Wire::new(socket.into()) }
}

fn get_for(client: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {client}\r\n\r\n")
}

#[test]
fn the_most_specific_block_has_the_word() {
    let origin = Origin::saying("ok");
    let access = "access = { allow = [\"127.0.0.8/29\"], deny = [\"127.0.0.10\"] }";
    let proxy = Setup::to(&[&origin]).listener(access).start();
    for (last, status) in [(8, 200), (9, 200), (10, 403), (11, 200), (16, 403), (1, 403)] {
        let mut client = client_at(last, proxy.address());
        let answer = client.get("/");
        assert_eq!(answer.status(), status, "{last}");
        if status == 403 {
            answer.expect_error(403, "client", "address_denied");
        }
        // Refused or not, the connection goes on.
        assert_eq!(client.get("/").status(), status, "{last}");
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("error_client_address_denied"), 6);
    assert_eq!(stats.total("rule:listener.web.access:refused"), 6);
    assert_eq!(stats.total("rule:listener.web.access:passed"), 6);
    assert_eq!(origin.requests().len(), 6);
}

#[test]
fn the_client_behind_a_trusted_proxy_counts_and_nobody_elses_word() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("trusted_proxies = [\"127.0.0.2\"]")
        .listener("access = { deny = [\"192.0.2.0/24\", \"2001:db8::/32\", \"127.0.0.3\"] }")
        .start();
    let status = |last: u8, forwarded: &str| {
        client_at(last, proxy.address()).ask(get_for(forwarded)).status()
    };
    assert_eq!(status(2, "192.0.2.9"), 403);
    assert_eq!(status(2, "192.0.2.9, 198.51.100.1"), 200);
    assert_eq!(status(2, "198.51.100.1, 192.0.2.9"), 403);
    assert_eq!(status(2, "2001:db8::1"), 403);
    // What others say is not believed, in neither direction.
    assert_eq!(status(4, "192.0.2.9"), 200);
    assert_eq!(status(3, "198.51.100.1"), 403);
}

#[test]
fn a_route_can_hide_and_its_listener_still_has_a_word() {
    let origin = Origin::saying("ok");
    let body = format!(
        "[[route]]\npool = \"a\"\npath = \"/admin/*\"\naccess = {{ allow = [\"127.0.0.7\", \"127.0.0.9\"], status = 404 }}\n\
         [[route]]\npool = \"a\"\n[pool.a]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).listener("access = { deny = \"127.0.0.9\" }").start();
    let get = |last, path: &str| client_at(last, proxy.address()).get(path);
    assert_eq!(get(7, "/admin/x").status(), 200);
    assert_eq!(get(8, "/").status(), 200);
    get(9, "/admin/x").expect_error(403, "client", "address_denied");
    // As where no route is.
    get(8, "/admin/x").expect_error(404, "route", "no_route");
    assert_eq!(proxy.stats().total("error_client_address_denied"), 2);
    assert_eq!(proxy.stats().total("error_route_no_route"), 0);
}

#[test]
fn a_drop_comes_before_tls_and_without_a_word() {
    let origin = Origin::saying("ok");
    let authority = Authority::new("ours");
    let leaf = authority.sign(&["a.test"]);
    let proxy = Setup::to(&[&origin])
        .listener("access = { deny = \"127.0.0.9\", status = \"drop\" }")
        .listener(
            "tls.certificates = [{ chain = \"{directory}/c.pem\", key = \"{directory}/k.pem\" }]",
        )
        .beside("c.pem", leaf.chain_pem())
        .beside("k.pem", leaf.key_pem())
        .start();
    let mut denied = client_at(9, proxy.address());
    let (bytes, _) = denied.rest();
    assert_eq!(bytes, b"");
    let stats = proxy.stats();
    assert_eq!(stats.total("error_client_address_denied"), 1);
    assert_eq!(stats.total("connections_active"), 0);
    // Others are asked for TLS.
    let plain = client_at(8, proxy.address()).get("/");
    plain.expect_error(400, "client", "tls_plain_http");
}

#[test]
fn a_drop_by_a_trusted_proxys_word_closes_without_an_answer() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .listener("access = { deny = [\"192.0.2.1\"], status = \"drop\" }")
        .start();
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(get_for("198.51.100.1")).status(), 200);
    client.send(get_for("192.0.2.1"));
    client.expect_close();
}

#[test]
fn relayed_connections_and_datagrams_are_dropped() {
    let origin = Origin::scripted(|conn| conn.send("hello"));
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (origin.address(), echo.local_addr().unwrap());
    let deny = "access = { deny = [\"127.0.0.9\"] }";
    let proxy = Setup::with_body(format!(
        "[listener.udp]\nbind = \"127.0.0.1:0\"\nprotocol = \"udp\"\npool = \"udp\"\n{deny}\n\
         [pool.tcp]\nmembers = [\"{tcp}\"]\n[pool.udp]\nmembers = [\"{udp}\"]\n"
    ))
    .listener(format!("protocol = \"tcp\"\npool = \"tcp\"\n{deny}"))
    .start();
    assert_eq!(client_at(8, proxy.address()).rest(), (b"hello".to_vec(), End::Clean));
    assert_eq!(client_at(9, proxy.address()).rest().0, b"");
    assert_eq!(origin.connections(), 1);
    let to = proxy.listening("udp")[0];
    let sender = |last: u8| UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    sender(9).send_to(b"no", to).unwrap();
    sender(8).send_to(b"yes", to).unwrap();
    let mut buffer = [0; 16];
    let length = echo.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"yes");
    proxy.wait_stat("error_client_address_denied", 2);
    // Counted behind the datagram that begins it.
    proxy.wait_stat("flows", 1);
}

#[test]
fn a_header_of_the_proxy_protocol_says_who_comes() {
    let origin = Origin::scripted(|conn| conn.send("hello"));
    let pool = format!("[pool.tcp]\nmembers = [\"{}\"]\n", origin.address());
    let proxy = Setup::with_body(pool)
        .listener("protocol = \"tcp\"\npool = \"tcp\"\naccess = { allow = [\"192.0.2.0/24\"] }")
        .listener("proxy_protocol = { trusted = [\"127.0.0.1\"] }")
        .start();
    for (client, said) in [("192.0.2.7", &b"hello"[..]), ("198.51.100.7", b"")] {
        let mut wire = Client::connect(proxy.address());
        wire.send(format!("PROXY TCP4 {client} 192.0.2.1 5000 80\r\n"));
        assert_eq!(wire.rest().0, said, "{client}");
    }
    assert_eq!(proxy.stats().total("error_client_address_denied"), 1);
}

#[test]
fn a_list_of_a_hundred_thousand_comes_from_a_file() {
    let origin = Origin::saying("ok");
    let mut list = b"# addresses\n".to_vec();
    for n in 0..100_000u32 {
        writeln!(list, "10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255).unwrap();
    }
    let proxy = Setup::to(&[&origin])
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .listener("access = { deny = [\"file:deny.txt\"] }")
        .beside("deny.txt", list)
        .start();
    let mut client = Client::connect(proxy.address());
    for (address, status) in
        [("10.0.0.0", 403), ("10.1.134.159", 403), ("10.1.134.160", 200), ("9.255.255.255", 200)]
    {
        assert_eq!(client.ask(get_for(address)).status(), status, "{address}");
    }
}

#[test]
fn a_dry_run_counts_and_logs_and_lets_pass() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin])
        .server("access_log = \"{directory}/access.log\"")
        .listener("access = { deny = [\"127.0.0.1\"], status = \"drop\", dry_run = true }")
        .start();
    assert_eq!(Client::connect(proxy.address()).get("/").status(), 200);
    let stats = proxy.stats();
    assert_eq!(stats.total("dry_run_refusals"), 1);
    assert_eq!(stats.total("rule:listener.web.access:dry_run"), 1);
    assert_eq!(stats.total("error_client_address_denied"), 0);
    let lines = wait_lines(&proxy.directory().join("access.log"), 1);
    assert!(
        lines[0].contains(" reason=- ") && lines[0].ends_with(" dry_run=client_address_denied"),
        "{lines:?}"
    );
}
