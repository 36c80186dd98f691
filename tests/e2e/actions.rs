//! What a route does with its requests: splits, redirections, fixed answers, how ringway itself is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::support::message::Message;
use crate::support::origin::refusing;
use crate::support::proxy::{value_in, wait_lines};
use crate::support::{Client, Origin, Proxy, Setup, eventually, exchange};

/// A route with these lines, and pools `a` and `b` of origins that say their names.
fn two(lines: &str) -> (Setup, [Origin; 2]) {
    let origins = [Origin::saying("a"), Origin::saying("b")];
    let mut body = format!("[[route]]\n{lines}\n");
    for (name, origin) in ["a", "b"].iter().zip(&origins) {
        write!(body, "[pool.{name}]\nmembers = [\"{}\"]\n", origin.address()).expect("a string");
    }
    (Setup::with_body(body), origins)
}

const SPLIT: &str = "split = [{ pool = \"a\", weight = 70 }, { pool = \"b\", weight = 30 }]";

/// Which pool each key goes to.
fn pools_of(proxy: &Proxy, header: &str) -> BTreeMap<u32, String> {
    let mut client = Client::connect(proxy.address());
    let mut ask =
        |key: u32| client.ask(format!("GET / HTTP/1.1\r\nHost: t\r\n{header}{key}\r\n\r\n")).text();
    (0..200).map(|key| (key, ask(key))).collect()
}

#[test]
fn the_same_key_goes_to_the_same_pool_everywhere() {
    for (by, header) in [("cookie:sid", "Cookie: x=1; sid="), ("header:X-User", "X-User: ")] {
        let (setup, _origins) = two(&format!("{SPLIT}\nsplit_by = \"{by}\""));
        let first = setup.clone().start();
        let found = pools_of(&first, header);
        let share = found.values().filter(|pool| *pool == "b").count();
        // A hash spreads 200 keys as chance would: 60, give or take four deviations.
        assert!((34..=86).contains(&share), "{share}");
        // On a connection to another worker, perhaps, and in another process.
        assert_eq!(pools_of(&first, header), found);
        drop(first);
        assert_eq!(pools_of(&setup.start(), header), found);
    }
}

#[test]
fn clients_stay_with_their_pool_by_their_address() {
    let (setup, origins) = two(SPLIT);
    let proxy = setup.listener("trusted_proxies = [\"127.0.0.1\"]").start();
    let found = pools_of(&proxy, "X-Forwarded-For: 10.0.0.");
    assert!(found.values().any(|pool| pool == "a") && found.values().any(|pool| pool == "b"));
    assert_eq!(pools_of(&proxy, "X-Forwarded-For: 10.0.0."), found);
    assert!(origins.iter().all(|origin| !origin.requests().is_empty()));
}

#[test]
fn the_log_names_the_pool_of_a_split() {
    let (setup, _origins) = two(&format!("{SPLIT}\nsplit_by = \"request\""));
    let proxy = setup.server("access_log = \"{directory}/access.log\"").start();
    let mut client = Client::connect(proxy.address());
    let served: Vec<String> = (0..40).map(|_| client.get("/").text()).collect();
    let lines = wait_lines(&proxy.directory().join("access.log"), 40);
    let logged: Vec<_> = lines.iter().map(|line| value_in(line, "pool").unwrap()).collect();
    assert_eq!(logged, served);
    // Forty times the same has a chance of one in a million.
    assert!(served.iter().any(|pool| pool == "a") && served.iter().any(|pool| pool == "b"));
}

#[test]
fn a_pool_without_weight_gets_nothing() {
    let lines = "split = [{ pool = \"a\", weight = 0 }, { pool = \"b\" }]\nsplit_by = \"request\"";
    let (setup, origins) = two(lines);
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address());
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "b");
    }
    assert!(origins[0].requests().is_empty());
}

fn location(proxy: &Proxy, request: &str) -> (u16, String) {
    let answer = exchange(proxy.address(), request.replace('\n', "\r\n") + "\r\n\r\n");
    (answer.status(), answer.head.get("location").unwrap_or("-").to_owned())
}

