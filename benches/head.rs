//! Parsing of heads as clients and origins send them, warmed up: what each exchange pays twice.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringway::http::{HeadLimits, Parsed, RequestHead, ResponseHead};
use std::hint::black_box;

const LIMITS: HeadLimits = HeadLimits { bytes: 32 * 1024, fields: 100 };

const REQUESTS: [(&str, &[u8]); 3] = [
    ("wrk", b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"),
    (
        "curl",
        b"GET /static/app.js?v=12 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8.5.0\r\n\
          Accept: */*\r\n\r\n",
    ),
    (
        "browser",
        b"GET /articles/2024/05/a-title-of-some-length?utm_source=feed&page=2 HTTP/1.1\r\n\
          Host: shop.example.com\r\nConnection: keep-alive\r\n\
          sec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\n\
          sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
          User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
          Chrome/124.0.0.0 Safari/537.36\r\n\
          Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
          Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
          Sec-Fetch-Dest: document\r\nReferer: https://shop.example.com/articles\r\n\
          Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
          Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark; consent=a%3A1%2Cb%3A0\r\n\
          If-None-Match: W/\"5f3a-18f0c5d2a10\"\r\n\r\n",
    ),
];

const RESPONSES: [(&str, &[u8]); 2] = [
    ("short", b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n\r\n"),
    (
        "nginx",
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
          Content-Type: text/html; charset=utf-8\r\nContent-Length: 24378\r\n\
          Last-Modified: Sat, 05 Nov 1994 10:00:00 GMT\r\nConnection: keep-alive\r\n\
          ETag: \"6450a3b2-5f3a\"\r\nCache-Control: max-age=600\r\nVary: Accept-Encoding\r\n\
          Accept-Ranges: bytes\r\n\r\n",
    ),
];

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request_head");
    for (name, bytes) in REQUESTS {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), bytes, |b, bytes| {
            let mut head = RequestHead::new();
            b.iter(|| {
                head.clear();
                let parsed = head.parse(black_box(bytes), &LIMITS);
                assert_eq!(parsed.unwrap(), Parsed::Complete(bytes.len()));
            });
        });
    }
    group.finish();
}

fn responses(c: &mut Criterion) {
    let mut group = c.benchmark_group("response_head");
    for (name, bytes) in RESPONSES {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), bytes, |b, bytes| {
            let mut head = ResponseHead::new();
            b.iter(|| {
                head.clear();
                let parsed = head.parse(black_box(bytes), &LIMITS);
                assert_eq!(parsed.unwrap(), Parsed::Complete(bytes.len()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, responses);
criterion_main!(benches);
