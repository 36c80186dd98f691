//! Pages for errors: ringway's own, and by choice in place of what members say.

use crate::support::origin::refusing;
use crate::support::{Client, Origin, Proxy, Setup, answer_with};

const PAGES: &str =
    "error_pages = { \"404\" = \"lost.html\", \"5xx\" = \"oops.json\", \"4xx\" = \"no.txt\" }";

fn with_pages(setup: Setup) -> Setup {
    setup
        .beside("lost.html", "<p>lost</p>")
        .beside("oops.json", "{\"error\":true}")
        .beside("no.txt", "no")
        .beside("route.html", "<p>of the route</p>")
}

fn seen(proxy: &Proxy, line: &str) -> (u16, String, String) {
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(format!("{line} HTTP/1.1\r\nHost: t\r\n\r\n"));
    let kind = answer.head.get("content-type").unwrap_or("-").to_owned();
    (answer.status(), kind, answer.text())
}

fn expect(proxy: &Proxy, line: &str, expected: (u16, &str, &str)) {
    let (status, kind, text) = seen(proxy, line);
    assert_eq!((status, kind.as_str(), text.as_str()), expected, "{line}");
}

#[test]
fn ringways_own_errors() {
    let (_held, down) = refusing();
    let body = format!(
        "[[route]]\npath = \"/down/*\"\npool = \"down\"\nmethods = [\"GET\"]\n\
         [[route]]\npath = \"/own/*\"\npool = \"down\"\nerror_pages = {{ \"502\" = \"route.html\" }}\n\
         [pool.down]\nmembers = [\"{down}\"]\nretry = \"off\"\n"
    );
    let proxy = with_pages(Setup::with_body(body)).listener(PAGES).start();
    let html = "text/html; charset=utf-8";
    expect(&proxy, "GET /nowhere", (404, html, "<p>lost</p>"));
    expect(&proxy, "PUT /down/x", (405, "text/plain; charset=utf-8", "no"));
    expect(&proxy, "GET /down/x", (502, "application/json", "{\"error\":true}"));
    expect(&proxy, "GET /own/x", (502, html, "<p>of the route</p>"));
    expect(&proxy, "GET /own/%", (400, "text/plain; charset=utf-8", "no"));
    let mut client = Client::connect(proxy.address());
    client.send(b"HEAD /nowhere HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.answer_to("HEAD");
    assert_eq!((head.status(), head.head.get("content-length")), (404, Some("11")));
    // Its connection goes on.
    assert_eq!(client.get("/nowhere").text(), "<p>lost</p>");
    assert_eq!(proxy.stats().total("error_pages"), 7);
    assert_eq!(proxy.stats().total("error_route_no_route"), 3);
}

#[test]
fn members_keep_their_own_words_unless_asked() {
    let origin =
        Origin::serving(|_| answer_with("404 Not Found", &[("Content-Type", "a/b")], b"mine"));
    let proxy = with_pages(Setup::to(&[&origin])).listener(PAGES).start();
    expect(&proxy, "GET /", (404, "a/b", "mine"));
    assert_eq!(proxy.stats().total("error_pages"), 0);
}

#[test]
fn members_bodies_give_way_to_pages() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/fine" => answer_with("200 OK", &[("Content-Type", "a/b")], b"fine"),
        "/teapot" => answer_with("418 I'm a teapot", &[("ETag", "\"x\"")], b"short and stout"),
        "/chunked" => {
            b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n"
                .to_vec()
        }
        _ => answer_with(
            "404 Gone Fishing",
            &[
                ("Content-Type", "a/b"),
                ("ETag", "\"x\""),
                ("Content-Encoding", "gzip"),
                ("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT"),
                ("Set-Cookie", "a=b"),
                ("X-Trace", "7"),
            ],
            b"mine",
        ),
    });
    let route = PAGES.replace(" }", ", intercept = true }").replace("\"4xx\" = \"no.txt\", ", "");
    let proxy = with_pages(Setup::to(&[&origin])).route(route).start();
    let mut client = Client::connect(proxy.address());
    let lost = client.get("/lost");
    assert_eq!(
        (lost.head.start.as_str(), lost.text().as_str()),
        ("HTTP/1.1 404 Gone Fishing", "<p>lost</p>")
    );
    for (name, value) in [
        ("content-type", Some("text/html; charset=utf-8")),
        ("content-length", Some("11")),
        ("etag", None),
        ("content-encoding", None),
        ("last-modified", None),
        ("set-cookie", Some("a=b")),
        ("x-trace", Some("7")),
    ] {
        assert_eq!(lost.head.get(name), value, "{name}");
    }
    assert_eq!(client.get("/fine").text(), "fine");
    // The body that gave way had come whole: the member's connection went on.
    assert_eq!(origin.connections(), 1);
    client.send(b"HEAD /lost HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.answer_to("HEAD");
    assert_eq!((head.status(), head.head.get("content-length")), (404, Some("11")));
    assert_eq!(client.get("/chunked").text(), "{\"error\":true}");
    assert_eq!(client.get("/fine").text(), "fine");
    assert_eq!(proxy.stats().total("error_pages"), 3);
}
