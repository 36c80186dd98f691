//! What happens to fields on their way: hop-by-hop, identity, Host, Via. Exact bytes: `golden`.

use std::net::IpAddr;

use crate::support::message::Message;
use crate::support::{Client, Origin, Proxy, Setup, answer_with, exchange};

/// What the origin gets of a GET with these fields.
#[track_caller]
fn forwarded(setup: Setup, origin: &Origin, fields: &str) -> (Message, Proxy) {
    let proxy = setup.start();
    let answer =
        exchange(proxy.address(), format!("GET / HTTP/1.1\r\nHost: Shop.test:81\r\n{fields}\r\n"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (origin.only_request(), proxy)
}

#[test]
fn hop_by_hop_request_fields_end_here() {
    let origin = Origin::saying("ok");
    let fields = "Connection: keep-alive, X-Hop , x-other\r\nconnection: X-Third\r\n\
                  Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\
                  X-Hop: 1\r\nX-OTHER: 2\r\nx-third: 3\r\nX-Stays: 4\r\n";
    let (request, _proxy) = forwarded(Setup::to(&[&origin]), &origin, fields);
    let gone = ["keep-alive", "proxy-connection", "te", "x-hop", "x-other", "x-third", "upgrade"];
    for name in gone {
        assert_eq!(request.head.get(name), None, "{name}");
    }
    assert!(request.head.get("connection").is_none_or(|value| value == "keep-alive"));
    assert_eq!(request.head.get("x-stays"), Some("4"));
}

#[test]
fn connection_cannot_name_what_the_proxy_depends_on() {
    let origin = Origin::saying("ok");
    let proxy = Setup::to(&[&origin]).start();
    let answer = exchange(
        proxy.address(),
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\
         Connection: host, content-length, x-forwarded-for, x-real-ip\r\n\r\nbody",
    );
    // To refuse it is as good.
    if answer.status() != 400 {
        let request = origin.only_request();
        assert_eq!(request.head.get("host"), Some("t"));
        assert_eq!(request.text(), "body");
        assert_eq!(request.head.get("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.head.get("x-real-ip"), Some("127.0.0.1"));
    }
}

#[test]
fn hop_by_hop_answer_fields_end_here() {
    let fields = [
        ("Connection", "X-Hop, keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "x"),
        ("X-Hop", "1"),
        ("Upgrade", "h2c"),
        ("X-Stays", "2"),
    ];
    let origin = Origin::serving(move |_| answer_with("200 OK", &fields, b"ok"));
    let proxy = Setup::to(&[&origin]).start();
    let answer = Client::connect(proxy.address()).get("/");
    for name in ["keep-alive", "proxy-connection", "x-hop"] {
        assert_eq!(answer.head.get(name), None, "{name}");
    }
    let connection = answer.head.get("connection");
    assert!(connection.is_none_or(|value| value == "keep-alive"), "{connection:?}");
    assert_eq!(answer.head.get("x-stays"), Some("2"));
}

#[test]
fn an_answer_passes_otherwise_untouched() {
    const DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";
    let fields = [
        ("Date", DATE),
        ("Server", "old/1"),
        ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2"),
        ("x-lower", "l"),
        ("X-Via", "none"),
        ("X-Forwarded-For", "kept"),
    ];
    let origin = Origin::serving(move |_| answer_with("299 Odd Reason", &fields, b"ok"));
    let proxy = Setup::to(&[&origin]).start();
    let answer = Client::connect(proxy.address()).get("/");
    assert_eq!(answer.head.start, "HTTP/1.1 299 Odd Reason");
    assert_eq!(answer.head.get("date"), Some(DATE));
    let pairs = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    let expected: Vec<_> = fields.iter().map(pairs).collect();
    assert_eq!(answer.head.fields[..expected.len()], expected);
    assert!(answer.head.get("via").is_none());
}

#[test]
fn an_untrusted_client_cannot_claim_an_identity() {
    let origin = Origin::saying("ok");
    let fields = "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\n\
                  X-FORWARDED-HOST: evil\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: evil\r\n\
                  Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
                  X_Real-IP: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n";
    let (request, proxy) = forwarded(Setup::to(&[&origin]), &origin, fields);
    let port = proxy.address().port().to_string();
    let expected = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Shop.test:81"),
        ("x-forwarded-port", port.as_str()),
        ("x-real-ip", "127.0.0.1"),
    ];
    for (name, value) in expected {
        let got = request.head.get(name).unwrap_or_default();
        assert!(got.eq_ignore_ascii_case(value), "{name}: {got}");
    }
    let text = String::from_utf8_lossy(&request.head.raw).to_ascii_lowercase();
    for word in ["6.6.6.6", "7.7.7.7", "evil", "https", "forwarded:", "x_"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_trusted_peer_is_believed() {
    let origin = Origin::saying("ok");
    let fields = "X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\nX-Forwarded-For: 10.1.1.1\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Host: front.test\r\n\
                  X-Forwarded-Port: 443\r\nX-Real-IP: 6.6.6.6\r\n";
    let setup = Setup::to(&[&origin]).listener("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]");
    let (request, _proxy) = forwarded(setup, &origin, fields);
    let chain = request.head.all("x-forwarded-for").join(", ");
    assert_eq!(chain, "6.6.6.6, 9.9.9.9, 10.1.1.1, 127.0.0.1");
    // Walked from the right: 6.6.6.6 is a claim of 9.9.9.9, whom nobody trusts.
    assert_eq!(request.head.get("x-real-ip"), Some("9.9.9.9"));
    assert_eq!(request.head.get("x-forwarded-proto"), Some("https"));
    assert_eq!(request.head.get("x-forwarded-host"), Some("front.test"));
    assert_eq!(request.head.get("x-forwarded-port"), Some("443"));
}

#[test]
fn a_trusted_peer_without_claims_is_the_client() {
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).listener("trusted_proxies = [\"127.0.0.0/8\"]");
    let (request, proxy) = forwarded(setup, &origin, "");
    assert_eq!(request.head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-forwarded-proto"), Some("http"));
    let port = proxy.address().port().to_string();
    assert_eq!(request.head.get("x-forwarded-port"), Some(port.as_str()));
}

#[test]
fn trust_in_others_is_not_trust_in_this_peer() {
    let origin = Origin::saying("ok");
    let setup = Setup::to(&[&origin]).listener("trusted_proxies = [\"10.0.0.0/8\"]");
    let (request, _proxy) = forwarded(setup, &origin, "X-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(request.head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.head.get("x-real-ip"), Some("127.0.0.1"));
}

#[test]
fn nonsense_in_a_trusted_chain_is_nobodys_address() {
    for chain in ["garbage", "unknown, 10.0.0.1", "1.2.3.4.5", "", ",,", "6.6.6.6, <b>"] {
        let origin = Origin::saying("ok");
        let setup =
            Setup::to(&[&origin]).listener("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]");
        let fields = format!("X-Forwarded-For: {chain}\r\n");
        let (request, _proxy) = forwarded(setup, &origin, &fields);
        let real = request.head.get("x-real-ip").expect("an address");
        assert!(real.parse::<IpAddr>().is_ok(), "{chain:?} made {real:?}");
        assert_ne!(real, "6.6.6.6", "believed across nonsense");
    }
}

#[test]
fn host_is_what_the_route_says() {
    let cases = [
        ("", None),
        ("host = \"preserve\"", None),
        ("host = \"member\"", Some(String::new())),
        ("host = \"inner.test:99\"", Some("inner.test:99".to_owned())),
    ];
    for (line, expected) in cases {
        let origin = Origin::saying("ok");
        let (request, _proxy) = forwarded(Setup::to(&[&origin]).route(line), &origin, "");
        let member = origin.address().to_string();
        let expected = match expected {
            None => "Shop.test:81".to_owned(),
            Some(text) if text.is_empty() => member,
            Some(text) => text,
        };
        let host = request.head.get("host").unwrap_or_default();
        assert!(host.eq_ignore_ascii_case(&expected), "{line}: {host}");
        let asked = request.head.get("x-forwarded-host").unwrap_or_default();
        assert!(asked.eq_ignore_ascii_case("shop.test:81"), "{line}: {asked}");
    }
}

#[test]
fn via_is_added_both_ways_when_wanted() {
    let origin = Origin::serving(|_| answer_with("200 OK", &[("Via", "1.1 behind")], b"ok"));
    let proxy = Setup::to(&[&origin]).route("via = true").start();
    let answer = exchange(proxy.address(), "GET / HTTP/1.1\r\nHost: t\r\nVia: 1.0 before\r\n\r\n");
    assert_eq!(answer.head.all("via").join(", "), "1.1 behind, 1.1 ringway");
    let request = origin.only_request();
    assert_eq!(request.head.all("via").join(", "), "1.0 before, 1.1 ringway");
}
