//! How long members take, as all workers saw it lately: what least-time compares.
//!
//! A worker records into histograms of its own. At each housekeeping tick it publishes their
//! quantiles on cache lines that only it writes, and makes of everybody's a [`LatencyView`] to choose
//! by. Samples lose half of their weight every [`HALVE_EVERY`] and are gone after five of these; a
//! member without samples then drifts from what is known of it to the best of the pool, so that one
//! that was slow is tried again. Must not know what a sample is, nor read the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Instant, micros};
use crate::ids::{MemberId, WorkerId};

/// The quantile that stands for a member, in percent. The median: one slow request among fast ones
/// says little about the next, and a member that falls behind shows in what it has in flight.
const QUANTILE: u64 = 50;
/// How often samples lose half of their weight.
const HALVE_EVERY: Duration = Duration::from_secs(2);
/// The weight of a new sample: it is gone after five halvings.
const FRESH: u32 = 16;
/// In which a member without samples comes half of the way to the best.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// Buckets of a histogram: eight to each power of two, so that a value is known to 6 %; up to 67 s.
const BUCKETS: usize = 192;
/// Below this, every microsecond has a bucket.
const EXACT_BITS: u32 = 3;

/// Cells in 128 bytes: two cache lines, which is what the prefetcher pulls at once.
const PER_LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; PER_LINE]);

/// What the workers tell each other about the members of one pool.
#[derive(Debug)]
pub(super) struct SharedLatency {
    /// Microseconds in the upper half of a cell, weight of the samples in the lower one.
    lines: Vec<Line>,
    lines_per_worker: usize,
    workers: usize,
    members: usize,
}

impl SharedLatency {
    /// Nothing known, for so many workers and members.
    #[must_use]
    pub(super) fn new(workers: usize, members: usize) -> Self {
        let lines_per_worker = members.div_ceil(PER_LINE);
        let lines = (0..workers * lines_per_worker).map(|_| Line::default()).collect();
        Self { lines, lines_per_worker, workers, members }
    }

    fn cell(&self, worker: usize, member: MemberId) -> Option<&AtomicU64> {
        let line = worker * self.lines_per_worker + member.index() / PER_LINE;
        self.lines.get(line)?.0.get(member.index() % PER_LINE)
    }

    /// Owner worker only.
    fn publish(&self, worker: WorkerId, member: MemberId, micros: u32, weight: u32) {
        if let Some(cell) = self.cell(worker.index(), member) {
            cell.store(u64::from(micros) << 32 | u64::from(weight), Ordering::Relaxed);
        }
    }

    /// The member's median latency in microseconds, at least 1: the workers' medians of about the
    /// last ten seconds, weighted by their samples. `None`: no samples in that time.
    #[must_use]
    pub(super) fn micros(&self, member: MemberId) -> Option<u32> {
        let (mut sum, mut weights) = (0u128, 0u128);
        for cell in (0..self.workers).filter_map(|worker| self.cell(worker, member)) {
            let cell = cell.load(Ordering::Relaxed);
            let weight = u128::from(cell & u64::from(u32::MAX));
            sum += u128::from(cell >> 32) * weight;
            weights += weight;
        }
        let mean = sum.checked_div(weights)?;
        Some(u32::try_from(mean).unwrap_or(u32::MAX).max(1))
    }
}

/// What one worker chooses by. As old as its last tick.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyView {
    micros: Vec<u32>,
}

impl LatencyView {
    /// What to expect of the member, in microseconds, at least 1; of one without samples, what the
    /// best one takes.
    #[must_use]
    pub(super) fn micros(&self, member: MemberId) -> u32 {
        self.micros.get(member.index()).copied().unwrap_or(1)
    }
}

/// The latency of one pool's members as one worker measures it.
#[derive(Debug)]
pub(super) struct Latency {
    shared: Arc<SharedLatency>,
    worker: WorkerId,
    histograms: Vec<Histogram>,
    /// Per member, in microseconds; 0: never known.
    known: Vec<f32>,
    view: LatencyView,
    last_tick: Option<Instant>,
    last_halving: Instant,
}

impl Latency {
    /// For worker `worker`, before any sample.
    #[must_use]
    pub(super) fn new(shared: Arc<SharedLatency>, worker: WorkerId) -> Self {
        let members = shared.members;
        Self {
            shared,
            worker,
            histograms: (0..members).map(|_| Histogram::new()).collect(),
            known: vec![0.0; members],
            view: LatencyView { micros: vec![1; members] },
            last_tick: None,
            last_halving: Instant::default(),
        }
    }

    /// Notes that the member took so long. Only what an answer that counts as good took: else a
    /// member that fails fast would be the best.
    pub(super) fn record(&mut self, member: MemberId, took: Duration) {
        if let Some(histogram) = self.histograms.get_mut(member.index()) {
            histogram.add(micros(took));
        }
    }

