//! Which route takes a request, of 10, 1,000 and 10,000: told apart by host, by wildcard, by exact
//! path, by prefix; and the search that ends with nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringway::config::load;
use ringway::ids::ListenerId;
use ringway::proxy::route::{Found, Router};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// Requests of a round, each for another route: one alone would be in the nearest cache.
const REQUESTS: usize = 64;

/// How routes are told apart: the line of route `n`, and a request for it.
type Kind = (&'static str, fn(usize) -> String, fn(usize) -> (String, String));

const KINDS: [Kind; 4] = [
    (
        "host",
        |n| format!("hosts = [\"site-{n}.example.com\"]"),
        |n| (format!("site-{n}.example.com"), "/index.html".to_owned()),
    ),
    (
        "wildcard",
        |n| format!("hosts = [\"*.site-{n}.example.com\"]"),
        |n| (format!("www.site-{n}.example.com"), "/index.html".to_owned()),
    ),
    (
        "exact",
        |n| format!("path = \"/service-{n}/status\""),
        |n| ("example.com".to_owned(), format!("/service-{n}/status")),
    ),
    (
        "prefix",
        |n| format!("path = \"/service-{n}/*\""),
        |n| ("example.com".to_owned(), format!("/service-{n}/v1/items/17")),
    ),
];

fn router(routes: usize, line: fn(usize) -> String) -> Router {
    let mut text = "[listener.web]\nbind = \"127.0.0.1:0\"\n".to_owned();
    for n in 0..routes {
        text += &format!("[[route]]\npool = \"p\"\n{}\n", line(n));
    }
    text += "[pool.p]\nmembers = [\"127.0.0.1:1\"]\n";
    Router::new(&load(&text, "bench").unwrap().config)
}

fn find(router: &Router, (host, path): &(String, String)) -> Found {
    router.find(ListenerId(0), host.as_bytes(), path.as_bytes(), b"GET")
}

fn routes(c: &mut Criterion) {
    for (name, line, request) in KINDS {
        let mut group = c.benchmark_group(format!("route_{name}"));
        for routes in SIZES {
            let router = router(routes, line);
            let of = |n: usize| request(n * 7919 % routes);
            let requests: Vec<_> = (0..REQUESTS).map(of).collect();
            let mut turn = requests.iter().cycle();
            group.bench_function(BenchmarkId::from_parameter(routes), |b| {
                b.iter(|| {
                    let found = find(&router, black_box(turn.next().unwrap()));
                    assert!(matches!(found, Found::Route(_)));
                });
            });
            let stranger = request(routes);
            group.bench_function(BenchmarkId::new("none", routes), |b| {
                b.iter(|| assert_eq!(find(&router, black_box(&stranger)), Found::None));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, routes);
criterion_main!(benches);
