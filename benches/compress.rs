//! Encoding of 32 KiB of JSON, as a worker does it: with an encoder that was used before, in pieces of
//! a receive buffer.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringway::http::Coding;
use ringway::proxy::encoder::{Encoder, Quality};

const PIECE: usize = 16 << 10;

const LEVELS: [(Coding, &[u8]); 3] =
    [(Coding::Gzip, &[2, 3, 4, 6]), (Coding::Brotli, &[1, 2, 4, 5]), (Coding::Zstd, &[1, 3, 5])];

/// A list of orders, with what such lists have of repetitions and of chance.
fn json(length: usize) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = |most: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let first = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas"];
    let last =
        ["Meyer", "Schmidt", "Lange", "Weber", "Fischer", "Koch", "Richter", "Wolf", "Braun"];
    let word = ["green", "express", "standard", "priority", "remote", "local", "pending", "basic"];
    let mut text = "{\"items\":[".to_owned();
    let mut number = 0;
    while text.len() < length {
        let mut pick = |list: &[&'static str]| list[next(list.len() as u64) as usize];
        let (first, last, tags) = (pick(&first), pick(&last), [pick(&word), pick(&word)]);
        let status = pick(&["active", "pending", "closed"]);
        let line = format!(
            "{{\"id\":{},\"key\":\"{:08x}\",\"name\":\"{first} {last}\",\"email\":\"{}.{}@example.com\",\
             \"amount\":{}.{:02},\"created_at\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\",\
             \"status\":\"{status}\",\"tags\":[\"{}\",\"{}\"],\"active\":{}}},",
            100_000 + number * 7,
            next(1 << 30),
            first.to_lowercase(),
            last.to_lowercase(),
            next(1000),
            next(100),
            1 + next(12),
            1 + next(28),
            next(24),
            next(60),
            tags[0],
            tags[1],
            next(10) < 7,
        );
        text += &line;
        number += 1;
    }
    text.truncate(length);
    text.into_bytes()
}

fn encode(quality: Quality, body: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut encoder = Encoder::take(quality, 1).unwrap();
    for piece in body.chunks(PIECE) {
        encoder.push(piece, out).unwrap();
    }
    encoder.end(out).unwrap();
}

fn bodies(c: &mut Criterion) {
    let body = json(32 << 10);
    let mut group = c.benchmark_group("compress");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut out = Vec::with_capacity(64 << 10);
    for (coding, levels) in LEVELS {
        for &level in levels {
            let quality = Quality { coding, level };
            encode(quality, &body, &mut out);
            let name = format!("level {level}, {} bytes left", out.len());
            group.bench_function(BenchmarkId::new(coding.name(), name), |b| {
                b.iter(|| encode(quality, black_box(&body), &mut out));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bodies);
criterion_main!(benches);
