//! What a choice among 3 to 1,000 members costs with each algorithm: one of it is paid for each
//! exchange. Sixteen exchanges are in flight on this worker, and the counts of four workers are summed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::collections::VecDeque;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringway::balancer::{Workbench, hash_key};
use ringway::clock::Instant;
use ringway::config::{Balance, HashKey};
use std::hint::black_box;

const SIZES: [u16; 4] = [3, 10, 100, 1000];
const OPEN: usize = 16;
const ALGORITHMS: [(&str, Balance); 5] = [
    ("round-robin", Balance::RoundRobin),
    ("least-connections", Balance::LeastConnections),
    ("least-time", Balance::LeastTime),
    ("random-two", Balance::RandomTwo),
    ("hash", Balance::Hash(HashKey::Path)),
];

fn run(bench: &mut criterion::Bencher<'_>, pool: &mut Workbench, most: usize) {
    let mut open = VecDeque::with_capacity(most + 1);
    while open.len() < most {
        open.push_back(pool.choose().unwrap());
    }
    bench.iter(|| {
        open.push_back(pool.choose().unwrap());
        pool.leave(open.pop_front().unwrap());
    });
    open.into_iter().for_each(|member| pool.leave(member));
}

fn choices(c: &mut Criterion) {
    for (name, balance) in &ALGORITHMS {
        let mut group = c.benchmark_group(*name);
        for members in SIZES {
            let mut pool = Workbench::new(balance, members);
            group.bench_function(BenchmarkId::from_parameter(members), |b| run(b, &mut pool, OPEN));
        }
        // Nobody is free: the search for the least loaded ends nowhere early.
        let mut pool = Workbench::new(balance, 1000);
        group.bench_function("1000 busy", |b| run(b, &mut pool, 4000));
        // One member in fifty is left: the search for them.
        let mut pool = Workbench::new(balance, 1000);
        assert_eq!(pool.keep_one_in(50), 20);
        group.bench_function("20 of 1000", |b| run(b, &mut pool, OPEN));
        group.finish();
    }
}

/// What a pool under least-time costs besides: once per tick of 100 ms and worker.
fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("latency_tick");
    for members in SIZES {
        let mut pool = Workbench::new(&Balance::LeastTime, members);
        let mut now = Instant::default();
        group.bench_function(BenchmarkId::from_parameter(members), |b| {
            b.iter(|| {
                now = now.after(Duration::from_millis(100));
                pool.tick(now);
            });
        });
    }
    group.finish();
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash_table");
    for members in SIZES {
        group.bench_function(BenchmarkId::from_parameter(members), |b| {
            b.iter(|| Workbench::new(&Balance::Hash(HashKey::Path), black_box(members)));
        });
    }
    group.finish();
}

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash_key");
    for key in ["192.0.2.1", "/articles/2024/05/a-title-of-some-length/and-more"] {
        group.bench_function(BenchmarkId::from_parameter(key.len()), |b| {
            b.iter(|| hash_key(black_box(key.as_bytes())));
        });
    }
    group.finish();
}

criterion_group!(benches, choices, ticks, build, keys);
criterion_main!(benches);
