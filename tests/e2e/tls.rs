//! TLS with clients: handshakes, names, versions, keys, and bytes both ways.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::ProtocolVersion;

use super::support::certs::{Authority, Leaf, Valid};
use super::support::proxy::wait_lines;
use super::support::tls::Tls;
use super::support::{Client, Origin, PATIENCE, Proxy, Setup, ok};

const LISTENER: &str = "tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]";

/// Ends the TLS of clients, with this certificate.
pub(super) fn terminating(setup: Setup, leaf: &Leaf) -> Setup {
    setup.beside("a.crt", leaf.chain_pem()).beside("a.key", leaf.key_pem()).listener(LISTENER)
}

pub(super) fn with(leaf: &Leaf, origin: &Origin) -> Setup {
    terminating(Setup::to(&[origin]), leaf)
}

/// A listener with one certificate, for `a.test` and `*.a.test`.
pub(super) fn start(origin: &Origin) -> (Authority, Proxy) {
    let authority = Authority::new("test");
    let proxy = with(&authority.sign(&["a.test", "*.a.test"]), origin).start();
    (authority, proxy)
}

#[test]
fn requests_go_through_and_members_are_told_of_https() {
    let origin = Origin::saying("hello");
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    let answer = client.get("/x");
    assert_eq!((answer.head.status(), answer.text().as_str()), (200, "hello"));
    let request = origin.only_request();
    assert_eq!(request.head.get("x-forwarded-proto"), Some("https"));
    let port = proxy.address().port().to_string();
    assert_eq!(request.head.get("x-forwarded-port"), Some(&*port));
    for _ in 0..10 {
        assert_eq!(client.get("/x").text(), "hello");
    }
    let stats = proxy.stats();
    assert_eq!(stats.total("tls_handshakes"), 1);
    assert_eq!(stats.total("tls_resumed"), 0);
    assert_eq!(stats.total("exchanges"), 11);
}

#[test]
fn both_versions_and_only_the_new_one_where_that_is_asked_for() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    let tls = Tls::trusting(&authority);
    let proxy = with(&leaf, &origin).start();
    for (tls, version) in [
        (tls.clone().only_12(), ProtocolVersion::TLSv1_2),
        (tls.clone().only_13(), ProtocolVersion::TLSv1_3),
    ] {
        let mut client = tls.connect(proxy.address(), "a.test");
        assert_eq!(client.wire.tls().protocol_version(), Some(version));
        assert_eq!(client.get("/").text(), "hello");
    }
    let strict = with(&leaf, &origin).listener("tls.min_version = \"1.3\"").start();
    assert_eq!(tls.connect(strict.address(), "a.test").get("/").text(), "hello");
    let error = tls.only_12().try_connect(strict.address(), "a.test").err().expect("a refusal");
    assert!(error.contains("ProtocolVersion"), "{error}");
    strict.wait_stat("error_client_tls_incompatible", 1);
}

#[test]
fn ciphers_are_those_of_the_list() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let proxy = with(&authority.sign(&["a.test"]), &origin)
        .listener("tls.ciphers = [\"TLS13_CHACHA20_POLY1305_SHA256\"]")
        .start();
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    let suite = client.wire.tls().negotiated_cipher_suite().expect("a suite").suite();
    assert_eq!(suite.as_str(), Some("TLS13_CHACHA20_POLY1305_SHA256"));
    assert!(Tls::trusting(&authority).only_12().try_connect(proxy.address(), "a.test").is_err());
}

#[test]
fn every_kind_of_key_in_every_form() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let ecdsa = authority.sign(&["ecdsa.test"]);
    let large = authority.sign_with(&["large.test"], Valid::Now, &rcgen::PKCS_ECDSA_P384_SHA384);
    let rsa = authority.sign_with(&["rsa.test"], Valid::Now, &rcgen::PKCS_RSA_SHA256);
    let edwards = authority.sign_with(&["edwards.test"], Valid::Now, &rcgen::PKCS_ED25519);
    let all = [
        (&ecdsa, "ecdsa.test", ecdsa.key_pem()),
        (&ecdsa, "ecdsa.test", ecdsa.inner_key_pem("EC PRIVATE KEY")),
        (&large, "large.test", large.key_pem()),
        (&rsa, "rsa.test", rsa.key_pem()),
        (&rsa, "rsa.test", rsa.inner_key_pem("RSA PRIVATE KEY")),
        (&edwards, "edwards.test", edwards.key_pem()),
    ];
    for (leaf, name, key) in all {
        let label = key.lines().next().map(str::to_owned);
        let proxy = Setup::to(&[&origin])
            .beside("a.crt", leaf.chain_pem())
            .beside("a.key", key)
            .listener(LISTENER)
            .start();
        for tls in [Tls::trusting(&authority).only_12(), Tls::trusting(&authority).only_13()] {
            let mut client = tls.connect(proxy.address(), name);
            assert_eq!(client.get("/").text(), "hello", "{name} {label:?}");
        }
    }
}

