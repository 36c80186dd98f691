//! Decoding of chunked bodies: many small chunks cost most, large ones should cost nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringway::http::{ChunkDecoder, Event};
use std::hint::black_box;

const BODY_BYTES: usize = 64 * 1024;
const MAX_TRAILERS: usize = 4096;

fn encoded(chunk: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..BODY_BYTES / chunk {
        body.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
        body.resize(body.len() + chunk, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// Bytes of data in `body`, which is decoded as it would arrive: in pieces of a receive buffer.
fn decode(decoder: &mut ChunkDecoder, body: &[u8]) -> usize {
    decoder.reset();
    let mut found = 0;
    for mut piece in body.chunks(16 * 1024) {
        while !decoder.is_done() {
            let step = decoder.decode(piece).unwrap();
            match step.event {
                Event::NeedMore => break,
                Event::Data { start, end } => found += end - start,
                Event::End => {}
            }
            piece = piece.get(step.consumed..).unwrap_or_default();
        }
    }
    found
}

fn bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    for chunk in [16, 1024, 16 * 1024] {
        let body = encoded(chunk);
        group.bench_with_input(BenchmarkId::from_parameter(chunk), &body, |b, body| {
            let mut decoder = ChunkDecoder::new(MAX_TRAILERS);
            b.iter(|| assert_eq!(decode(&mut decoder, black_box(body)), BODY_BYTES));
        });
    }
    group.finish();
}

criterion_group!(benches, bodies);
criterion_main!(benches);
