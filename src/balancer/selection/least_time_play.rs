//! Least time on a virtual clock: two workers, members that serve so many requests at a time and let
//! the others wait, and a steady stream of requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use super::super::latency::{Latency, SharedLatency};
use super::super::{InFlight, Tried};
use super::*;
use crate::clock::Instant;

const SECOND: u64 = 1_000_000;
const TICK: u64 = SECOND / 10;
/// Requests that a member serves at a time.
const SLOTS: usize = 16;

struct Play {
    now: u64,
    rng: Rng,
    selectors: Vec<Selector>,
    latencies: Vec<Latency>,
    in_flight: InFlight,
    allowed: Allowed,
    weights: Vec<u16>,
    /// Per member, when each of its slots is free.
    slots: Vec<Vec<u64>>,
    /// End, begin, worker, member.
    running: BinaryHeap<Reverse<(u64, u64, u16, u16)>>,
}

impl Play {
    fn new(weights: &[u16], seed: u64) -> Self {
        let count = weights.len();
        let shared = Arc::new(SharedLatency::new(2, count));
        let worker = |id| Latency::new(Arc::clone(&shared), WorkerId(id));
        let selector = |id| Selector::new(&Balance::LeastTime, None, weights, WorkerId(id));
        let mut allowed = Allowed::new(count);
        (0u16..).take(count).for_each(|member| allowed.set(MemberId(member)));
        Self {
            now: SECOND,
            rng: Rng::new(seed),
            selectors: (0..2).map(selector).collect(),
            latencies: (0..2).map(worker).collect(),
            in_flight: InFlight::new(2, count),
            allowed,
            weights: weights.to_vec(),
            slots: vec![vec![0; SLOTS]; count],
            running: BinaryHeap::new(),
        }
    }

    /// Lets `seconds` pass, with `rate` requests a second that take a member `service` microseconds;
    /// how many each member got.
    fn run(&mut self, seconds: f64, rate: u64, service: &[u64]) -> Vec<usize> {
        let end = self.now + (seconds * SECOND as f64) as u64;
        let mut counts = vec![0; service.len()];
        let mut arrival = self.arrival(rate);
        let mut tick = (self.now / TICK + 1) * TICK;
        loop {
            let done = self.running.peek().map_or(u64::MAX, |running| running.0.0);
            self.now = done.min(arrival).min(tick);
            if self.now >= end {
                self.now = end;
                return counts;
            }
            if self.now == done {
                self.finish();
            } else if self.now == arrival {
                counts[self.begin(service)] += 1;
                arrival = self.arrival(rate);
            } else {
                let now = Instant::from_micros(self.now);
                self.latencies.iter_mut().for_each(|latency| latency.tick(now));
                tick += TICK;
            }
        }
    }

    /// The next one: at random, as those of many clients.
    fn arrival(&mut self, rate: u64) -> u64 {
        let part = (self.rng.below(1 << 32) + 1) as f64 / (1u64 << 32) as f64;
        self.now + 1 + (-part.ln() * SECOND as f64 / rate as f64) as u64
    }

    fn begin(&mut self, service: &[u64]) -> usize {
        let worker = self.rng.below(2) as u16;
        let candidates = Candidates {
            weights: &self.weights,
            in_flight: &self.in_flight,
            latency: self.latencies[usize::from(worker)].view(),
            tried: &Tried::default(),
            allowed: &self.allowed,
            key: 0,
        };
        let selector = &mut self.selectors[usize::from(worker)];
        let member = selector.choose(&candidates, &mut self.rng).expect("all may serve");
        self.in_flight.enter(WorkerId(worker), member);
        let slot = self.slots[member.index()].iter_mut().min().expect("slots");
        *slot = (*slot).max(self.now) + service[member.index()];
        self.running.push(Reverse((*slot, self.now, worker, member.0)));
        member.index()
    }

    fn finish(&mut self) {
        let Some(Reverse((end, begin, worker, member))) = self.running.pop() else { return };
        self.in_flight.leave(WorkerId(worker), MemberId(member));
        let took = Duration::from_micros(end - begin);
        self.latencies[usize::from(worker)].record(MemberId(member), took);
    }
}

fn share(counts: &[usize], member: usize) -> f64 {
    counts[member] as f64 / counts.iter().sum::<usize>() as f64
}

#[test]
fn the_fast_member_gets_most_the_slow_one_never_starves_and_recovers_within_seconds() {
    for seed in 0..3 {
        let mut play = Play::new(&[1, 1], seed);
        play.run(1.0, 3000, &[1000, 15_000]);
        for _ in 0..8 {
            let counts = play.run(1.0, 3000, &[1000, 15_000]);
            let slow = share(&counts, 1);
            assert!((0.003..0.06).contains(&slow), "seed {seed}: {counts:?}");
        }
        play.run(4.0, 3000, &[1000, 1000]);
        let after = play.run(1.0, 3000, &[1000, 1000]);
        assert!(share(&after, 1) > 0.3, "seed {seed}: {after:?}");
    }
}

#[test]
fn a_member_that_becomes_slow_is_left_within_a_second() {
    let mut play = Play::new(&[1, 1, 1], 4);
    let even = play.run(5.0, 3000, &[1000, 1000, 1000]);
    (0..3).for_each(|member| assert!((0.25..0.42).contains(&share(&even, member)), "{even:?}"));
    play.run(1.0, 3000, &[1000, 1000, 200_000]);
    let after = play.run(1.0, 3000, &[1000, 1000, 200_000]);
    assert!(share(&after, 2) < 0.03, "{after:?}");
}

#[test]
fn more_than_the_fast_member_can_do_spills_over() {
    // The fast one can do 16,000 a second, the slow one 1,066.
    let mut play = Play::new(&[1, 1], 5);
    play.run(3.0, 16_400, &[1000, 15_000]);
    let counts = play.run(2.0, 16_400, &[1000, 15_000]);
    let slow = share(&counts, 1);
    assert!((0.02..0.07).contains(&slow), "{counts:?}");
    assert!(play.running.len() < 400, "{} wait", play.running.len());
}

#[test]
fn hardly_any_requests_do_not_freeze_a_judgement() {
    let mut play = Play::new(&[1, 1], 6);
    play.run(5.0, 500, &[1000, 15_000]);
    // One a second: too few to explore. What was known of the slow one fades meanwhile.
    play.run(90.0, 1, &[1000, 1000]);
    let after = play.run(90.0, 1, &[1000, 1000]);
    assert!(share(&after, 1) > 0.2, "{after:?}");
}

#[test]
fn a_large_pool_avoids_its_slow_member() {
    let mut service = [1000; 40];
    service[17] = 15_000;
    let mut play = Play::new(&[1; 40], 7);
    play.run(2.0, 8000, &service);
    let counts = play.run(5.0, 8000, &service);
    let slow = share(&counts, 17) * 40.0;
    assert!((0.005..0.15).contains(&slow), "{slow} of an even share");
}
