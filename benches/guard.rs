//! What a guarded request costs: an address among 100,000 blocks, and a token of a bucket.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use ringway::clock;
use ringway::config::{AddressSet, Cidr, Verdict};
use ringway::proxy::Workbench;
use ringway::rng::Rng;

fn blocks(count: usize) -> Vec<(Cidr, Verdict)> {
    let mut rng = Rng::new(1);
    let block = |_| {
        let prefix = 16 + rng.below(17) as u8;
        let network = (rng.next() >> 32) as u32 & u32::MAX << (32 - prefix);
        (Cidr { network: IpAddr::V4(Ipv4Addr::from_bits(network)), prefix }, Verdict::Deny)
    };
    (0..count).map(block).collect()
}

fn addresses(c: &mut Criterion) {
    for count in [10, 1000, 100_000] {
        let blocks = blocks(count);
        let set = AddressSet::new(blocks.iter().copied());
        let mut rng = Rng::new(2);
        c.bench_function(&format!("address/find/{count}"), |b| {
            b.iter(|| set.find(IpAddr::V4(Ipv4Addr::from_bits(rng.next() as u32))));
        });
    }
    let blocks = blocks(100_000);
    c.bench_function("address/compile/100000", |b| {
        b.iter(|| AddressSet::new(black_box(&blocks).iter().copied()));
    });
}

fn buckets(c: &mut Criterion) {
    for clients in [1, 10_000, 1_000_000] {
        let rule = Workbench::new(clients);
        let mut rng = Rng::new(3);
        c.bench_function(&format!("bucket/take/{clients}"), |b| {
            b.iter(|| rule.take(rng.below(clients as u64) as u32, clock::now()));
        });
    }
}

criterion_group!(benches, addresses, buckets);
criterion_main!(benches);
