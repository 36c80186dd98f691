//! The path that members see: stripped, rewritten, with its slashes merged, always in normal form.

use crate::support::{Client, Origin, Proxy, Setup, ok};

/// A proxy with these routes to an origin that answers with the target it was asked for.
fn echo(listener: &str, routes: &str) -> (Proxy, Origin) {
    let origin = Origin::serving(|request| ok(request.head.target()));
    let body = format!("{routes}\n[pool.main]\nmembers = [\"{}\"]\n", origin.address());
    (Setup::with_body(body).listener(listener).start(), origin)
}

fn check(proxy: &Proxy, table: &[(&str, &str)]) {
    for (target, expected) in table {
        let mut client = Client::connect(proxy.address());
        let method = if *target == "*" { "OPTIONS" } else { "GET" };
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
        let answer = client.answer_to(method);
        let got = match answer.status() {
            200 => answer.text(),
            status => status.to_string(),
        };
        assert_eq!(got, *expected, "{target}");
    }
}

#[test]
fn prefixes_are_stripped_and_paths_rewritten() {
    let (proxy, _origin) = echo(
        "",
        r#"
        [[route]]
        path = "/api/*"
        strip = "/api"
        pool = "main"
        [[route]]
        path = "/old/*"
        rewrite = { match = "^/old/(?<rest>.*)$", to = "/new/${rest}" }
        pool = "main"
        [[route]]
        path = "/item/*"
        rewrite = { match = "^/item/([0-9]+)$", to = "/item?id=$1" }
        pool = "main"
        [[route]]
        path = "/v1/*"
        strip = "/v1"
        rewrite = { match = "/x/", to = "/y" }
        pool = "main"
        [[route]]
        path = "/cut/*"
        rewrite = { match = "^/cut/([^-]*)-(.*)$", to = "/$1$2" }
        pool = "main"
        [[route]]
        pool = "main"
        "#,
    );
    check(
        &proxy,
        &[
            ("/api", "/"),
            ("/api?a=b", "/?a=b"),
            ("/api/x/y?a=/api/", "/x/y?a=/api/"),
            ("/api//x", "//x"),
            ("/api/%2e%2e/api/x", "/x"),
            ("/%61pi/x", "/x"),
            ("/api%2Fx", "/api%2Fx"),
            ("/api/a%2fb", "/a%2Fb"),
            ("/api/%252e%252e/x", "/%252e%252e/x"),
            ("/old/a/b?c", "/new/a/b?c"),
            ("/old", "/old"),
            ("/old/a%2Fb", "/new/a%2Fb"),
            ("/item/7", "/item?id=7"),
            ("/item/7?a=b", "/item?id=7&a=b"),
            ("/item/x", "/item/x"),
            ("/v1/a/x/b", "/y"),
            ("/v1/a", "/a"),
            // What two pieces join to is looked at again.
            ("/cut/.-./x", "400"),
            ("/cut/a/.-./x", "/x"),
            ("/cut/%2-5", "400"),
            ("/cut/%4-1", "400"),
            ("*", "*"),
        ],
    );
    assert_eq!(proxy.stats().total("error_route_bad_path"), 1);
}

#[test]
fn the_same_path_is_matched_and_forwarded() {
    let routes =
        "[[route]]\npath = \"/secret/*\"\nrespond = { status = 403 }\n[[route]]\npool = \"main\"\n";
    let (keeping, _origin) = echo("", routes);
    check(
        &keeping,
        &[
            ("/secret/x", "403"),
            ("//secret/x", "//secret/x"),
            ("/a//../secret", "/a/secret"),
            ("/a/..//secret", "//secret"),
            ("/%2e/secret", "403"),
            ("/a/%2e%2e/secret", "403"),
            ("/a%2f..%2fsecret", "/a%2F..%2Fsecret"),
            ("/secret%2Fx", "/secret%2Fx"),
            ("/%2Fsecret", "/%2Fsecret"),
            ("/secret;x", "/secret;x"),
            ("http://t//secret/x", "//secret/x"),
        ],
    );
    let (merging, _origin) = echo("slashes = \"merge\"", routes);
    check(
        &merging,
        &[
            ("/secret/x", "403"),
            ("//secret/x", "403"),
            ("/secret//x", "403"),
            ("///%73ecret///", "403"),
            ("/a//../secret", "403"),
            ("/a/..//secret", "403"),
            ("/a/.//%2e%2e//secret", "403"),
            ("http://t//secret/x", "403"),
            ("//a//b//?c=//d", "/a/b/?c=//d"),
            ("/%2F/a", "/%2F/a"),
            ("//", "/"),
            ("/a//../..", "400"),
            ("/a/../..//", "400"),
            ("*", "*"),
        ],
    );
}