#[test]
fn redirections() {
    let proxy = Setup::with_body(
        r#"
        [[route]]
        hosts = ["old.test"]
        redirect = "https://new.test{path}"
        [[route]]
        hosts = ["drop.test"]
        redirect = { to = "{scheme}://www.{host}:8443{path}#top", status = 301, query = "drop" }
        [[route]]
        hosts = ["fragment.test"]
        redirect = { to = "/x?a=1#top", status = 302 }
        [[route]]
        hosts = ["query.test"]
        redirect = { to = "/search?was={query}", status = 303 }
        [[route]]
        hosts = ["relative.test"]
        redirect = { to = "{path}", status = 307 }
        [[route]]
        hosts = ["moved.test"]
        path = "/old/*"
        strip = "/old"
        rewrite = { match = "^/([0-9]+)/(.*)$", to = "/$2/$1" }
        redirect = "{path}"
        [[route]]
        redirect = "http://{host}/"
        "#,
    )
    .start();
    for (request, expected) in [
        ("GET /a/../b?c=d HTTP/1.1\nHost: old.test", (308, "https://new.test/b?c=d")),
        ("POST /%61 HTTP/1.1\nHost: OLD.test:80\nContent-Length: 0", (308, "https://new.test/a")),
        ("OPTIONS * HTTP/1.1\nHost: old.test", (308, "https://new.test/")),
        ("GET /a?b HTTP/1.1\nHost: drop.test", (301, "http://www.drop.test:8443/a#top")),
        ("GET /a?b=2 HTTP/1.1\nHost: fragment.test", (302, "/x?a=1&b=2#top")),
        ("GET /a?b=2&c HTTP/1.1\nHost: query.test", (303, "/search?was=b=2&c")),
        ("GET //evil.test/x HTTP/1.1\nHost: relative.test", (307, "/evil.test/x")),
        ("GET ///evil.test HTTP/1.1\nHost: relative.test", (307, "/evil.test")),
        ("GET /old/7/x?y HTTP/1.1\nHost: moved.test", (308, "/x/7?y")),
        ("GET / HTTP/1.0", (308, "http://127.0.0.1/")),
    ] {
        let (status, to) = location(&proxy, request);
        assert_eq!((status, to.as_str()), expected, "{request}");
    }
    assert_eq!(proxy.stats().total("redirects"), 10);
}

#[test]
fn redirections_know_the_scheme_that_a_trusted_proxy_names() {
    let body = "[[route]]\nredirect = \"{scheme}://new.test/\"\n";
    for (trusted, expected) in [("\"127.0.0.1\"", "https://new.test/"), ("", "http://new.test/")] {
        let listener = format!("trusted_proxies = [{trusted}]");
        let proxy = Setup::with_body(body).listener(listener).start();
        let request = "GET / HTTP/1.1\nHost: t\nX-Forwarded-Proto: https";
        assert_eq!(location(&proxy, request), (308, expected.to_owned()));
    }
}

fn fixed() -> Proxy {
    let large = "x".repeat(300_000);
    Setup::with_body(
        r#"
        [[route]]
        path = "/robots.txt"
        respond = { body = "User-agent: *\nDisallow: /\n" }
        [[route]]
        path = "/down"
        respond = { status = 503, file = "down.html", headers = { "Retry-After" = "120", "X-A" = "b" } }
        [[route]]
        path = "/large"
        respond = { file = "large.json", content_type = "application/x" }
        [[route]]
        path = "/empty"
        respond = { status = 204 }
        [[route]]
        path = "/none"
        respond = { status = 404 }
        "#,
    )
    .beside("down.html", "<h1>Back soon</h1>")
    .beside("large.json", large)
    .start()
}

