//! Which request goes where: hosts, paths, methods, precedence, and what is refused.

use std::fmt::Write as _;

use crate::support::proxy::Proxy;
use crate::support::{Client, Message, Origin, Setup, ok};

/// A proxy whose pools are origins that say their own names. `routes` is TOML.
struct Sign {
    proxy: Proxy,
    _origins: Vec<Origin>,
}

impl Sign {
    fn posts(names: &[&str], routes: &str) -> Sign {
        let mut body = routes.to_owned();
        let mut origins = Vec::new();
        for name in names {
            let name = (*name).to_owned();
            let told = name.clone();
            let origin =
                Origin::serving(move |request| ok(format!("{told} {}", request.head.target())));
            let address = origin.address();
            write!(body, "\n[pool.{name}]\nmembers = [\"{address}\"]\n").expect("a string");
            origins.push(origin);
        }
        Sign { proxy: Setup::with_body(body).start(), _origins: origins }
    }

    fn ask(&self, method: &str, host: &str, target: &str) -> Message {
        let mut client = Client::connect(self.proxy.address());
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer_to(method)
    }

    /// Every `(host, target)` must arrive as `pool target`.
    fn check(&self, table: &[(&str, &str, &str)]) {
        for (host, target, expected) in table {
            let answer = self.ask("GET", host, target);
            let got = if answer.status() == 200 { answer.text() } else { answer.head.start };
            let got = got.split(' ').next().unwrap_or_default();
            assert_eq!(got, *expected, "{host} {target}");
        }
    }

    /// Every target must arrive rewritten like this.
    fn check_target(&self, table: &[(&str, &str)]) {
        for (target, expected) in table {
            let answer = self.ask("GET", "t", target);
            let text = answer.text();
            let got = text.split_once(' ').map(|(_, target)| target);
            assert_eq!(got, Some(*expected), "{target}: {}", answer.head.start);
        }
    }
}

#[test]
fn hosts_exact_wildcard_any() {
    let sign = Sign::posts(
        &["any", "wild", "exact", "two"],
        r#"
        [[route]]
        pool = "any"
        [[route]]
        hosts = ["*.example.com"]
        pool = "wild"
        [[route]]
        hosts = ["shop.example.com"]
        pool = "exact"
        [[route]]
        hosts = ["a.test", "b.test"]
        pool = "two"
        "#,
    );
    sign.check(&[
        ("shop.example.com", "/", "exact"),
        ("SHOP.Example.COM", "/", "exact"),
        ("shop.example.com:8080", "/", "exact"),
        ("www.example.com", "/", "wild"),
        ("a.b.example.com", "/", "wild"),
        ("example.com", "/", "any"),
        ("evilexample.com", "/", "any"),
        ("shop.example.com.evil", "/", "any"),
        ("a.test", "/", "two"),
        ("b.test", "/", "two"),
        ("127.0.0.1", "/", "any"),
        ("[::1]:80", "/", "any"),
        ("other", "http://shop.example.com/", "exact"),
    ]);
}

#[test]
fn paths_exact_prefix_regex() {
    let sign = Sign::posts(
        &["exact", "prefix", "longer", "regex", "second", "rest"],
        r#"
        [[route]]
        path = "~ ^/v[0-9]+/"
        pool = "regex"
        [[route]]
        path = "~ \\.php$"
        pool = "second"
        [[route]]
        path = "/x/*"
        pool = "prefix"
        [[route]]
        path = "/x/deep/*"
        pool = "longer"
        [[route]]
        path = "/x/deep/one"
        pool = "exact"
        [[route]]
        path = "/*"
        pool = "rest"
        "#,
    );
    sign.check(&[
        ("t", "/x", "prefix"),
        ("t", "/x/", "prefix"),
        ("t", "/x/y", "prefix"),
        ("t", "/xy", "rest"),
        ("t", "/X/y", "rest"),
        ("t", "/x/deep", "longer"),
        ("t", "/x/deep/two", "longer"),
        ("t", "/x/deeper", "prefix"),
        ("t", "/x/deep/one", "exact"),
        ("t", "/x/deep/one?q=1", "exact"),
        ("t", "/x/deep/one/", "longer"),
        ("t", "/", "rest"),
        // A prefix is stronger than any regex, and "/*" is a prefix.
        ("t", "/v1/a", "rest"),
    ]);
}

#[test]
fn regexes_go_by_their_order() {
    let sign = Sign::posts(
        &["first", "second"],
        r#"
        [[route]]
        path = "~ ^/v[0-9]+/"
        pool = "first"
        [[route]]
        path = "~ ^/v"
        pool = "second"
        "#,
    );
    sign.check(&[
        ("t", "/v1/a", "first"),
        ("t", "/vx/a", "second"),
        ("t", "/v1", "second"),
        ("t", "/w", "HTTP/1.1"),
        ("t", "/w?/v1/", "HTTP/1.1"),
    ]);
}

