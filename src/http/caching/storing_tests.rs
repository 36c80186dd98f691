//! Decisions as a table: fields of an answer, and what a shared cache makes of them.

use super::Fitness::{Fresh, Stale, StaleWhileRevalidate, Validate};
use super::Unstorable::*;
use super::*;
use crate::http::{HeadLimits, RequestHead, ResponseHead};

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, fields: 50 };
/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: u64 = 784_111_777;

fn policy() -> StoringPolicy {
    StoringPolicy {
        times: Vec::new(),
        overrule: false,
        heuristic: 10,
        heuristic_most: 86_400,
        cookies: CookiePolicy::IfShared,
        stale_while_revalidate: 0,
        stale_if_error: 60,
    }
}

/// Judges an answer of this status that came within the second that it was asked for.
fn judged(
    status: u16,
    fields: &str,
    request: &str,
    policy: &StoringPolicy,
) -> Result<Lifetime, Unstorable> {
    let (mut answer, mut head) = (ResponseHead::new(), RequestHead::new());
    let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
    answer.parse(text.as_bytes(), &LIMITS).expect("an answer");
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{request}\r\n");
    head.parse(text.as_bytes(), &LIMITS).expect("a request");
    judge(&CacheAnswer::of(&answer, NOW), &CacheRequest::of(&head), policy, NOW, NOW)
}

/// What is left of an answer's freshness as it comes.
fn left(status: u16, fields: &str) -> Result<i64, Unstorable> {
    judged(status, fields, "", &policy()).map(|lifetime| lifetime.ttl(0))
}

const LM: &str = "Last-Modified: Sat, 05 Nov 1994 08:49:37 GMT\r\n";

#[test]
fn freshness() {
    let cases: [(&str, Result<i64, Unstorable>); 33] = [
        ("", Err(Useless)),
        ("Cache-Control: max-age=10\r\n", Ok(10)),
        ("Cache-Control: max-age=0\r\n", Err(Useless)),
        ("Cache-Control: max-age=0\r\nETag: \"a\"\r\n", Ok(0)),
        ("Cache-Control: max-age=10\r\nCache-Control: s-maxage=5\r\n", Ok(5)),
        ("Cache-Control: s-maxage=50, max-age=10\r\n", Ok(50)),
        ("Cache-Control: max-age=10\r\nAge: 3\r\n", Ok(7)),
        ("Cache-Control: max-age=10\r\nAge: 15\r\nETag: \"a\"\r\n", Ok(-5)),
        ("Cache-Control: max-age=10\r\nAge: 3, 9\r\n", Ok(7)),
        ("Cache-Control: max-age=10\r\nAge: abc\r\n", Ok(10)),
        ("Cache-Control: max-age=10\r\nAge: -3\r\n", Ok(10)),
        ("Cache-Control: max-age=10\r\nDate: Sun, 06 Nov 1994 08:49:33 GMT\r\n", Ok(6)),
        ("Cache-Control: max-age=10\r\nDate: Sun, 06 Nov 1994 08:50:33 GMT\r\n", Ok(10)),
        ("Cache-Control: max-age=10\r\nExpires: 0\r\n", Ok(10)),
        ("Expires: 0\r\n", Err(Useless)),
        ("Expires: Sun, 06 Nov 1994 08:49:57 GMT\r\n", Ok(20)),
        ("Expires: Sun, 06 Nov 1994 08:49:57 GMT\r\nDate: foo\r\n", Ok(20)),
        ("Expires: Sun, 06 Nov 1994 08:49:57 GMT\r\nExpires: 0\r\nETag: a\r\n", Ok(0)),
        (
            "Date: Sun, 06 Nov 1994 08:49:27 GMT\r\nExpires: Sun, 06 Nov 1994 08:49:47 GMT\r\nAge: 25\r\nETag: a\r\n",
            Ok(-5),
        ),
        (
            "Date: Sun, 06 Nov 1994 08:49:47 GMT\r\nExpires: Sun, 06 Nov 1994 08:49:57 GMT\r\nAge: 15\r\nETag: a\r\n",
            Ok(-5),
        ),
        (LM, Ok(8640)),
        ("Last-Modified: Mon, 07 Nov 1994 08:49:37 GMT\r\n", Ok(0)),
        ("Last-Modified: Sun, 06 Nov 1904 08:49:37 GMT\r\n", Ok(86_400)),
        ("CDN-Cache-Control: max-age=10\r\n", Ok(10)),
        ("CDN-Cache-Control: max-age=10\r\nCache-Control: no-store\r\nExpires: 0\r\n", Ok(10)),
        ("CDN-Cache-Control: max-age=10, &&&\r\nCache-Control: no-store\r\n", Err(NoStore)),
        ("CDN-Cache-Control: no-store\r\nCache-Control: max-age=10\r\n", Err(NoStore)),
        ("CDN-Cache-Control: private\r\nCache-Control: max-age=10\r\n", Err(Private)),
        ("Surrogate-Control: max-age=7\r\nCache-Control: max-age=10\r\n", Ok(7)),
        ("Surrogate-Control: content=\"ESI/1.0\"\r\nCache-Control: max-age=10\r\n", Ok(10)),
        ("CDN-Cache-Control: max-age=3\r\nSurrogate-Control: max-age=7\r\n", Ok(3)),
        ("Cache-Control: no-cache\r\nETag: \"a\"\r\n", Ok(0)),
        ("Cache-Control: no-cache, max-age=10\r\n", Err(Useless)),
    ];
    for (fields, expected) in cases {
        assert_eq!(left(200, fields), expected, "{fields}");
    }
}

