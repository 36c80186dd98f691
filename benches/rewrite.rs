//! Heads written anew, as each exchange does twice: the request for the member, the answer for the
//! client. Both are parsed already.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::config::load;
use ringway::proxy::HeadBench;

const CONFIG: &str = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n\
    [pool.p]\nmembers = [\"127.0.0.1:1\"]\n";

const SHORT: (&[u8], &[u8]) = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nContent-Type: text/plain\r\n\r\n",
);

const BROWSER: (&[u8], &[u8]) = (
    b"GET /articles/2024/05/a-title-of-some-length?page=2 HTTP/1.1\r\nHost: shop.example.com\r\n\
      Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\
      User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
      Chrome/124.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n\
      Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
      Referer: https://shop.example.com/articles\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
      Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nX-Forwarded-For: 192.0.2.1\r\n\
      Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark; consent=a%3A1%2Cb%3A0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
      Content-Type: text/html; charset=utf-8\r\nContent-Length: 24378\r\n\
      Last-Modified: Sat, 05 Nov 1994 10:00:00 GMT\r\nConnection: keep-alive\r\n\
      ETag: \"6450a3b2-5f3a\"\r\nCache-Control: max-age=600\r\nVary: Accept-Encoding\r\n\r\n",
);

fn rewrites(c: &mut Criterion) {
    for (name, heads) in [("short", SHORT), ("browser", BROWSER)] {
        let config = load(CONFIG, "bench").unwrap().config;
        HeadBench::run(config, heads, |bench| {
            let mut out = Vec::with_capacity(4096);
            let mut group = c.benchmark_group(format!("rewrite_{name}"));
            group.throughput(Throughput::Bytes(heads.0.len() as u64));
            group.bench_function("request", |b| {
                b.iter(|| {
                    out.clear();
                    bench.write_request(&mut out);
                });
                assert!(out.ends_with(b"\r\n\r\n"));
            });
            group.throughput(Throughput::Bytes(heads.1.len() as u64));
            group.bench_function("answer", |b| {
                b.iter(|| {
                    out.clear();
                    bench.write_answer(&mut out);
                });
                assert!(out.ends_with(b"\r\n\r\n"));
            });
            group.finish();
        })
        .unwrap();
    }
}

criterion_group!(benches, rewrites);
criterion_main!(benches);
