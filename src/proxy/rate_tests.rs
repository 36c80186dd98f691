//! Token buckets against their naive twin, and against threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::clock;
use crate::rng::Rng;

const NEVER: Duration = Duration::MAX;

fn at(micros: u64) -> Instant {
    Instant::from_micros(1_000_000_000 + micros)
}

/// A bucket of tokens, in parts of a token that a microsecond brings.
struct Naive {
    tokens: u64,
    seen: u64,
}

#[test]
fn a_burst_then_the_rate() {
    let buckets = Buckets::new((10, Duration::from_secs(1)), 3, NEVER, 16);
    let ms = Duration::from_millis;
    let now = |left, early, full| Due::Now { left, early: ms(early), full: ms(full) };
    for (at_ms, expected) in [
        (0, now(2, 0, 100)),
        (0, now(1, 100, 200)),
        (0, now(0, 200, 300)),
        (0, Due::After(ms(100))),
        (50, Due::After(ms(50))),
        (99, Due::After(ms(1))),
        (100, now(0, 200, 300)),
        (100, Due::After(ms(100))),
        (400, now(2, 0, 100)),
        (10_000, now(2, 0, 100)),
    ] {
        let taken = buckets.take(7, at(at_ms * 1000));
        assert_eq!(taken, Taken { due: expected, shared: false }, "{at_ms}");
    }
    // Another key has another bucket.
    assert_eq!(buckets.take(8, at(0)).due, now(2, 0, 100));
}

#[test]
fn no_request_waits_longer_than_it_may() {
    let buckets = Buckets::new((1, Duration::from_secs(1)), 1000, Duration::from_secs(2), 16);
    let admitted = (0..10).filter(|_| matches!(buckets.take(7, at(0)).due, Due::Now { .. }));
    assert_eq!(admitted.count(), 3);
}

/// The same decisions as a bucket that is written down plainly, for many keys in few places.
#[test]
fn it_decides_as_its_naive_twin() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let (count, burst) = (1 + rng.below(50), 1 + rng.below(10));
        // A period that every count divides, so that nothing is rounded.
        let part = 20_000;
        let period = Duration::from_micros(part * count);
        let buckets = Buckets::new((count, period), burst, NEVER, 64);
        let mut naive: HashMap<u64, Naive> = HashMap::new();
        let mut now = 0;
        for _ in 0..3000 {
            now += rng.below(12_000);
            // Few at a time, but others as time goes by, so that places change hands.
            let name = rng.below(8) + now / 1_000_000 * 8;
            let taken = buckets.take(buckets.key(|h| h.write_u64(name)), at(now));
            assert!(!taken.shared, "seed {seed}");
            let twin = naive.entry(name).or_insert(Naive { tokens: burst * part, seen: now });
            twin.tokens = (twin.tokens + now - twin.seen).min(burst * part);
            twin.seen = now;
            let admitted = twin.tokens >= part;
            match taken.due {
                Due::Now { left, .. } => {
                    assert!(admitted, "seed {seed}");
                    twin.tokens -= part;
                    assert_eq!(left, twin.tokens / part, "seed {seed}");
                }
                Due::After(after) => {
                    assert!(!admitted, "seed {seed}");
                    assert_eq!(after, Duration::from_micros(part - twin.tokens), "seed {seed}");
                }
            }
        }
    }
}

/// Threads on real time, many keys in few places: no key gets more than its burst and its rate.
#[test]
fn threads_together_never_get_more() {
    const KEYS: usize = 40;
    const BURST: u64 = 5;
    let interval = Duration::from_micros(500);
    let buckets = Buckets::new((1, interval), BURST, NEVER, 200);
    let admitted: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let names: Vec<u64> = (0..KEYS as u64).map(|n| buckets.key(|h| h.write_u64(n))).collect();
    let (begin, total) = (clock::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (buckets, admitted, names, total) = (&buckets, &admitted, &names, &total);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..30_000 {
                    let key = rng.below(KEYS as u64) as usize;
                    let taken = buckets.take(names[key], clock::now());
                    if !taken.shared && matches!(taken.due, Due::Now { .. }) {
                        admitted[key].fetch_add(1, Ordering::Relaxed);
                        total.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let elapsed = clock::now().since(begin);
    let most = BURST + (elapsed.as_micros() / interval.as_micros()) as u64 + 1;
    for (key, admitted) in admitted.iter().enumerate() {
        let admitted = admitted.load(Ordering::Relaxed);
        assert!(admitted <= most, "key {key}: {admitted}, at most {most}");
        assert!(admitted >= BURST, "key {key}: {admitted}");
    }
    assert!(total.into_inner() > KEYS as u64 * BURST);
}

#[test]
fn keys_without_room_share_a_bucket() {
    let buckets = Buckets::new((1, Duration::from_secs(1)), 2, NEVER, 1);
    let taken: Vec<_> = (1..=20).map(|key| buckets.take(key, at(0))).collect();
    let shared: Vec<_> = taken.iter().filter(|taken| taken.shared).collect();
    assert_eq!(shared.len(), 20 - 7);
    let admitted = shared.iter().filter(|taken| matches!(taken.due, Due::Now { .. }));
    assert_eq!(admitted.count(), 2, "they are refused rather than let through uncounted");
    // Once the others' buckets are full again there is room.
    assert!(!buckets.take(99, at(1_000_001)).shared);
}
