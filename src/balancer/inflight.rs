//! Exchanges in flight per member, counted over all workers without a lock.
//!
//! Each worker has a row of counters on cache lines of its own and is the only one that writes it;
//! a sum over the rows is what least-connections compares.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::ids::{MemberId, WorkerId};

/// Counters in 128 bytes: two cache lines, which is what the prefetcher pulls at once.
const PER_LINE: usize = 32;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU32; PER_LINE]);

/// The counters of one pool.
#[derive(Debug)]
pub struct InFlight {
    lines: Vec<Line>,
    lines_per_worker: usize,
    workers: usize,
}

impl InFlight {
    /// Zeros for so many workers and members.
    #[must_use]
    pub fn new(workers: usize, members: usize) -> Self {
        let lines_per_worker = members.div_ceil(PER_LINE);
        let lines = (0..workers * lines_per_worker).map(|_| Line::default()).collect();
        Self { lines, lines_per_worker, workers }
    }

    fn cell(&self, worker: usize, member: MemberId) -> Option<&AtomicU32> {
        let line = worker * self.lines_per_worker + member.index() / PER_LINE;
        self.lines.get(line)?.0.get(member.index() % PER_LINE)
    }

    /// One more. Owner worker only.
    pub(super) fn enter(&self, worker: WorkerId, member: MemberId) {
        if let Some(cell) = self.cell(worker.index(), member) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// One less. Owner worker only.
    pub(super) fn leave(&self, worker: WorkerId, member: MemberId) {
        if let Some(cell) = self.cell(worker.index(), member) {
            let count = cell.load(Ordering::Relaxed);
            debug_assert!(count > 0, "an exchange left a member that it had not entered");
            cell.store(count.saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// The member's exchanges in flight over all workers. What another worker just did may not be
    /// seen yet.
    #[must_use]
    pub fn total(&self, member: MemberId) -> u32 {
        (0..self.workers)
            .filter_map(|worker| self.cell(worker, member))
            .fold(0, |sum, cell| sum.saturating_add(cell.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_over_all_workers_and_members_do_not_mix() {
        let counts = InFlight::new(3, 70);
        for worker in 0..3 {
            counts.enter(WorkerId(worker), MemberId(33));
            counts.enter(WorkerId(worker), MemberId(69));
        }
        counts.leave(WorkerId(1), MemberId(33));
        for (member, expected) in [(0, 0), (32, 0), (33, 2), (34, 0), (69, 3), (500, 0)] {
            assert_eq!(counts.total(MemberId(member)), expected, "member {member}");
        }
    }
}