#[test]
fn fixed_answers() {
    let proxy = fixed();
    let mut client = Client::connect(proxy.address());
    let seen = |answer: &Message| {
        let get = |name: &str| answer.head.get(name).unwrap_or("-").to_owned();
        (answer.status(), get("content-type"), get("content-length"), answer.text())
    };
    let text = |text: &str| text.to_owned();
    let robots = client.get("/robots.txt");
    let expected = text("User-agent: *\nDisallow: /\n");
    assert_eq!(seen(&robots), (200, text("text/plain; charset=utf-8"), text("26"), expected));
    assert!(robots.head.get("date").is_some());
    let down = client.get("/down?x");
    let html = text("text/html; charset=utf-8");
    assert_eq!(seen(&down), (503, html.clone(), text("18"), text("<h1>Back soon</h1>")));
    assert_eq!((down.head.get("retry-after"), down.head.get("x-a")), (Some("120"), Some("b")));
    client.send(b"HEAD /down HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(seen(&client.answer_to("HEAD")), (503, html, text("18"), String::new()));
    let large = client.get("/large");
    assert_eq!(
        (large.body.len(), large.head.get("content-type")),
        (300_000, Some("application/x"))
    );
    assert_eq!(seen(&client.get("/empty")), (204, text("-"), text("-"), String::new()));
    assert_eq!(seen(&client.get("/none")), (404, text("-"), text("0"), String::new()));
    assert_eq!(proxy.stats().total("fixed_answers"), 6);
}

#[test]
fn a_body_for_a_fixed_answer_is_dropped_or_ends_the_connection() {
    let proxy = fixed();
    let mut client = Client::connect(proxy.address());
    client.send("POST /none HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhelloGET /empty HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer().status(), 404);
    assert_eq!(client.answer().status(), 204);
    client.send("POST /none HTTP/1.1\r\nHost: t\r\nContent-Length: 50000\r\n\r\nsome");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.head.closes()), (404, true));
    let old = exchange(proxy.address(), "GET /robots.txt HTTP/1.0\r\n\r\n");
    assert_eq!((old.status(), old.head.closes()), (200, true));
}

#[test]
fn how_ringway_is() {
    let up = Origin::saying("up");
    let (_held, down) = refusing();
    let body = format!(
        "[[route]]\npath = \"/livez\"\nrespond = \"livez\"\n\
         [[route]]\npath = \"/readyz\"\nrespond = \"readyz\"\n\
         [[route]]\npath = \"/up\"\nrespond = {{ ready = [\"up\"] }}\n\
         [[route]]\npool = \"up\"\n[[route]]\npath = \"/down\"\npool = \"down\"\n\
         [pool.up]\nmembers = [\"{}\"]\n[pool.down]\nmembers = [\"{down}\"]\n\
         health = {{ type = \"tcp\", interval = \"50ms\", timeout = \"40ms\", fall = 1, rise = 1 }}\n",
        up.address()
    );
    let proxy = Setup::with_body(body).server("drain_timeout = \"60s\"").start();
    let status = |path: &str| Client::connect(proxy.address()).get(path).status();
    eventually("the pool without a member is seen", || status("/readyz") == 503);
    let told = Client::connect(proxy.address()).get("/readyz");
    assert_eq!(told.text(), "not ready: no member of a pool may serve\n");
    assert_eq!(told.head.get("cache-control"), Some("no-store"));
    assert_eq!((status("/livez"), status("/up")), (200, 200));
    // Who asks on a connection that it has is told that ringway drains.
    let mut waiting = Client::connect(proxy.address());
    assert_eq!(waiting.get("/up").text(), "ready\n");
    waiting.send(b"GET /up HTTP/1.1\r\n");
    proxy.signal(libc::SIGTERM);
    eventually("the door closes", || std::net::TcpStream::connect(proxy.address()).is_err());
    let answer = waiting.ask(b"Host: t\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "draining\n"));
}

/// All members of the first pool are drained: its share goes to the second, or gets 503.
#[test]
fn a_pool_without_members_leaves_its_share_to_the_next() {
    for (fallback, expected) in [("", "b"), ("split_fallback = \"off\"", "503")] {
        let origins = [Origin::saying("a"), Origin::saying("b")];
        let body = format!(
            "[[route]]\nsplit = [{{ pool = \"a\" }}, {{ pool = \"b\" }}]\nsplit_by = \"header:X-User\"\n{fallback}\n\
             [pool.a]\nmembers = [{{ address = \"{}\", state = \"drain\" }}]\n\
             [pool.b]\nmembers = [\"{}\"]\n",
            origins[0].address(),
            origins[1].address()
        );
        let proxy = Setup::with_body(body).start();
        let mut client = Client::connect(proxy.address());
        let mut fell = 0;
        for key in 0..40 {
            let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: t\r\nX-User: {key}\r\n\r\n"));
            match answer.status() {
                200 => assert_eq!(answer.text(), "b"),
                status => {
                    assert_eq!((status, expected), (503, "503"));
                    fell += 1;
                }
            }
        }
        let fallbacks = proxy.stats().total("split_fallbacks");
        let (counted, other) = if expected == "b" { (fallbacks, fell) } else { (fell, fallbacks) };
        assert!((1..40).contains(&counted) && other == 0, "{counted} {other}");
        assert_eq!(origins[0].connections(), 0);
    }
}
