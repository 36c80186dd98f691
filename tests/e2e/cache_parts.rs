//! Parts of answers: what is kept of them, and who gets them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::cache::{cached, status};
use super::cache_stale::post as purge;
use crate::support::client::exchange;
use crate::support::{Client, Message, Origin, Proxy, Setup, answer_with, eventually};

const WHOLE: &str = "0123456789abcdefghij";

/// An origin of `WHOLE` that understands `Range: bytes=FIRST-LAST`, and says these fields as well.
fn ranging(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::serving(move |request| {
        let mut answer = part_of(request, WHOLE, fields);
        if request.head.method() == "HEAD" {
            answer.truncate(answer.len() - WHOLE.len());
        }
        answer
    })
}

fn part_of(request: &Message, whole: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let range = request.head.get("range").and_then(|range| range.strip_prefix("bytes="));
    let bounds = range.and_then(|range| range.split_once('-'));
    let Some((first, last)) = bounds else {
        return answer_with("200 OK", fields, whole.as_bytes());
    };
    let (first, last): (usize, usize) = match (first, last) {
        ("", last) => (whole.len() - last.parse::<usize>().expect("a number"), whole.len() - 1),
        (first, "") => (first.parse().expect("a number"), whole.len() - 1),
        (first, last) => (first.parse().expect("a number"), last.parse().expect("a number")),
    };
    if first >= whole.len() {
        return answer_with("416 Range Not Satisfiable", fields, b"");
    }
    let range = format!("bytes {first}-{last}/{}", whole.len());
    let fields: Vec<_> = fields.iter().copied().chain([("Content-Range", &*range)]).collect();
    answer_with("206 Partial Content", &fields, &whole.as_bytes()[first..=last])
}

const TAGGED: &[(&str, &str)] = &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")];