#[test]
fn the_host_counts_before_the_path() {
    let sign = Sign::posts(
        &["any", "host", "wild"],
        r#"
        [[route]]
        path = "/api/exact"
        pool = "any"
        [[route]]
        path = "/api/*"
        hosts = ["*.test"]
        pool = "wild"
        [[route]]
        path = "~ ^/api"
        hosts = ["a.test"]
        pool = "host"
        [[route]]
        pool = "any"
        "#,
    );
    sign.check(&[
        ("a.test", "/api/exact", "host"),
        ("b.test", "/api/exact", "wild"),
        ("c", "/api/exact", "any"),
        // Nothing of the host's fits: what is for any host does.
        ("a.test", "/other", "any"),
        ("b.test", "/other", "any"),
    ]);
}

#[test]
fn methods_choose_and_are_refused() {
    let sign = Sign::posts(
        &["read", "write"],
        r#"
        [[route]]
        path = "/both"
        methods = ["GET", "HEAD"]
        pool = "read"
        [[route]]
        path = "/both"
        methods = ["POST"]
        pool = "write"
        [[route]]
        path = "/read"
        methods = ["GET"]
        pool = "read"
        "#,
    );
    assert_eq!(sign.ask("GET", "t", "/both").text(), "read /both");
    assert_eq!(sign.ask("HEAD", "t", "/both").status(), 200);
    assert_eq!(sign.ask("POST", "t", "/both").text(), "write /both");
    let refused = sign.ask("DELETE", "t", "/both");
    refused.expect_error(405, "route", "method_not_allowed");
    let allow = refused.head.get("allow").expect("Allow");
    let mut allowed: Vec<_> = allow.split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let refused = sign.ask("POST", "t", "/read");
    refused.expect_error(405, "route", "method_not_allowed");
    assert_eq!(refused.head.get("allow"), Some("GET"));
    // Methods are case-sensitive.
    assert_eq!(sign.ask("get", "t", "/read").status(), 405);
    assert_eq!(sign.proxy.stats().total("error_route_method_not_allowed"), 3);
}

#[test]
fn no_route_is_404_and_the_connection_goes_on() {
    let origin = Origin::saying("must not be asked");
    let body = format!(
        "[[route]]\npath = \"/here\"\npool = \"p\"\n[pool.p]\nmembers = [\"{}\"]\n",
        origin.address()
    );
    let proxy = Setup::with_body(body).start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        client.get("/there").expect_error(404, "route", "no_route");
    }
    let head = "POST /there HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody";
    let answer = client.ask(head);
    answer.expect_error(404, "route", "no_route");
    assert!(!answer.head.closes(), "the body was there, so it can be read over");
    client.send("HEAD /there HTTP/1.1\r\nHost: t\r\n\r\n");
    let answer = client.answer_to("HEAD");
    assert_eq!((answer.status(), answer.body.len()), (404, 0));
    assert_eq!(client.get("/here").text(), "must not be asked");
    assert_eq!(proxy.stats().total("error_route_no_route"), 4);
}

#[test]
fn the_normal_form_of_a_path_routes_and_is_forwarded() {
    let sign = Sign::posts(
        &["open", "secret"],
        r#"
        [[route]]
        pool = "open"
        [[route]]
        path = "/secret/*"
        pool = "secret"
        "#,
    );
    sign.check(&[
        ("t", "/open/../secret/x", "secret"),
        ("t", "/open/%2e%2e/secret/x", "secret"),
        ("t", "/open/%2E./secret/x", "secret"),
        ("t", "/./secret/x", "secret"),
        ("t", "/%73ecret/x", "secret"),
        ("t", "/secret/../open", "open"),
        ("t", "/secret/..", "open"),
        ("t", "/secret%2Fx", "open"),
    ]);
    sign.check_target(&[
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb?x=%2fy", "/a%2Fb?x=%2fy"),
        ("/a?b=/../c&d=%2e%2e", "/a?b=/../c&d=%2e%2e"),
        ("/a?", "/a?"),
        ("/a%20b", "/a%20b"),
        ("/%E4%BD%A0", "/%E4%BD%A0"),
        ("/a;p=1/b,c", "/a;p=1/b,c"),
    ]);
}

#[test]
fn a_path_cannot_climb_above_the_root() {
    let sign = Sign::posts(&["open"], "[[route]]\npool = \"open\"\n");
    for target in ["/../x", "/a/../../x", "/%2e%2e/x"] {
        let answer = sign.ask("GET", "t", target);
        if answer.status() != 400 {
            assert_eq!(answer.text(), "open /x", "{target}");
        }
    }
    for target in ["/a%", "/a%2", "/a%zz", "/a%00b"] {
        assert_eq!(sign.ask("GET", "t", target).status(), 400, "{target}");
    }
}

#[test]
fn a_route_may_be_for_some_listeners() {
    let (front, back) = (Origin::saying("front"), Origin::saying("back"));
    let body = format!(
        "[listener.other]\nbind = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n\
         [[route]]\nlisteners = [\"web\"]\npool = \"front\"\n\
         [[route]]\npath = \"/*\"\nlisteners = [\"other\"]\npool = \"back\"\n\
         [pool.front]\nmembers = [\"{}\"]\n[pool.back]\nmembers = [\"{}\"]\n",
        front.address(),
        back.address()
    );
    let proxy = Setup::with_body(body).start();
    assert_eq!(Client::connect(proxy.address()).get("/").text(), "front");
    let others = proxy.listening("other");
    assert_eq!(others.len(), 2);
    for address in others {
        assert_eq!(Client::connect(address).get("/").text(), "back");
    }
}
