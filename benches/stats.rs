//! Counting: what an exchange adds to its worker's row, and what reading all rows costs.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use ringway::stats::{Counter, Occupancy, Reason, Row, report};

fn writes(c: &mut Criterion) {
    let mut group = c.benchmark_group("stats");
    let row = Row::default();
    group.bench_function("one counter", |b| b.iter(|| black_box(&row).add(Counter::Exchanges, 1)));
    group.bench_function("one error", |b| b.iter(|| black_box(&row).error(Reason::NoRoute)));
    // What a plain exchange on warm connections counts.
    group.bench_function("an exchange", |b| {
        b.iter(|| {
            let row = black_box(&row);
            row.add(Counter::Exchanges, 1);
            row.add(Counter::BytesIn, 120);
            row.add(Counter::UpstreamReuses, 1);
            row.add(Counter::UpstreamActive, 1);
            row.sub(Counter::UpstreamIdle, 1);
            row.add(Counter::UpstreamIdle, 1);
            row.sub(Counter::UpstreamActive, 1);
            row.add(Counter::BytesOut, 1200);
        });
    });
    group.finish();
}

fn reads(c: &mut Criterion) {
    let rows: Vec<Arc<Row>> = (0..8).map(|_| Arc::new(Row::default())).collect();
    for row in &rows {
        Counter::ALL.iter().for_each(|counter| row.add(*counter, 12_345));
    }
    let (control, occupancy) = (Row::default(), Occupancy::new(["web".to_owned()], 8));
    c.bench_function("stats/report of 8 workers", |b| {
        b.iter(|| report(black_box(&rows), &control, &occupancy))
    });
}

criterion_group!(benches, writes, reads);
criterion_main!(benches);
