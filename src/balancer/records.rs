//! What real requests to each member came to, counted over all workers without a lock: for the
//! monitor, which compares members. Counted only in pools that eject outliers.
//!
//! Each worker has a row of counters on cache lines of its own and is the only one that writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::latency::SharedLatency;
use crate::config::PoolConfig;
use crate::ids::{MemberId, WorkerId};

/// Cells in 128 bytes: two cache lines, which is what the prefetcher pulls at once.
const PER_LINE: usize = 16;

/// Requests in the lower half of a cell, those that failed in the upper one. Both go round.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; PER_LINE]);

/// Requests to a member and how many of them failed, from some time on. Both go round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests.
    pub requests: u32,
    /// Those that failed, as `eject.on` says.
    pub failures: u32,
}

impl Count {
    /// What came since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.wrapping_sub(before.requests),
            failures: self.failures.wrapping_sub(before.failures),
        }
    }
}

/// The counters of one pool, and its members' latencies.
#[derive(Debug)]
pub struct Records {
    lines: Vec<Line>,
    lines_per_worker: usize,
    workers: usize,
    latency: Arc<SharedLatency>,
}

impl Records {
    /// Zeros for so many workers and the members of `config`; nothing at all if nobody compares.
    pub(super) fn new(config: &PoolConfig, workers: usize, latency: Arc<SharedLatency>) -> Self {
        let counts = config.eject.as_ref().is_some_and(|eject| eject.compares());
        let members = if counts { config.places().count() } else { 0 };
        let lines_per_worker = members.div_ceil(PER_LINE);
        let lines = (0..workers * lines_per_worker).map(|_| Line::default()).collect();
        Self { lines, lines_per_worker, workers, latency }
    }

    fn cell(&self, worker: usize, member: MemberId) -> Option<&AtomicU64> {
        let line = worker * self.lines_per_worker + member.index() / PER_LINE;
        self.lines.get(line)?.0.get(member.index() % PER_LINE)
    }

    /// One request more, which failed or did not. Owner worker only.
    pub(super) fn add(&self, worker: WorkerId, member: MemberId, failed: bool) {
        if let Some(cell) = self.cell(worker.index(), member) {
            let before = cell.load(Ordering::Relaxed);
            let requests = u64::from((before as u32).wrapping_add(1));
            let failures = (before >> 32).wrapping_add(u64::from(failed));
            cell.store(failures << 32 | requests, Ordering::Relaxed);
        }
    }

    /// The member's requests so far, over all workers.
    #[must_use]
    pub fn count(&self, member: MemberId) -> Count {
        let mut sum = Count::default();
        for cell in (0..self.workers).filter_map(|worker| self.cell(worker, member)) {
            let cell = cell.load(Ordering::Relaxed);
            sum.requests = sum.requests.wrapping_add(cell as u32);
            sum.failures = sum.failures.wrapping_add((cell >> 32) as u32);
        }
        sum
    }

    /// The member's median latency of about the last ten seconds, in microseconds; `None`: no
    /// samples, or nobody measures.
    #[must_use]
    pub fn micros(&self, member: MemberId) -> Option<u32> {
        self.latency.micros(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(members: usize, eject: &str) -> PoolConfig {
        let members: Vec<_> = (0..members).map(|n| format!("\"10.0.0.1:{}\"", n + 1)).collect();
        let text = format!(
            "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n[pool.p]\n\
             members = [{}]\neject = {eject}\n",
            members.join(", ")
        );
        crate::config::load(&text, "test").expect("a good configuration").config.pools.remove(0)
    }

    #[test]
    fn counts_are_over_all_workers_and_members_do_not_mix() {
        let latency = Arc::new(SharedLatency::new(3, 40));
        let quiet = Records::new(&config(40, "{}"), 3, Arc::clone(&latency));
        quiet.add(WorkerId(0), MemberId(0), true);
        assert_eq!(quiet.count(MemberId(0)), Count::default());
        let records = Records::new(&config(40, "{ success_rate = {} }"), 3, latency);
        for worker in 0..3 {
            records.add(WorkerId(worker), MemberId(17), worker == 1);
            records.add(WorkerId(worker), MemberId(33), true);
        }
        for (member, requests, failures) in [(16, 0, 0), (17, 3, 1), (33, 3, 3), (40, 0, 0)] {
            assert_eq!(records.count(MemberId(member)), Count { requests, failures });
        }
        assert_eq!(records.micros(MemberId(17)), None);
    }

    #[test]
    fn counters_go_round_without_touching_each_other() {
        let latency = Arc::new(SharedLatency::new(1, 1));
        let records = Records::new(&config(1, "{ latency = {} }"), 1, latency);
        records.cell(0, MemberId(0)).unwrap().store(u64::MAX, Ordering::Relaxed);
        let before = records.count(MemberId(0));
        records.add(WorkerId(0), MemberId(0), true);
        let now = records.count(MemberId(0));
        assert_eq!(now, Count::default());
        assert_eq!(now.since(before), Count { requests: 1, failures: 1 });
    }
}