/// The first name of the certificate that a client was shown.
fn shown(client: &mut Client) -> Vec<u8> {
    client.wire.tls().peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn certificates_are_found_by_name() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let first = authority.sign(&["first.test"]);
    let wild = authority.sign(&["*.b.test"]);
    let exact = authority.sign(&["x.b.test"]);
    let other = Authority::new("other");
    let setup = |unknown: &str| {
        let mut setup = Setup::to(&[&origin]).listener(format!(
            "tls = {{ unknown_sni = \"{unknown}\", certificates = [\
             {{ chain = \"first.crt\", key = \"first.key\" }}, \
             {{ chain = \"wild.crt\", key = \"wild.key\" }}, \
             {{ chain = \"exact.crt\", key = \"exact.key\" }}] }}"
        ));
        for (name, leaf) in [("first", &first), ("wild", &wild), ("exact", &exact)] {
            setup = setup.beside(&format!("{name}.crt"), leaf.chain_pem());
            setup = setup.beside(&format!("{name}.key"), leaf.key_pem());
        }
        setup
    };
    let (lenient, strict) = (setup("default").start(), setup("reject").start());
    let tls = Tls::trusting(&authority);
    for (name, leaf) in
        [("first.test", &first), ("a.b.test", &wild), ("x.b.test", &exact), ("X.B.Test", &exact)]
    {
        for proxy in [&lenient, &strict] {
            let mut client = tls.connect(proxy.address(), name);
            assert_eq!(shown(&mut client), leaf.chain()[0].to_vec(), "{name}");
            assert_eq!(client.get("/").text(), "hello");
        }
    }
    // A wildcard is one label. No name at all is an unknown one, too.
    for name in ["unknown.test", "a.a.b.test", "b.test", "127.0.0.1"] {
        let error = tls.try_connect(lenient.address(), name).err().expect("another name");
        assert!(error.contains("certificate not valid for name"), "{error}");
        let error = tls.try_connect(strict.address(), name).err().expect("a refusal");
        assert!(
            error.contains("UnrecognizedName") || error.contains("UnrecognisedName"),
            "{error}"
        );
    }
    strict.wait_stat("error_client_tls_unknown_name", 4);
    let error = Tls::trusting(&other).try_connect(lenient.address(), "first.test").err();
    assert!(error.is_some_and(|error| error.contains("UnknownIssuer")));
    // Clients that did not like what they saw said so.
    lenient.wait_stat("error_client_tls_alert", 5);
}

#[test]
fn large_bodies_go_both_ways() {
    const SIZE: usize = 10 << 20;
    let body: Vec<u8> = (0..SIZE).map(|i| (i / 7 % 251) as u8).collect();
    let answer = body.clone();
    let origin = Origin::serving(move |request| {
        if request.head.method() == "POST" {
            return ok(format!("{} {}", request.body.len(), request.body == answer));
        }
        let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
        head.extend_from_slice(&answer);
        head
    });
    let (authority, proxy) = start(&origin);
    for tls in [Tls::trusting(&authority).only_12(), Tls::trusting(&authority).only_13()] {
        let mut client = tls.connect(proxy.address(), "a.test");
        assert!(client.get("/large").body == body);
        client.send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {SIZE}\r\n\r\n"));
        for part in body.chunks(1 << 20) {
            client.send(part);
        }
        assert_eq!(client.answer().text(), format!("{SIZE} true"));
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in body.chunks(99_999) {
            client.send(format!("{:x}\r\n", part.len()));
            client.send(part);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.answer().text(), format!("{SIZE} true"));
        assert_eq!(client.get("/large").body.len(), SIZE);
    }
}

#[test]
fn ten_thousand_small_records_are_one_body() {
    let origin = Origin::serving(|request| ok(request.text()));
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000\r\n\r\n");
    let body: String = (0..10_000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    for byte in body.as_bytes() {
        client.wire.tls().writer().write_all(&[*byte]).expect("sealing");
    }
    client.wire.flush_tls().expect("sending");
    assert_eq!(client.answer().text(), body);
    // A head that comes byte by byte, each in a record of its own.
    for byte in b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().head.status(), 200);
}

#[test]
fn pipelined_requests_in_one_record_are_all_answered() {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).connect(proxy.address(), "a.test");
    let all: String =
        (0..50).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    client.send(all);
    for i in 0..50 {
        assert_eq!(client.answer().text(), format!("/{i}"));
    }
}

#[test]
fn keys_may_be_updated_at_any_time() {
    let origin = Origin::serving(|request| ok(request.text()));
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).only_13().connect(proxy.address(), "a.test");
    for round in 0..5 {
        client.wire.tls().refresh_traffic_keys().expect("new keys");
        assert_eq!(client.get(&format!("/{round}")).head.status(), 200);
    }
    // In the middle of a body.
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello");
    client.wire.tls().refresh_traffic_keys().expect("new keys");
    client.send("world");
    assert_eq!(client.answer().text(), "helloworld");
}