#[test]
fn what_may_be_stored() {
    let cases: [(u16, &str, &str, Result<i64, Unstorable>); 27] = [
        (200, "Cache-Control: no-store, max-age=10\r\n", "", Err(NoStore)),
        (200, "Cache-Control: max-age=10\r\n", "Cache-Control: no-store\r\n", Err(NoStore)),
        (200, "Cache-Control: private, max-age=10\r\n", "", Err(Private)),
        (200, "Cache-Control: private=\"a\", max-age=10\r\n", "", Ok(10)),
        (200, "Cache-Control: max-age=10\r\nVary: *\r\n", "", Err(VariesByAnything)),
        (200, "Cache-Control: max-age=10\r\nVary: a\r\nVary: , *\r\n", "", Err(VariesByAnything)),
        (200, "Cache-Control: max-age=10\r\nVary: a,b\r\n", "", Ok(10)),
        (200, "Cache-Control: max-age=10\r\n", "Authorization: x\r\n", Err(Authorized)),
        (200, "Cache-Control: max-age=10, public\r\n", "Authorization: x\r\n", Ok(10)),
        (200, "Cache-Control: s-maxage=10\r\n", "Authorization: x\r\n", Ok(10)),
        (200, "Cache-Control: max-age=10, must-revalidate\r\n", "Authorization: x\r\n", Ok(10)),
        (200, "Cache-Control: max-age=10\r\nSet-Cookie: a=b\r\n", "", Err(SetsCookies)),
        (200, "Cache-Control: max-age=10, public\r\nSet-Cookie: a=b\r\n", "", Ok(10)),
        (200, "Cache-Control: max-age=10\r\n", "Cookie: a=b\r\n", Ok(10)),
        (206, "Cache-Control: max-age=10\r\n", "", Err(Status)),
        (304, "Cache-Control: max-age=10\r\n", "", Err(Status)),
        (404, LM, "", Ok(8640)),
        (302, LM, "", Err(Status)),
        (403, LM, "", Err(Status)),
        (503, "Cache-Control: max-age=10\r\n", "", Ok(10)),
        (599, LM, "", Err(Status)),
        (
            599,
            "Cache-Control: public\r\nLast-Modified: Sat, 05 Nov 1994 08:49:37 GMT\r\n",
            "",
            Ok(8640),
        ),
        (599, "Cache-Control: max-age=10\r\n", "", Ok(10)),
        (599, "Cache-Control: max-age=10, must-understand\r\n", "", Err(Status)),
        (599, "Cache-Control: max-age=10, no-store, must-understand\r\n", "", Err(NoStore)),
        (200, "Cache-Control: max-age=10, no-store, must-understand\r\n", "", Ok(10)),
        (201, "Expires: Sun, 06 Nov 1994 08:49:57 GMT\r\n", "", Ok(20)),
    ];
    for (status, fields, request, expected) in cases {
        let found = judged(status, fields, request, &policy()).map(|lifetime| lifetime.ttl(0));
        assert_eq!(found, expected, "{status} {fields} {request}");
    }
}

