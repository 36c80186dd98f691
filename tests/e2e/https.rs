//! Getting clients to use TLS: redirections and HSTS.

use super::support::certs::Authority;
use super::support::tls::Tls;
use super::support::{Client, Origin, Setup, answer_with, exchange};

fn location(setup: &Setup, request: &str) -> (u16, String) {
    let answer = exchange(setup.clone().start().address(), request);
    (answer.status(), answer.head.get("location").unwrap_or_default().to_owned())
}

#[test]
fn plain_requests_are_sent_to_the_same_under_https() {
    let origin = Origin::saying("never");
    let standard = Setup::to(&[&origin]).listener("redirect_https = true");
    let other = Setup::to(&[&origin]).listener("redirect_https = 8443");
    for (setup, request, expected) in [
        (
            &standard,
            "GET /a%20b?c=d&e HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "https://a.test/a%20b?c=d&e",
        ),
        (&standard, "GET / HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", "https://a.test/"),
        (
            &other,
            "POST /x? HTTP/1.1\r\nHost: a.test:80\r\nContent-Length: 0\r\n\r\n",
            "https://a.test:8443/x?",
        ),
        (&other, "GET http://b.test/y HTTP/1.1\r\nHost: b.test\r\n\r\n", "https://b.test:8443/y"),
        (&standard, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "https://[::1]/"),
        (&standard, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "https://a.test/"),
        (&standard, "GET /old HTTP/1.0\r\n\r\n", "https://127.0.0.1/old"),
        // What a client puts into a path cannot lead elsewhere.
        (
            &standard,
            "GET //evil.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "https://a.test//evil.test",
        ),
    ] {
        assert_eq!(location(setup, request), (308, expected.to_owned()), "{request}");
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_redirected_connection_goes_on_if_its_request_was_read() {
    let origin = Origin::saying("never");
    let proxy = Setup::to(&[&origin]).listener("redirect_https = true").start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.get("/x").status(), 308);
        let post = "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(client.ask(post).status(), 308);
    }
    client.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 30\r\n\r\nabc");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.head.closes()), (308, true));
    client.expect_end();
    assert_eq!(proxy.stats().total("https_redirects"), 7);
}

#[test]
fn every_answer_of_a_tls_listener_has_hsts_and_only_there() {
    let origin = Origin::serving(|_| {
        answer_with("200 OK", &[("Strict-Transport-Security", "max-age=1")], b"hello")
    });
    let authority = Authority::new("test");
    let leaf = authority.sign(&["a.test"]);
    let setup = |hsts: &str| {
        Setup::to(&[&origin])
            .beside("a.crt", leaf.chain_pem())
            .beside("a.key", leaf.key_pem())
            .listener("tls.certificates = [{ chain = \"a.crt\", key = \"a.key\" }]")
            .listener(hsts)
            .route("path = \"/x\"")
            .start()
    };
    let tls = Tls::trusting(&authority);
    for (hsts, expected) in [
        ("hsts = \"365d\"", "max-age=31536000"),
        (
            "hsts = { max_age = \"1h\", subdomains = true, preload = true }",
            "max-age=3600; includeSubDomains; preload",
        ),
        ("", "max-age=1"),
    ] {
        let proxy = setup(hsts);
        let mut client = tls.connect(proxy.address(), "a.test");
        let answer = client.get("/x");
        assert_eq!(answer.head.all("strict-transport-security"), [expected]);
        let own = client.get("/nothing");
        assert_eq!(own.status(), 404);
        let all = own.head.all("strict-transport-security");
        assert_eq!(all, if hsts.is_empty() { vec![] } else { vec![expected] });
        // Not in plain text, where anybody may have written it.
        let plain = exchange(proxy.address(), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(plain.status(), 400);
        assert_eq!(plain.head.get("strict-transport-security"), None);
    }
}