    /// Another server has the member's place: what is known is not of it.
    pub(super) fn forget(&mut self, member: MemberId) {
        if let Some(histogram) = self.histograms.get_mut(member.index()) {
            *histogram = Histogram::new();
            histogram.changed = true;
        }
        if let Some(known) = self.known.get_mut(member.index()) {
            *known = 0.0;
        }
    }

    /// What to choose by.
    #[must_use]
    pub(super) const fn view(&self) -> &LatencyView {
        &self.view
    }

    /// Lets samples grow old, tells the other workers, and looks at what they tell. At every
    /// housekeeping tick; `now` does not go back.
    pub(super) fn tick(&mut self, now: Instant) {
        let Some(last) = self.last_tick.replace(now) else {
            self.last_halving = now;
            self.publish();
            self.look(Duration::ZERO);
            return;
        };
        let due = micros(now.since(self.last_halving)) / micros(HALVE_EVERY);
        if due > 0 {
            // Nothing is left after five; the clock may have jumped over many more.
            let times = u32::try_from(due).unwrap_or(u32::MAX);
            self.last_halving = self.last_halving.after(HALVE_EVERY.saturating_mul(times));
            for histogram in &mut self.histograms {
                histogram.halve(times);
            }
        }
        self.publish();
        self.look(now.since(last));
    }

    fn publish(&mut self) {
        for (member, histogram) in (0u16..).map(MemberId).zip(&mut self.histograms) {
            if std::mem::take(&mut histogram.changed) {
                let micros = histogram.quantile(QUANTILE);
                self.shared.publish(self.worker, member, micros, histogram.weight);
            }
        }
    }

    /// Makes the view of what all workers published; `passed` since the last time.
    fn look(&mut self, passed: Duration) {
        let mut best = f32::INFINITY;
        for (member, known) in (0u16..).map(MemberId).zip(&mut self.known) {
            if let Some(micros) = self.shared.micros(member) {
                *known = micros as f32;
            }
            if *known > 0.0 {
                best = best.min(*known);
            }
        }
        let best = if best.is_finite() { best } else { 1.0 };
        let kept = (-passed.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2();
        let members = self.known.iter_mut().zip(&mut self.view.micros);
        for (member, (known, seen)) in (0u16..).map(MemberId).zip(members) {
            let has_samples = *known > 0.0 && self.shared.micros(member).is_some();
            if *known > 0.0 && !has_samples {
                *known = best + (*known - best) * kept;
            }
            *seen = if *known > 0.0 { *known as u32 } else { best as u32 }.max(1);
        }
    }
}

/// How often each latency was seen, roughly: buckets grow with the values.
#[derive(Debug)]
struct Histogram {
    counts: [u32; BUCKETS],
    /// The sum of the counts.
    weight: u32,
    /// Since the last publication.
    changed: bool,
}

impl Histogram {
    const fn new() -> Self {
        Self { counts: [0; BUCKETS], weight: 0, changed: false }
    }

    fn add(&mut self, micros: u64) {
        // At 2^32 samples within seconds the sum would overflow: then it takes no more.
        let Some(weight) = self.weight.checked_add(FRESH) else { return };
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += FRESH;
            self.weight = weight;
            self.changed = true;
        }
    }

    fn halve(&mut self, times: u32) {
        if self.weight == 0 {
            return;
        }
        for count in &mut self.counts {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        self.weight = self.counts.iter().sum();
        self.changed = true;
    }

    /// The value that `percent` of the weight does not exceed, to 6 %; 0 if there are no samples.
    fn quantile(&self, percent: u64) -> u32 {
        let wanted = (u64::from(self.weight) * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return middle(bucket);
            }
        }
        0
    }
}

/// Where a value is counted.
fn bucket(micros: u64) -> usize {
    let Some(octave) = micros.checked_ilog2().filter(|octave| *octave >= EXACT_BITS) else {
        return micros as usize; // below 8
    };
    let shift = octave - EXACT_BITS;
    let within = (micros >> shift) as usize; // 8 to 15
    let bucket = ((shift as usize) << EXACT_BITS) + within;
    bucket.min(BUCKETS - 1)
}