#[test]
fn what_the_operator_says() {
    let mut policy = policy();
    policy.times = vec![(404, 404, 5), (200, 299, 60), (400, 599, 1)];
    let left = |policy: &StoringPolicy, status, fields| {
        judged(status, fields, "", policy).map(|lifetime| lifetime.ttl(0))
    };
    assert_eq!(left(&policy, 200, ""), Ok(60));
    assert_eq!(left(&policy, 404, ""), Ok(5));
    assert_eq!(left(&policy, 503, ""), Ok(1));
    assert_eq!(left(&policy, 302, ""), Err(Status));
    assert_eq!(left(&policy, 200, "Cache-Control: max-age=10\r\n"), Ok(10));
    assert_eq!(left(&policy, 200, "Cache-Control: private\r\n"), Err(Private));
    policy.overrule = true;
    assert_eq!(left(&policy, 200, "Cache-Control: max-age=10\r\n"), Ok(60));
    assert_eq!(left(&policy, 200, "Cache-Control: max-age=0\r\nExpires: 0\r\n"), Ok(60));
    assert_eq!(left(&policy, 200, "Cache-Control: no-store\r\n"), Err(NoStore));
    assert_eq!(left(&policy, 200, "Cache-Control: no-cache\r\n"), Err(Useless));
    policy.cookies = CookiePolicy::Store;
    assert_eq!(left(&policy, 200, "Set-Cookie: a=b\r\n"), Ok(60));
    policy.cookies = CookiePolicy::Refuse;
    assert_eq!(left(&policy, 200, "Cache-Control: public\r\nSet-Cookie: a\r\n"), Err(SetsCookies));
    policy.heuristic = 0;
    policy.times.clear();
    assert_eq!(left(&policy, 200, LM), Ok(0));
}

/// What an answer that is 15 s old, stored with these fields, is good for.
fn fit(fields: &str, request: &str) -> Fitness {
    let lifetime = judged(200, &format!("ETag: \"a\"\r\n{fields}"), "", &policy()).expect("stored");
    let mut head = RequestHead::new();
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{request}\r\n");
    head.parse(text.as_bytes(), &LIMITS).expect("a request");
    lifetime.fitness(&CacheRequest::of(&head), 15, None)
}

#[test]
fn what_it_is_good_for() {
    let (strict, lenient) = (Validate { if_error: false }, Validate { if_error: true });
    let cases = [
        ("max-age=20", "", Fresh),
        ("max-age=15", "", lenient),
        ("max-age=10", "", lenient),
        ("max-age=10, must-revalidate", "", strict),
        ("max-age=10, proxy-revalidate", "", strict),
        ("s-maxage=10", "", strict),
        ("s-maxage=10, stale-if-error=60", "", lenient),
        ("max-age=20, no-cache", "", strict),
        ("max-age=10, stale-if-error=4", "", strict),
        ("max-age=10, stale-while-revalidate=6", "", StaleWhileRevalidate),
        ("max-age=10, stale-while-revalidate=5", "", lenient),
        ("s-maxage=10, stale-while-revalidate=6", "", StaleWhileRevalidate),
        ("max-age=10, stale-while-revalidate=6, must-revalidate", "", strict),
        ("max-age=20", "Cache-Control: no-cache\r\n", lenient),
        ("max-age=20", "Pragma: no-cache\r\n", lenient),
        ("max-age=20", "Pragma: no-cache\r\nCache-Control: x\r\n", Fresh),
        ("max-age=20", "Cache-Control: max-age=0\r\n", lenient),
        ("max-age=20", "Cache-Control: max-age=14\r\n", lenient),
        ("max-age=20", "Cache-Control: max-age=15\r\n", Fresh),
        ("max-age=20", "Cache-Control: min-fresh=5\r\n", Fresh),
        ("max-age=20", "Cache-Control: min-fresh=6\r\n", lenient),
        ("max-age=10", "Cache-Control: max-stale=5\r\n", Stale),
        ("max-age=10", "Cache-Control: max-stale\r\n", Stale),
        ("max-age=10", "Cache-Control: max-stale=4\r\n", lenient),
        ("max-age=10, must-revalidate", "Cache-Control: max-stale\r\n", strict),
        ("s-maxage=10", "Cache-Control: max-stale\r\n", strict),
    ];
    for (said, request, expected) in cases {
        assert_eq!(
            fit(&format!("Cache-Control: {said}\r\n"), request),
            expected,
            "{said} {request}"
        );
    }
    let lifetime = Lifetime { fresh: 100, stale_if_error: 60, ..Lifetime::default() };
    let plain = CacheRequest::default();
    assert_eq!(lifetime.fitness(&plain, 15, Some(0)), lenient);
    assert_eq!(lifetime.fitness(&plain, 15, Some(61)), strict);
}