fn get(proxy: &Proxy, fields: &str) -> Message {
    exchange(proxy.address(), format!("GET /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
}

fn range(proxy: &Proxy, range: &str) -> (String, String, String) {
    let answer = get(proxy, &format!("Range: bytes={range}\r\n"));
    assert_eq!(answer.status(), 206, "{range}");
    let told = answer.head.get("content-range").unwrap_or("none").to_owned();
    let hit = status(&answer);
    (answer.text(), told, hit.split(';').nth(1).unwrap_or_default().trim().to_owned())
}

#[test]
fn what_lies_within_a_stored_part_is_served_from_it() {
    let origin = ranging(TAGGED);
    let proxy = cached(&origin, "");
    let expect = |asked: &str, body: &str, told: &str, from: &str| {
        let found = range(&proxy, asked);
        assert_eq!((&*found.0, &*found.1, &*found.2), (body, told, from), "{asked}");
    };
    expect("4-8", "45678", "bytes 4-8/20", "fwd=uri-miss");
    expect("4-8", "45678", "bytes 4-8/20", "hit");
    expect("5-6", "56", "bytes 5-6/20", "hit");
    expect("8-8", "8", "bytes 8-8/20", "hit");
    // Beyond it, but joined with it afterwards.
    expect("9-12", "9abc", "bytes 9-12/20", "fwd=uri-miss");
    expect("6-10", "6789a", "bytes 6-10/20", "hit");
    expect("-3", "hij", "bytes 17-19/20", "fwd=uri-miss");
    expect("-2", "ij", "bytes 18-19/20", "hit");
    expect("18-", "ij", "bytes 18-19/20", "hit");
    expect("10-17", "abcdefgh", "bytes 10-17/20", "fwd=uri-miss");
    expect("4-", "456789abcdefghij", "bytes 4-19/20", "hit");
    let part = get(&proxy, "Range: bytes=5-6\r\n");
    assert_eq!(
        (part.head.get("etag"), part.head.get("content-length")),
        (Some("\"a\""), Some("2"))
    );
    assert!(part.head.get("age").is_some());
    // What is missing makes it whole.
    expect("0-5", "012345", "bytes 0-5/20", "fwd=uri-miss");
    let whole = get(&proxy, "");
    assert_eq!((whole.status(), whole.text().as_str()), (200, WHOLE));
    assert_eq!(
        (whole.head.get("content-range"), whole.head.get("content-length")),
        (None, Some("20"))
    );
    assert!(status(&whole).starts_with("ringway; hit"), "{whole:?}");
    assert_eq!(origin.requests().len(), 5);
    proxy.wait_stat("cache_stored", 5);
    proxy.wait_idle();
}

#[test]
fn other_requests_do_not_get_parts() {
    let origin = ranging(TAGGED);
    let proxy = cached(&origin, "");
    assert_eq!(range(&proxy, "0-9").2, "fwd=uri-miss");
    let asked = |fields: &str, method: &str, expected: u16| {
        let before = origin.requests().len();
        let mut client = Client::connect(proxy.address());
        client.send(format!("{method} /a HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
        let answer = client.answer_to(method);
        assert_eq!(answer.status(), expected, "{method} {fields}");
        origin.requests().len() - before
    };
    assert_eq!(asked("Range: bytes=0-1\r\nIf-Range: \"a\"\r\n", "GET", 206), 0);
    assert_eq!(asked("Range: bytes=0-1\r\nCache-Control: only-if-cached\r\n", "GET", 206), 0);
    assert_eq!(asked("Range: bytes=9-10\r\nCache-Control: only-if-cached\r\n", "GET", 504), 0);
    for (fields, method, expected) in [
        ("Range: bytes=0-1\r\nIf-Range: \"b\"\r\n", "GET", 206),
        ("Range: bytes=0-1\r\nCache-Control: no-cache\r\n", "GET", 206),
        ("Range: bytes=0-1\r\nIf-None-Match: \"x\"\r\n", "GET", 206),
        ("Range: bytes=20-\r\n", "GET", 416),
        ("", "HEAD", 200),
    ] {
        assert_eq!(asked(fields, method, expected), 1, "{method} {fields}");
    }
    // The answer to a range that there is not is not that to the URL.
    assert_eq!((asked("", "GET", 200), asked("", "GET", 200)), (1, 0));
    assert_eq!(asked("Range: bytes=12-13\r\n", "GET", 206), 0);
}

#[test]
fn a_member_that_knows_no_ranges_fills_the_store() {
    let origin = Origin::serving(|_| answer_with("200 OK", TAGGED, WHOLE.as_bytes()));
    let proxy = cached(&origin, "");
    let first = get(&proxy, "Range: bytes=2-3\r\n");
    assert_eq!((first.status(), first.text().as_str()), (200, WHOLE));
    eventually("it is stored", || proxy.stats().total("cache_stored") == 1);
    assert_eq!(range(&proxy, "2-3").0, "23");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_part_that_is_all_there_is_serves_as_the_whole() {
    let origin = ranging(TAGGED);
    let proxy = cached(&origin, "");
    assert_eq!(range(&proxy, "0-").1, "bytes 0-19/20");
    let whole = get(&proxy, "");
    assert_eq!((whole.status(), whole.text().as_str()), (200, WHOLE));
    assert_eq!((whole.head.get("content-range"), whole.head.get("age").is_some()), (None, true));
    assert_eq!(range(&proxy, "3-4").0, "34");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn parts_that_are_not_kept() {
    let lie = |request: &Message| {
        let text = String::from_utf8(part_of(request, WHOLE, TAGGED)).expect("text");
        text.replace("/20", "/*").into_bytes()
    };
    let short = |_: &Message| {
        let fields = [TAGGED[0], TAGGED[1], ("Content-Range", "bytes 4-9/20")];
        answer_with("206 Partial Content", &fields, b"45678")
    };
    let origins = [
        ranging(&[("Cache-Control", "max-age=60")]),
        ranging(&[("Cache-Control", "max-age=60"), ("ETag", "W/\"a\"")]),
        ranging(&[("Cache-Control", "no-store"), ("ETag", "\"a\"")]),
        ranging(&[("Cache-Control", "max-age=60"), ("ETag", "\"a\""), ("Set-Cookie", "a=b")]),
        Origin::serving(lie),
        Origin::serving(short),
    ];
    for (number, origin) in origins.iter().enumerate() {
        let proxy = cached(origin, "");
        for _ in 0..3 {
            assert_eq!(range(&proxy, "4-8").2, "fwd=uri-miss", "{number}");
        }
        assert_eq!(origin.requests().len(), 3, "{number}");
        assert_eq!(proxy.stats().total("cache_stored"), 0, "{number}");
    }
}

#[test]
fn parts_of_a_changed_answer_are_not_mixed() {
    let version = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&version);
    let origin = Origin::serving(move |request| match now.load(Ordering::SeqCst) {
        0 => part_of(request, WHOLE, TAGGED),
        _ => part_of(
            request,
            "ABCDEFGHIJKLMNOPQRST",
            &[("Cache-Control", "max-age=60"), ("ETag", "\"b\"")],
        ),
    });
    let proxy = cached(&origin, "");
    assert_eq!(range(&proxy, "0-9").0, "0123456789");
    version.store(1, Ordering::SeqCst);
    assert_eq!(range(&proxy, "10-19").0, "KLMNOPQRST");
    // The old one is not used any more, nor joined with the new one.
    assert_eq!(
        (range(&proxy, "0-9").0, range(&proxy, "8-11").0),
        ("ABCDEFGHIJ".into(), "IJKL".into())
    );
    assert_eq!(get(&proxy, "").text(), "ABCDEFGHIJKLMNOPQRST");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn an_invalidation_and_a_purge_take_parts_along() {
    let origin = ranging(TAGGED);
    let proxy = Setup::to(&[&origin])
        .server("admin = \"127.0.0.1:0\"")
        .route("cache = { status_header = true }")
        .start();
    assert_eq!(range(&proxy, "0-9").2, "fwd=uri-miss");
    assert_eq!(range(&proxy, "0-9").2, "hit");
    let post = "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(proxy.address(), post).status(), 200);
    assert_eq!(range(&proxy, "0-9").2, "fwd=uri-miss");
    proxy.wait_stat("cache_invalidated", 1);
    for (asked, gone) in [("url=http%3A%2F%2Ft%2Fa&soft=true", true), ("all=true", false)] {
        assert_eq!(range(&proxy, "0-9").2, "hit");
        assert_eq!(purge(&proxy, asked), format!("{{\"purged\":1,\"soft\":{gone}}}"));
        assert_eq!(range(&proxy, "0-9").2, "fwd=uri-miss", "{asked}");
    }
}

/// What was asked for before an invalidation is not stored behind it, even where nobody can wait for
/// it and nothing was known of its key.
#[test]
fn a_part_that_was_asked_for_before_an_invalidation_is_not_kept() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let origin = Origin::scripted(move |conn| {
        while let Some(request) = conn.request()? {
            let ranged = request.head.get("range").is_some();
            let first = ranged && request.head.get("x-slow").is_some();
            let answer = part_of(&request, WHOLE, TAGGED);
            if first {
                let head = answer.len() - 3;
                conn.send(&answer[..head])?;
                _ = gone.lock().expect("alone").recv();
                conn.send(&answer[head..])?;
            } else {
                conn.send(answer)?;
            }
        }
        Ok(())
    });
    let proxy = cached(&origin, "");
    let mut slow = Client::connect(proxy.address());
    slow.send("GET /a HTTP/1.1\r\nHost: t\r\nX-Slow: 1\r\nRange: bytes=0-9\r\n\r\n");
    eventually("the member is asked", || origin.requests().len() == 1);
    let post = "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(proxy.address(), post).status(), 200);
    go.send(()).expect("the origin waits");
    assert_eq!(slow.answer().text(), "0123456789");
    assert_eq!(range(&proxy, "0-9").2, "fwd=uri-miss");
    assert_eq!(range(&proxy, "0-9").2, "hit");
}
