//! Where clients are: open connections by worker and listener, how busy each worker is, and which
//! worker should have the next one.
//!
//! The kernel deals new connections out by a hash of their addresses. With few clients one worker
//! gets many more than another; with long ones it stays so. Hence a worker gives some away.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::ids::{ListenerId, WorkerId};

/// Connections above the mean that a worker keeps in any case: to give one away wakes another.
const SLACK: usize = 2;

/// One in so many of the mean that a worker keeps on top of it.
const SLACK_SHARE: usize = 8;

/// From this share of its core on, in thousandths, a worker is busy.
const BUSY: u32 = 900;

/// Up to this share a worker can take connections from a busy one.
const SPARE: u32 = 600;

/// Open connections of every listener on every worker.
#[derive(Debug)]
pub struct Occupancy {
    names: Box<[String]>,
    /// By listener, over all workers: exact, for `limits.connections`.
    totals: Box<[AtomicUsize]>,
    workers: Box<[Column]>,
}

/// One worker's.
#[derive(Debug)]
#[repr(align(128))]
struct Column {
    /// By listener.
    listeners: Box<[AtomicUsize]>,
    /// Of all listeners.
    open: AtomicUsize,
    /// The share of its core that it used lately, in thousandths.
    load: AtomicU32,
}

impl Occupancy {
    /// Nobody is there yet. Listeners by their names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>, workers: usize) -> Self {
        let names: Box<[String]> = names.into_iter().collect();
        let zeros = || (0..names.len()).map(|_| AtomicUsize::new(0)).collect::<Box<[_]>>();
        let column =
            |_| Column { listeners: zeros(), open: AtomicUsize::new(0), load: AtomicU32::new(0) };
        let (totals, workers) = (zeros(), (0..workers).map(column).collect());
        Self { names, totals, workers }
    }

    /// The names of the listeners.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerId, &str)> {
        (0u16..).map(ListenerId).zip(self.names.iter().map(String::as_str))
    }

    /// Counts a connection in, unless its listener has `bound` of them.
    #[must_use]
    pub fn enter(&self, worker: WorkerId, listener: ListenerId, bound: usize) -> bool {
        let Some(total) = self.totals.get(listener.index()) else { return false };
        if total.fetch_add(1, Ordering::Relaxed) >= bound {
            total.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.change(worker, listener, |count| _ = count.fetch_add(1, Ordering::Relaxed));
        true
    }

    /// Counts a connection out.
    pub fn leave(&self, worker: WorkerId, listener: ListenerId) {
        if let Some(total) = self.totals.get(listener.index()) {
            total.fetch_sub(1, Ordering::Relaxed);
        }
        self.change(worker, listener, |count| _ = count.fetch_sub(1, Ordering::Relaxed));
    }

    /// Counts a connection of one worker as another's.
    pub fn transfer(&self, from: WorkerId, to: WorkerId, listener: ListenerId) {
        self.change(from, listener, |count| _ = count.fetch_sub(1, Ordering::Relaxed));
        self.change(to, listener, |count| _ = count.fetch_add(1, Ordering::Relaxed));
    }

    // Whoever gives a connection away counts it in where it goes: so more than one worker writes.
    fn change(&self, worker: WorkerId, listener: ListenerId, change: impl Fn(&AtomicUsize)) {
        if let Some(column) = self.workers.get(worker.index()) {
            change(&column.open);
            if let Some(count) = column.listeners.get(listener.index()) {
                change(count);
            }
        }
    }

    /// Open connections of all listeners.
    #[must_use]
    pub fn all(&self) -> usize {
        self.totals.iter().map(|total| total.load(Ordering::Relaxed)).sum()
    }

    /// Open connections on a worker.
    #[must_use]
    pub fn on(&self, worker: WorkerId) -> usize {
        self.workers.get(worker.index()).map_or(0, |column| column.open.load(Ordering::Relaxed))
    }

    /// Open connections of a listener, by worker.
    pub fn of(&self, listener: ListenerId) -> impl Iterator<Item = usize> {
        self.workers.iter().map(move |column| {
            column.listeners.get(listener.index()).map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }

    /// The share of its core that a worker used, in thousandths.
    pub fn set_load(&self, worker: WorkerId, load: u32) {
        if let Some(column) = self.workers.get(worker.index()) {
            column.load.store(load, Ordering::Relaxed);
        }
    }

    /// How uneven a listener's connections are: the most that a worker has, over the mean. 1 is
    /// even, the number of workers is all on one; `None` without connections.
    #[must_use]
    pub fn imbalance(&self, listener: ListenerId) -> Option<f64> {
        let (mut most, mut sum) = (0, 0);
        for count in self.of(listener) {
            (most, sum) = (most.max(count), sum + count);
        }
        (sum > 0).then(|| most as f64 * self.workers.len() as f64 / sum as f64)
    }

    /// How many connections worker `me` has above what it may keep; 0: not too many.
    #[must_use]
    pub fn excess(&self, me: WorkerId) -> usize {
        let workers = self.workers.len().max(1);
        let mean = self.all() / workers;
        self.on(me).saturating_sub(mean + SLACK + mean / SLACK_SHARE)
    }

    /// Who should get a new connection of worker `me` in its place, if anybody.
    #[must_use]
    pub fn lighter(&self, me: WorkerId) -> Option<WorkerId> {
        // The new one counts.
        if self.on(me) < SLACK || self.excess(me) == 0 {
            return None;
        }
        self.least(|column| column.open.load(Ordering::Relaxed)).filter(|least| *least != me)
    }

    /// Who could relieve worker `me` of some of its work, if it has too much and another has time.
    #[must_use]
    pub fn idler(&self, me: WorkerId) -> Option<WorkerId> {
        let load = |column: &Column| column.load.load(Ordering::Relaxed);
        if self.workers.get(me.index()).map_or(0, load) < BUSY {
            return None;
        }
        let idler = self.least(|column| load(column) as usize)?;
        let spare = self.workers.get(idler.index()).map(load)?;
        (spare <= SPARE && idler != me).then_some(idler)
    }

    fn least(&self, of: impl Fn(&Column) -> usize) -> Option<WorkerId> {
        let workers = (0u16..).map(WorkerId).zip(&self.workers);
        workers.min_by_key(|(_, column)| of(column)).map(|(worker, _)| worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const WEB: ListenerId = ListenerId(0);
    const OTHER: ListenerId = ListenerId(1);

    fn host(listeners: usize, workers: usize) -> Occupancy {
        Occupancy::new((0..listeners).map(|n| n.to_string()), workers)
    }

    fn enter(all: &Occupancy, worker: u16, count: usize) {
        for _ in 0..count {
            assert!(all.enter(WorkerId(worker), WEB, usize::MAX));
        }
    }

    #[test]
    fn a_full_listener_takes_nobody() {
        let all = host(2, 2);
        assert!(all.enter(WorkerId(0), WEB, 2));
        assert!(all.enter(WorkerId(1), WEB, 2));
        assert!(!all.enter(WorkerId(0), WEB, 2));
        assert!(all.enter(WorkerId(0), OTHER, 2), "another listener has its own bound");
        all.leave(WorkerId(1), WEB);
        assert!(all.enter(WorkerId(0), WEB, 2));
        assert_eq!((all.all(), all.on(WorkerId(0)), all.on(WorkerId(1))), (3, 3, 0));
        assert_eq!(all.of(WEB).collect::<Vec<_>>(), [2, 0]);
        assert!(!all.enter(WorkerId(0), ListenerId(7), 2), "no such listener");
    }

    #[test]
    fn the_index_is_the_most_over_the_mean() {
        let all = host(2, 4);
        assert_eq!(all.imbalance(WEB), None);
        enter(&all, 2, 8);
        assert_eq!(all.imbalance(WEB), Some(4.0));
        all.transfer(WorkerId(2), WorkerId(1), WEB);
        (0..2).for_each(|_| all.transfer(WorkerId(2), WorkerId(0), WEB));
        assert_eq!(all.imbalance(WEB), Some(2.5));
        assert_eq!(all.all(), 8);
    }

    #[test]
    fn few_connections_stay_where_they_are() {
        let all = host(1, 2);
        enter(&all, 0, 2);
        assert_eq!(all.lighter(WorkerId(0)), None);
        enter(&all, 0, 3);
        assert_eq!(all.lighter(WorkerId(0)), Some(WorkerId(1)));
        assert_eq!(all.lighter(WorkerId(1)), None);
        assert_eq!(host(1, 1).lighter(WorkerId(0)), None, "nobody else is there");
    }

    /// However the kernel deals them out, no worker ends up with more than it may keep.
    #[test]
    fn given_away_connections_even_out() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let workers = 2 + (seed % 7) as u16;
            let all = host(1, usize::from(workers));
            let favourite = rng.below(u64::from(workers)) as u16;
            for _ in 0..400 {
                let dealt = match rng.below(3) {
                    0 => rng.below(u64::from(workers)) as u16,
                    _ => favourite,
                };
                let at = all.lighter(WorkerId(dealt)).unwrap_or(WorkerId(dealt));
                enter(&all, at.0, 1);
            }
            let mean = 400 / usize::from(workers);
            let most = all.of(WEB).max().unwrap_or(0);
            assert!(most <= mean + SLACK + mean / SLACK_SHARE + 1, "seed {seed}: {most} of {mean}");
        }
    }

    #[test]
    fn a_busy_worker_is_relieved_by_one_that_has_time() {
        let all = host(1, 3);
        let loads = |loads: [u32; 3]| {
            for (worker, load) in (0..).zip(loads) {
                all.set_load(WorkerId(worker), load);
            }
            all.idler(WorkerId(0))
        };
        assert_eq!(loads([990, 700, 300]), Some(WorkerId(2)));
        assert_eq!(loads([990, 700, 800]), None, "nobody has time");
        assert_eq!(loads([500, 0, 0]), None, "it is not busy");
    }
}
