//! Routes by headers, cookies, query and client: who gets there, and what the others are told.

use std::fmt::Write as _;

use crate::support::{Client, Origin, Proxy, Setup};

/// A proxy whose pools are origins that say their own names. `routes` is TOML.
fn posts(names: &[&str], listener: &str, routes: &str) -> (Proxy, Vec<Origin>) {
    let mut body = routes.to_owned();
    let mut origins = Vec::new();
    for name in names {
        let origin = Origin::saying(name);
        write!(body, "\n[pool.{name}]\nmembers = [\"{}\"]\n", origin.address()).expect("a string");
        origins.push(origin);
    }
    (Setup::with_body(body).listener(listener).start(), origins)
}

/// Asks for a target with further fields; the body of a 200, else the status.
fn ask(proxy: &Proxy, line: &str, fields: &str) -> String {
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(format!("{line} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    if answer.status() == 200 { answer.text() } else { answer.status().to_string() }
}

#[test]
fn headers_cookies_and_parameters() {
    let (proxy, _origins) = posts(
        &["two", "debug", "beta", "asked", "rest"],
        "",
        r#"
        [[route]]
        headers = { "X-Version" = "2" }
        pool = "two"
        [[route]]
        headers = { "X-Debug" = true, "User-Agent" = "~ ^curl/", "X-Off" = false }
        pool = "debug"
        [[route]]
        cookies = { beta = "1" }
        pool = "beta"
        [[route]]
        query = { "v" = "~ ^[0-9]+$" }
        pool = "asked"
        [[route]]
        pool = "rest"
        "#,
    );
    for (line, fields, expected) in [
        ("GET /", "X-Version: 2\r\n", "two"),
        ("GET /", "x-version: 1\r\nX-VERSION: 2\r\n", "two"),
        ("GET /", "X-Version: 22\r\n", "rest"),
        ("GET /", "X-Debug:\r\nUser-Agent: curl/8\r\n", "debug"),
        ("GET /", "X-Debug:\r\nUser-Agent: curl/8\r\nX-Off: 1\r\n", "rest"),
        ("GET /", "Cookie: a=1; beta=1\r\n", "beta"),
        ("GET /", "Cookie: beta=0\r\n", "rest"),
        ("GET /?a&v=%37", "", "asked"),
        ("GET /?v=x", "", "rest"),
        ("GET /?v", "", "rest"),
        ("GET /", "", "rest"),
    ] {
        assert_eq!(ask(&proxy, line, fields), expected, "{line} {fields:?}");
    }
}

#[test]
fn a_route_whose_conditions_fail_is_none() {
    let (proxy, _origins) = posts(
        &["api"],
        "",
        "[[route]]\nheaders = { \"X-Key\" = true }\nmethods = [\"GET\", \"PUT\"]\npool = \"api\"\n",
    );
    assert_eq!(ask(&proxy, "GET /", "X-Key: 1\r\n"), "api");
    assert_eq!(ask(&proxy, "GET /", ""), "404");
    assert_eq!(ask(&proxy, "POST /", ""), "404");
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(b"DELETE / HTTP/1.1\r\nHost: t\r\nX-Key: 1\r\n\r\n");
    assert_eq!((answer.status(), answer.head.get("allow")), (405, Some("GET, PUT")));
}

#[test]
fn clients_are_those_that_trusted_proxies_name() {
    let routes = "[[route]]\nclients = [\"10.0.0.0/8\", \"2001:db8::/32\"]\npool = \"inner\"\n\
                  [[route]]\npool = \"outer\"\n";
    let names = ["inner", "outer"];
    let (trusting, _origins) = posts(&names, "trusted_proxies = [\"127.0.0.0/8\"]", routes);
    for (chain, expected) in [
        ("10.1.2.3", "inner"),
        ("10.1.2.3, 192.0.2.1", "outer"),
        ("192.0.2.1, 10.1.2.3", "inner"),
        ("\"[2001:db8::1]:99\"", "inner"),
        ("nonsense", "outer"),
    ] {
        let fields = format!("X-Forwarded-For: {chain}\r\n");
        assert_eq!(ask(&trusting, "GET /", &fields), expected, "{chain}");
    }
    let (strict, _origins) = posts(&names, "", routes);
    assert_eq!(ask(&strict, "GET /", "X-Forwarded-For: 10.1.2.3\r\n"), "outer");
}