/// The value in the middle of a bucket.
const fn middle(bucket: usize) -> u32 {
    let per_octave = 1 << EXACT_BITS;
    if bucket < 2 * per_octave {
        return bucket as u32;
    }
    let shift = bucket / per_octave - 1;
    let lowest = ((bucket % per_octave + per_octave) as u32) << shift;
    lowest + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn at(seconds: f64) -> Instant {
        Instant::from_micros((1e9 + seconds * 1e6) as u64)
    }

    fn workers(count: u16, members: usize) -> (Arc<SharedLatency>, Vec<Latency>) {
        let shared = Arc::new(SharedLatency::new(usize::from(count), members));
        let new = |worker| Latency::new(Arc::clone(&shared), WorkerId(worker));
        let all = (0..count).map(new).collect();
        (shared, all)
    }

    fn near(micros: u32, expected: f64) -> bool {
        (f64::from(micros) / expected - 1.0).abs() < 0.07
    }

    #[test]
    fn workers_share_what_they_know_by_their_samples() {
        let (shared, mut all) = workers(2, 40);
        let member = MemberId(39);
        assert_eq!(shared.micros(member), None);
        for _ in 0..30 {
            all[0].record(member, MILLI);
        }
        for _ in 0..10 {
            all[1].record(member, 9 * MILLI);
        }
        all[0].tick(at(0.0));
        assert!(near(all[0].view().micros(member), 1000.0));
        all[1].tick(at(0.0));
        let both = all[1].view().micros(member);
        assert!(near(both, 3000.0), "{both}");
        assert_eq!(shared.micros(member), Some(both));
        assert_eq!(shared.micros(MemberId(38)), None);
        assert_eq!(shared.micros(MemberId(40)), None);
    }

    #[test]
    fn a_member_without_samples_is_expected_to_be_as_good_as_the_best() {
        let (_, mut all) = workers(1, 3);
        all[0].tick(at(0.0));
        assert_eq!(all[0].view().micros(MemberId(0)), 1);
        all[0].record(MemberId(0), 5 * MILLI);
        all[0].record(MemberId(1), 50 * MILLI);
        all[0].tick(at(0.1));
        let view = all[0].view();
        assert!(near(view.micros(MemberId(0)), 5000.0));
        assert!(near(view.micros(MemberId(1)), 50_000.0));
        assert_eq!(view.micros(MemberId(2)), view.micros(MemberId(0)));
        assert_eq!(view.micros(MemberId(9)), 1);
    }

    #[test]
    fn the_past_is_forgotten_within_seconds() {
        let (_, mut all) = workers(1, 1);
        let member = MemberId(0);
        for tick in 0..100 {
            // 15 ms for five seconds, then 1 ms, at one pace.
            let took = if tick < 50 { 15 * MILLI } else { MILLI };
            all[0].record(member, took);
            all[0].tick(at(f64::from(tick) / 10.0));
            let seen = all[0].view().micros(member);
            match tick {
                0..50 => assert!(near(seen, 15_000.0), "{tick}: {seen}"),
                90.. => assert!(near(seen, 1000.0), "{tick}: {seen}"),
                _ => {}
            }
        }
    }

    #[test]
    fn an_idle_member_drifts_to_the_best_and_the_best_stays() {
        let (shared, mut all) = workers(1, 2);
        all[0].record(MemberId(0), MILLI);
        all[0].record(MemberId(1), 101 * MILLI);
        let mut seen = Vec::new();
        for tick in 0..=400 {
            all[0].tick(at(f64::from(tick) / 10.0));
            seen.push(all[0].view().micros(MemberId(1)));
            assert!(near(all[0].view().micros(MemberId(0)), 1000.0));
        }
        assert!(seen.is_sorted_by(|earlier, later| earlier >= later));
        // Ten seconds of samples, then half of the way in ten more, three quarters in twenty.
        assert!(near(seen[99], 101_000.0), "{}", seen[99]);
        assert!(near(seen[200], 51_000.0), "{}", seen[200]);
        assert!(near(seen[300], 26_000.0), "{}", seen[300]);
        assert_eq!(shared.micros(MemberId(1)), None);
    }

    #[test]
    fn ticks_may_be_late() {
        let (shared, mut all) = workers(1, 1);
        all[0].tick(at(0.0));
        all[0].record(MemberId(0), MILLI);
        all[0].tick(at(1e6));
        assert_eq!(shared.micros(MemberId(0)), None, "a sample of some time in eleven days");
        all[0].record(MemberId(0), Duration::MAX);
        all[0].tick(at(1e6 + 0.1));
        assert!(shared.micros(MemberId(0)).is_some_and(|micros| micros > 60_000_000));
    }

    proptest! {
        #[test]
        fn quantile_is_that_of_the_sorted_values(
            values in proptest::collection::vec(1u64..60_000_000, 1..200), percent in 1u64..=100,
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.add(*value));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let rank = (values.len() as u64 * percent).div_ceil(100).max(1);
            let naive = sorted[rank as usize - 1] as f64;
            let found = histogram.quantile(percent);
            prop_assert!(near(found, naive), "{} instead of {}", found, naive);
            prop_assert_eq!(histogram.weight, histogram.counts.iter().sum::<u32>());
        }

        #[test]
        fn buckets_are_in_order_and_next_to_each_other(value in 0u64..1 << 26) {
            let (this, next) = (bucket(value), bucket(value + 1));
            prop_assert!(next == this || next == this + 1 || next == BUCKETS - 1);
            prop_assert_eq!(bucket(u64::from(middle(this))), this);
        }
    }
}
