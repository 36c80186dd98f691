//! The balancer of a whole host on a virtual clock: several workers' pools, the monitor's state, members
//! that misbehave, clients that come and go. One seed is one run, the same every time.
//!
//! `RINGWAY_SEED=n` replays one run and tells what happens in it, `RINGWAY_SEEDS=a..b` (`scripts/sweep`)
//! runs many. Everything but sockets, threads and the order of memory is the product's own code; what
//! must hold is said once more, in a naive way, in `oracle.rs` and `watch.rs`.

mod exchange;
mod fake;
mod oracle;
mod plan;
mod tally;
mod watch;
mod world;

use std::cell::Cell;
use std::ops::Range;
use std::panic::catch_unwind;

use crate::clock::Instant;

use plan::Plan;
use tally::Tally;
use world::World;

/// What a plain test runs.
const SEEDS: Range<u64> = 0..200;

thread_local! {
    /// The virtual clock, in microseconds.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn now() -> Instant {
    Instant::from_micros(NOW.get())
}

fn run(seed: u64, talks: bool) -> Tally {
    World::new(Plan::new(seed), talks).run()
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("not a seed: {text}"))
}

/// The seeds to run, and whether to tell what happens.
fn seeds() -> (Range<u64>, bool) {
    if let Ok(one) = std::env::var("RINGWAY_SEED") {
        let one = number(&one);
        return (one..one + 1, true);
    }
    let Ok(many) = std::env::var("RINGWAY_SEEDS") else { return (SEEDS, false) };
    let (first, end) = many.split_once("..").unwrap_or_else(|| panic!("not a..b: {many}"));
    (number(first)..number(end), false)
}

#[test]
fn whatever_happens_the_rules_hold() {
    let (seeds, talks) = seeds();
    let (mut all, mut failed) = (Tally::default(), Vec::new());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match catch_unwind(|| run(seed, talks)) {
            Ok(tally) => all.add(tally),
            Err(_) => {
                eprintln!("that was RINGWAY_SEED={seed}");
                failed.push(seed);
            }
        }
    }
    eprintln!("{all:?}");
    assert!(failed.is_empty(), "{} of {count}: RINGWAY_SEED={failed:?}", failed.len());
    if count >= 200 {
        all.assert_that_much_happened();
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed, false), run(seed, false));
    }
    assert_ne!(run(1, false), run(2, false));
}
