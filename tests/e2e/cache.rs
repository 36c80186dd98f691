//! What is stored and given to later requests, over both workers, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::coding::{decode, json};
use crate::support::message::{Message, answer_with};
use crate::support::{Client, Origin, Proxy, Setup, client::exchange};

/// What clients are told of the cache.
#[track_caller]
pub(crate) fn status(answer: &Message) -> String {
    answer.head.get("cache-status").unwrap_or("none").to_owned()
}

/// Everything goes to `origin`, through a cache that tells what it does.
pub(crate) fn cached(origin: &Origin, more: &str) -> Proxy {
    let wait = if more.contains("wait = ") { "" } else { ", wait = \"60s\"" };
    Setup::to(&[origin]).route(format!("cache = {{ status_header = true{wait}{more} }}")).start()
}

/// An origin that numbers its answers, which have these fields.
pub(crate) fn counting(fields: &'static [(&'static str, &'static str)]) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::serving(move |_| {
        let body = format!("answer {}", count.fetch_add(1, Ordering::SeqCst) + 1);
        answer_with("200 OK", fields, body.as_bytes())
    })
}

fn get(proxy: &Proxy, fields: &str) -> Message {
    exchange(proxy.address(), format!("GET /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

#[test]
fn a_fresh_answer_serves_every_connection_of_every_worker() {
    let origin = counting(&[("Cache-Control", "max-age=60"), ("X-A", "b"), ("Date", "x")]);
    let proxy = cached(&origin, "");
    let first = get(&proxy, "");
    assert_eq!((first.text().as_str(), first.head.get("age")), ("answer 1", None));
    assert_eq!(status(&first), "ringway; fwd=uri-miss; stored");
    for _ in 0..12 {
        let mut client = Client::connect(proxy.address());
        for _ in 0..2 {
            let next = client.get("/a");
            // Another host is another key.
            assert_eq!(next.text(), "answer 2");
        }
        let next = get(&proxy, "");
        assert_eq!((next.text().as_str(), next.head.get("x-a")), ("answer 1", Some("b")));
        assert_eq!(next.head.get("content-length"), Some("8"));
        let age: u64 = next.head.get("age").expect("an age").parse().expect("a number");
        assert!(age < 60 && status(&next).starts_with("ringway; hit; ttl="), "{next:?}");
    }
    assert_eq!(origin.requests().len(), 2);
    proxy.wait_stat("cache_hits", 35);
    let stats = proxy.stats();
    assert_eq!((stats.total("cache_misses"), stats.total("cache_stored")), (2, 2));
    proxy.wait_idle();
}

#[test]
fn what_may_not_be_stored_is_asked_for_each_time() {
    for fields in [
        &[("Cache-Control", "no-store, max-age=60")][..],
        &[("Cache-Control", "private, max-age=60")],
        &[("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")],
        &[("Cache-Control", "max-age=60"), ("Vary", "*")],
        &[],
    ] {
        let origin = counting(fields);
        let proxy = cached(&origin, "");
        for number in 1..=3 {
            let answer = get(&proxy, "");
            assert_eq!(answer.text(), format!("answer {number}"), "{fields:?}");
            assert_eq!(status(&answer), "ringway; fwd=uri-miss", "{fields:?}");
        }
        proxy.wait_stat("cache_misses", 3);
    }
}

#[test]
fn requests_that_go_past() {
    let origin = counting(&[("Cache-Control", "max-age=60")]);
    let proxy = cached(&origin, ", bypass = [\"cookie:sid\", \"query:raw\"]");
    assert_eq!(get(&proxy, "").text(), "answer 1");
    let answer = get(&proxy, "Cookie: a=1; sid=2\r\n");
    assert_eq!((answer.text().as_str(), &*status(&answer)), ("answer 2", "ringway; fwd=bypass"));
    let answer = exchange(proxy.address(), "GET /a?raw HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((answer.text().as_str(), &*status(&answer)), ("answer 3", "ringway; fwd=bypass"));
    let answer = get(&proxy, "Cache-Control: no-store\r\n");
    assert_eq!((answer.text().as_str(), &*status(&answer)), ("answer 4", "ringway; fwd=request"));
    assert_eq!(get(&proxy, "Cookie: a=1\r\n").text(), "answer 1");
    proxy.wait_stat("cache_past", 3);
    let missing = exchange(
        proxy.address(),
        "GET /b HTTP/1.1\r\nHost: t\r\nCache-Control: only-if-cached\r\n\r\n",
    );
    missing.expect_error(504, "client", "only_if_cached");
    assert_eq!(get(&proxy, "Cache-Control: only-if-cached\r\n").text(), "answer 1");
}

#[test]
fn head_ranges_and_conditions_are_answered_from_a_whole_answer() {
    let origin = counting(&[
        ("Cache-Control", "max-age=60"),
        ("ETag", "\"a\""),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Content-Type", "text/plain"),
    ]);
    let proxy = cached(&origin, "");
    assert_eq!(get(&proxy, "").text(), "answer 1");
    let mut client = Client::connect(proxy.address());
    client.send("HEAD /a HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.answer_to("HEAD");
    assert_eq!((head.status(), head.head.get("content-length")), (200, Some("8")));
    for (fields, expected, body, range) in [
        ("Range: bytes=0-1\r\n", 206, "an", Some("bytes 0-1/8")),
        ("Range: bytes=-2\r\nIf-Range: \"a\"\r\n", 206, " 1", Some("bytes 6-7/8")),
        ("Range: bytes=-2\r\nIf-Range: \"b\"\r\n", 200, "answer 1", None),
        ("Range: bytes=0-1,3-4\r\n", 200, "answer 1", None),
        ("Range: bytes=8-\r\n", 416, "", Some("bytes */8")),
        ("If-None-Match: \"b\"\r\n", 200, "answer 1", None),
        ("If-None-Match: \"b\", W/\"a\"\r\n", 304, "", None),
        (
            "If-None-Match: \"b\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            200,
            "answer 1",
            None,
        ),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, "", None),
        ("If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\n", 200, "answer 1", None),
        ("If-None-Match: \"a\"\r\nRange: bytes=0-1\r\n", 304, "", None),
    ] {
        client.send(format!("GET /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text().as_str()), (expected, body), "{fields}");
        assert_eq!(answer.head.get("content-range"), range, "{fields}");
        assert_eq!(answer.head.get("etag"), Some("\"a\""), "{fields}");
        let typed = answer.head.get("content-type").is_some();
        assert_eq!(typed, matches!(expected, 200 | 206), "{fields}");
        assert!(answer.head.get("age").is_some(), "{fields}");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn variants_by_vary() {
    let origin = counting(&[("Cache-Control", "max-age=60"), ("Vary", "Accept-Language, X-B")]);
    let proxy = cached(&origin, "");
    assert_eq!(get(&proxy, "Accept-Language: en, de\r\n").text(), "answer 1");
    let other = get(&proxy, "Accept-Language: fr\r\n");
    assert_eq!(
        (other.text().as_str(), &*status(&other)),
        ("answer 2", "ringway; fwd=vary-miss; stored")
    );
    assert_eq!(get(&proxy, "accept-language: DE,en\r\nOther: x\r\n").text(), "answer 1");
    assert_eq!(get(&proxy, "Accept-Language: fr\r\n").text(), "answer 2");
    assert_eq!(get(&proxy, "Accept-Language: fr\r\nX-B: 1\r\n").text(), "answer 3");
    assert_eq!(get(&proxy, "").text(), "answer 4");
}

/// An origin whose answers are stale at once, and that says 304 to who has the last.
fn validating(fields: &'static str) -> Origin {
    Origin::serving(move |request| {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        if request.head.get("if-none-match") == Some("\"v\"") {
            let times = "Cache-Control: max-age=60\r\nX-Version: 2\r\n";
            return format!("HTTP/1.1 304 Not Modified\r\n{times}ETag: \"v\"\r\n\r\n").into_bytes();
        }
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"v\"\r\nX-Version: 1\r\n{date}{fields}Content-Length: 4\r\n\r\nbody"
        )
        .into_bytes()
    })
}

#[test]
fn a_stale_answer_is_validated_and_updated() {
    let origin = validating("Cache-Control: max-age=1\r\nX-Other: 3\r\n");
    let proxy = cached(&origin, "");
    assert_eq!(get(&proxy, "").text(), "body");
    // Stale by its date already. The client's own conditions and ranges are not for the origin.
    let second = get(&proxy, "If-None-Match: \"old\"\r\nRange: bytes=1-2\r\n");
    assert_eq!((second.status(), second.text().as_str()), (206, "od"));
    assert_eq!((second.head.get("x-version"), second.head.get("x-other")), (Some("2"), Some("3")));
    assert!(status(&second).starts_with("ringway; fwd=stale; fwd-status=304; stored; ttl="));
    let requests = origin.requests();
    assert_eq!(requests[1].head.get("if-none-match"), Some("\"v\""));
    assert_eq!(requests[1].head.get("range"), None);
    // The date of the 304 is not there: the stored one still counts, and makes it old.
    assert_eq!(get(&proxy, "").head.get("x-version"), Some("2"));
    proxy.wait_stat("cache_revalidated", 2);
}

#[test]
fn no_cache_means_validate() {
    let origin = validating("Cache-Control: max-age=60, no-cache\r\n");
    let proxy = cached(&origin, "");
    for _ in 0..3 {
        assert_eq!(get(&proxy, "").text(), "body");
    }
    let origin = counting(&[("Cache-Control", "max-age=60")]);
    let proxy = cached(&origin, "");
    assert_eq!(get(&proxy, "").text(), "answer 1");
    let second = get(&proxy, "Cache-Control: no-cache\r\n");
    assert_eq!(
        (second.text().as_str(), &*status(&second)),
        ("answer 2", "ringway; fwd=request; stored")
    );
    assert_eq!(get(&proxy, "").text(), "answer 2");
    let proxy = cached(&origin, ", ignore_client_directives = true");
    assert_eq!(get(&proxy, "").text(), "answer 3");
    assert_eq!(get(&proxy, "Cache-Control: no-cache, no-store\r\n").text(), "answer 3");
}

#[test]
fn requests_that_change_something_invalidate() {
    let count = AtomicUsize::new(0);
    let origin = Origin::serving(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let (line, fields) = match request.head.method() {
            "GET" => ("200 OK", &[("Cache-Control", "max-age=60")][..]),
            "PUT" => ("500 Internal Server Error", &[][..]),
            _ => ("201 Created", &[("Location", "/b?c"), ("Content-Location", "http://u/a")][..]),
        };
        answer_with(line, fields, number.to_string().as_bytes())
    });
    let proxy = cached(&origin, "");
    let ask = |method: &str, host: &str, path: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let request = request.replace(
            "Content-Length: 0\r\n",
            if method == "GET" { "" } else { "Content-Length: 0\r\n" },
        );
        exchange(proxy.address(), request).text()
    };
    assert_eq!(
        [ask("GET", "t", "/a"), ask("GET", "t", "/b?c"), ask("GET", "u", "/a")],
        ["1", "2", "3"]
    );
    assert_eq!([ask("PUT", "t", "/a"), ask("GET", "t", "/a")], ["4", "1"]);
    assert_eq!([ask("POST", "t", "/a"), ask("GET", "t", "/a")], ["5", "6"]);
    assert_eq!([ask("GET", "t", "/b?c"), ask("GET", "u", "/a")], ["7", "3"]);
    assert_eq!([ask("M-SEARCH", "t", "/a"), ask("GET", "t", "/a")], ["8", "9"]);
    proxy.wait_stat("cache_invalidated", 4);
}

#[test]
fn what_is_not_whole_is_not_stored() {
    let times = AtomicUsize::new(0);
    let origin = Origin::scripted(move |conn| {
        conn.expect_request()?;
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
        match times.fetch_add(1, Ordering::SeqCst) {
            0 => conn.send(format!("{head}Content-Length: 10\r\n\r\nhalf")),
            1 => conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")),
            2 => conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxx")),
            _ => {
                conn.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n4\r\nall.\r\n0\r\n\r\n"))
            }
        }
    });
    let proxy = cached(&origin, "");
    for expected in [200, 200, 502] {
        let mut client = Client::connect(proxy.address());
        client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
        // What is malformed as it comes is an error before anything is sent.
        assert_eq!(client.head().status(), expected);
        if expected == 502 {
            break;
        }
        let (bytes, end) = client.rest();
        assert!(end == crate::support::wire::End::Reset, "{bytes:?}");
    }
    assert_eq!(get(&proxy, "").text(), "all.");
    let hit = get(&proxy, "");
    assert_eq!((hit.text().as_str(), hit.head.get("content-length")), ("all.", Some("4")));
    assert_eq!(proxy.stats().total("cache_stored"), 1);
}

#[test]
fn bodies_of_all_sizes_and_framings() {
    let sizes = [0, 1, 10_000, 70_000, 300_000, 2_000_000];
    let body = |size: usize| -> Vec<u8> { (0..size).map(|n| (n % 251) as u8).collect() };
    let origin = Origin::serving(move |request| {
        let target = request.head.target();
        let (kind, size) = target[1..].split_once('/').expect("a kind and a size");
        let body = body(size.parse().expect("a size"));
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
        if kind == "length" {
            let mut out = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
            out.extend_from_slice(&body);
            return out;
        }
        let mut out = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for piece in body.chunks(7000) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
        out
    });
    let proxy = cached(&origin, ", max_object = \"1MiB\"");
    for kind in ["length", "chunks"] {
        for size in sizes {
            let path = format!("/{kind}/{size}");
            for round in 0..3 {
                let answer = Client::connect(proxy.address()).get(&path);
                assert!(answer.body == body(size), "{path}: {} bytes", answer.body.len());
                let hit = status(&answer).starts_with("ringway; hit");
                assert_eq!(hit, round > 0 && size < 1 << 20, "{path} {round}");
            }
        }
    }
    proxy.wait_idle();
}

#[test]
fn answers_within_max_age_of_the_route() {
    let origin = Origin::serving(|request| match request.head.target() {
        "/gone" => answer_with("404 Not Found", &[], b"no"),
        _ => answer_with("200 OK", &[], b"yes"),
    });
    let proxy = cached(&origin, ", max_age = { 200 = \"10m\", 4xx = \"1m\" }");
    for path in ["/gone", "/here"] {
        let first = Client::connect(proxy.address()).get(path);
        let second = Client::connect(proxy.address()).get(path);
        assert_eq!(first.text(), second.text());
        let told = status(&second);
        let ttl: u64 =
            told.strip_prefix("ringway; hit; ttl=").expect("a hit").parse().expect("a number");
        assert!(if path == "/gone" { ttl <= 60 } else { (590..=600).contains(&ttl) }, "{ttl}");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn answers_to_who_has_a_password_are_for_others_only_if_they_say_so() {
    let origin = Origin::serving(|request| {
        let control =
            if request.head.target() == "/public" { "public, max-age=60" } else { "max-age=60" };
        answer_with("200 OK", &[("Cache-Control", control)], b"x")
    });
    let proxy = cached(&origin, "");
    for (path, asked) in [("/a", 2), ("/public", 1)] {
        let before = origin.requests().len();
        for _ in 0..2 {
            let fields = "Host: t\r\nAuthorization: Basic eA==\r\n";
            exchange(proxy.address(), format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
        }
        assert_eq!(origin.requests().len() - before, asked, "{path}");
    }
}

#[test]
fn a_flood_of_keys_stays_within_the_memory() {
    let origin = Origin::serving(|_| {
        answer_with("200 OK", &[("Cache-Control", "max-age=60")], &[b'x'; 4000])
    });
    let proxy =
        Setup::to(&[&origin]).server("cache = { memory = \"1MiB\" }").route("cache = {}").start();
    let mut client = Client::connect(proxy.address());
    for number in 0..1500 {
        assert_eq!(client.get(&format!("/{number}")).body.len(), 4000);
    }
    crate::support::eventually("the store is measured", || {
        proxy.stats().total("cache_evicted") > 1000
    });
    assert!(proxy.stats().total("cache_bytes") <= 1 << 20);
    assert_eq!(proxy.stats().total("cache_stored"), 1500);
}

#[test]
fn the_log_says_what_the_cache_did() {
    let origin = counting(&[("Cache-Control", "max-age=60")]);
    let proxy = Setup::to(&[&origin])
        .server("access_log = \"{directory}/log\"")
        .route("cache = {}")
        .start();
    for _ in 0..2 {
        get(&proxy, "");
    }
    let lines = crate::support::proxy::wait_lines(&proxy.directory().join("log"), 2);
    assert!(lines[0].contains(" cache=miss") && lines[1].contains(" cache=hit"), "{lines:?}");
    assert!(lines[1].contains(" member=- "), "{lines:?}");
}

#[test]
fn interim_answers_pass_and_the_final_one_is_stored() {
    let origin = Arc::new(Origin::serving(|_| {
        let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec();
        let last = answer_with("200 OK", &[("Cache-Control", "max-age=60")], b"x");
        [early, last].concat()
    }));
    let proxy = cached(&origin, "");
    let mut client = Client::connect(proxy.address());
    client.send("GET /a HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    assert_eq!(client.answer().text(), "x");
    assert_eq!(get(&proxy, "").text(), "x");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_is_stored_is_encoded_for_who_wants_it() {
    let body = json(40_000);
    let origin = {
        let body = body.clone();
        Origin::serving(move |_| {
            let fields = [
                ("Cache-Control", "max-age=60"),
                ("Content-Type", "application/json"),
                ("ETag", "\"e\""),
            ];
            answer_with("200 OK", &fields, &body)
        })
    };
    let proxy = Setup::to(&[&origin])
        .route("cache = { status_header = true }\ncompress = [\"br\", \"gzip\"]")
        .start();
    for (round, accepted) in ["br", "gzip", "br", "identity"].into_iter().enumerate() {
        let answer = get(&proxy, &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(status(&answer).starts_with("ringway; hit"), round > 0, "{accepted}");
        assert_eq!(answer.head.get("vary"), Some("Accept-Encoding"), "{accepted}");
        if accepted == "identity" {
            assert_eq!(answer.head.get("content-length"), Some(&*body.len().to_string()));
            assert_eq!(answer.head.get("etag"), Some("\"e\""));
            assert!(answer.body == body);
        } else {
            assert_eq!(answer.head.get("content-encoding"), Some(accepted));
            assert_eq!(answer.head.get("etag"), Some("W/\"e\""));
            assert!(
                answer.body.len() < body.len() / 2
                    && decode(accepted, &answer.body) == (body.clone(), true)
            );
        }
    }
    let had = get(&proxy, "Accept-Encoding: br\r\nIf-None-Match: W/\"e\"\r\n");
    assert_eq!((had.status(), had.head.get("etag")), (304, Some("W/\"e\"")));
    let part = get(&proxy, "Accept-Encoding: br\r\nRange: bytes=0-9\r\n");
    assert_eq!((part.status(), &part.body[..]), (206, &body[..10]));
    let mut client = Client::connect(proxy.address());
    client.send("HEAD /a HTTP/1.1\r\nHost: t\r\nAccept-Encoding: br\r\n\r\n");
    let head = client.answer_to("HEAD").head;
    assert_eq!(head.get("content-encoding"), Some("br"));
    assert_eq!(origin.requests().len(), 1);
    // On its way into the store; from there the form that is kept.
    proxy.wait_stat("compress_br", 1);
}