/// The bytes that a client begins with.
fn hello(authority: &Authority) -> (rustls::ClientConnection, Vec<u8>) {
    let mut connection = Tls::trusting(authority).connection("a.test");
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).expect("a hello");
    (connection, bytes)
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let origin = Origin::saying("hello");
    let (authority, proxy) = start(&origin);
    let (connection, bytes) = hello(&authority);
    let mut client = Client::connect(proxy.address());
    for byte in bytes {
        client.send([byte]);
    }
    client.wire.secure(connection).expect("a handshake");
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn what_is_no_tls_is_told_so_and_counted() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let proxy =
        with(&authority.sign(&["a.test"]), &origin).listener("timeouts.head = \"1s\"").start();
    // HTTP on a port that speaks TLS.
    let mut client = Client::connect(proxy.address());
    let answer = client.get("/");
    assert_eq!(answer.head.status(), 400);
    assert!(answer.text().contains("this port speaks TLS"), "{}", answer.text());
    proxy.wait_stat("error_client_tls_plain_http", 1);
    // Garbage: an alert, then the end.
    for garbage in [&b"\x00\x01\x02\x03garbage"[..], b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01"]
    {
        let mut stream = TcpStream::connect(proxy.address()).expect("connecting");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(garbage).expect("sending");
        let mut answer = Vec::new();
        // A third one may be the beginning of a record, and then waits for the rest of it.
        let ended: io::Result<usize> = stream.read_to_end(&mut answer);
        assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    }
    // One that sends nothing, and one that stops in the middle.
    let (_, bytes) = hello(&authority);
    for part in [&[][..], &bytes[..bytes.len() / 2]] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        client.expect_end();
    }
    // One that leaves.
    let mut client = Client::connect(proxy.address());
    client.send(&bytes[..20]);
    drop(client);
    proxy.wait_stat("error_client_tls_gone", 1);
    let stats = proxy.stats();
    let refused =
        stats.total("error_client_tls_protocol") + stats.total("error_client_tls_timeout");
    assert_eq!(refused, 5);
    assert!(stats.total("error_client_tls_timeout") >= 2);
    proxy.wait_idle();
}

#[test]
fn tls_on_a_plain_port_is_named() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    let proxy = Setup::to(&[&origin]).start();
    let (_, bytes) = hello(&authority);
    let mut client = Client::connect(proxy.address());
    client.send(bytes);
    let answer = client.answer();
    assert_eq!(answer.head.status(), 400);
    assert!(answer.text().contains("this port speaks plain HTTP"), "{}", answer.text());
    proxy.wait_stat("error_client_https_on_http", 1);
}

#[test]
fn protocols_that_nobody_has_end_the_handshake() {
    let origin = Origin::saying("hello");
    let (authority, proxy) = start(&origin);
    let tls = Tls::trusting(&authority);
    let mut client = tls.clone().alpn(&["h2", "http/1.1"]).connect(proxy.address(), "a.test");
    assert_eq!(client.wire.tls().alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client.get("/").text(), "hello");
    assert!(tls.alpn(&["h2"]).try_connect(proxy.address(), "a.test").is_err());
    proxy.wait_stat("error_client_tls_incompatible", 1);
}

#[test]
fn the_access_log_tells_the_version() {
    let origin = Origin::saying("hello");
    let authority = Authority::new("test");
    for (format, modern, old) in
        [("common", " tls=1.3", " tls=1.2"), ("json", ",\"tls\":\"1.3\"", ",\"tls\":\"1.2\"")]
    {
        let proxy = with(&authority.sign(&["a.test"]), &origin)
            .server("access_log = \"{directory}/access.log\"")
            .server(format!("access_log_format = \"{format}\""))
            .start();
        let tls = Tls::trusting(&authority);
        for tls in [tls.clone().only_13(), tls.only_12()] {
            tls.connect(proxy.address(), "a.test").get("/");
        }
        // No TLS at all.
        Client::connect(proxy.address()).get("/");
        let lines = wait_lines(&proxy.directory().join("access.log"), 3);
        assert!(lines[0].contains(modern) && lines[1].contains(old), "{lines:?}");
        assert!(lines[2].contains("client_tls_plain_http"), "{lines:?}");
        assert!(!lines[2].contains("tls=") && !lines[2].contains("\"tls\""), "{lines:?}");
    }
}

#[test]
fn keys_are_exchanged_by_what_no_quantum_computer_reads() {
    let origin = Origin::saying("hello");
    let (authority, proxy) = start(&origin);
    let mut client = Tls::trusting(&authority).only_13().connect(proxy.address(), "a.test");
    let group = client.wire.tls().negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}
