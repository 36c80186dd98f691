//! What finding a route costs with ten routes and with ten thousand: by host, by prefix, by regular
//! expression (with and without a beginning of its own), by condition; and what compiling them costs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringway::config::{Config, load};
use ringway::http::{HeadLimits, RequestHead};
use ringway::ids::ListenerId;
use ringway::proxy::conditions::Asked;
use ringway::proxy::route::{Found, Router};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

/// Routes of one kind, each by its number.
type Kind = (&'static str, fn(usize) -> String, fn(usize) -> (String, String));

const KINDS: [Kind; 5] = [
    (
        "host",
        |n| format!("hosts = [\"h{n}.example.com\"]\npath = \"/api/*\""),
        |n| (format!("h{n}.example.com"), "/api/users/7".to_owned()),
    ),
    (
        "prefix",
        |n| format!("path = \"/service/{n}/*\""),
        |n| ("a.test".to_owned(), format!("/service/{n}/users/7")),
    ),
    (
        "regex",
        |n| format!("path = '~ ^/service{n}/v[0-9]+/'"),
        |n| ("a.test".to_owned(), format!("/service{n}/v2/users/7")),
    ),
    (
        "regex-anywhere",
        |n| format!("path = '~ /v[0-9]+/thing{n}$'"),
        |n| ("a.test".to_owned(), format!("/shop/v2/thing{n}")),
    ),
    (
        "condition",
        |n| format!("hosts = [\"h{n}.example.com\"]\nheaders = {{ X-Version = \"2\" }}"),
        |n| (format!("h{n}.example.com"), "/api/users/7".to_owned()),
    ),
];

fn config(count: usize, route: fn(usize) -> String) -> Config {
    let mut text = String::new();
    for n in 0..count {
        text += &format!("[[route]]\npool = \"p\"\n{}\n", route(n));
    }
    text += "[listener.a]\nbind = \"127.0.0.1:0\"\n[pool.p]\nmembers = [\"127.0.0.1:1\"]\n";
    load(&text, "bench").unwrap_or_else(|report| panic!("{report}")).config
}

fn head(host: &str, path: &str) -> RequestHead {
    let text = format!(
        "GET {path}?a=b HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\
         Accept-Encoding: gzip\r\nX-Version: 2\r\nCookie: sid=abc\r\n\r\n"
    );
    let mut head = RequestHead::new();
    head.parse(text.as_bytes(), &HeadLimits { bytes: 4096, fields: 50 }).unwrap();
    head
}

fn find(c: &mut Criterion) {
    for (kind, route, request) in KINDS {
        let mut group = c.benchmark_group(format!("route/{kind}"));
        for count in SIZES {
            let config = config(count, route);
            let router = Router::new(&config);
            // Seven requests that differ, so that no single path stays in every cache.
            let heads: Vec<_> = (0..7)
                .map(|n| request((n * 1_571 + 3) % count))
                .map(|(host, path)| head(&host, &path))
                .collect();
            let client = || IpAddr::from([192, 0, 2, 1]);
            for head in &heads {
                let found = router.find(ListenerId(0), &Asked::of(head, &client));
                assert!(matches!(found, Found::Route(_)), "{kind} {count}");
            }
            let mut next = heads.iter().cycle();
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| {
                    let head = next.next().unwrap();
                    black_box(router.find(ListenerId(0), &Asked::of(black_box(head), &client)))
                });
            });
        }
        group.finish();
    }
}

/// Checking a file of ten thousand routes, and compiling it for a worker.
fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("route/10000");
    group.sample_size(10);
    for (kind, route, _) in KINDS {
        group.bench_function(BenchmarkId::new("check", kind), |b| {
            b.iter(|| black_box(config(10_000, route)));
        });
        let config = config(10_000, route);
        group.bench_function(BenchmarkId::new("compile", kind), |b| {
            b.iter(|| black_box(Router::new(&config)));
        });
    }
    group.finish();
}

criterion_group!(benches, find, build);
criterion_main!(benches);
