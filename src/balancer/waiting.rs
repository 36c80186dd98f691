//! Who waits for a slot, over all workers: the part of the queue that they share.
//!
//! One word per worker counts its sleepers and its chances. A chance is the word of a releaser that
//! a slot may be free: it is always given to one sleeper of a worker in the same step that makes
//! it one sleeper less, so chances and sleepers cannot miss each other. The worker is then rung, and
//! wakes the first in its line. Must not know lines, wakers or members.

use super::atomic::{AtomicU64, Ordering};
use crate::ids::WorkerId;

/// See `slots.rs`: sleepers are shown before the look for slots, and looked for behind a release.
const ORDER: Ordering = Ordering::SeqCst;

/// In a cell's word: one chance. Sleepers are counted below it.
const CHANCE: u64 = 1 << 32;

/// In a cell's bell: the worker was rung and did not come yet.
const RUNG: u64 = 1;
/// In a cell's bell: somebody could not use a chance; the worker's sleepers may.
const PASSED: u64 = 2;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell {
    /// Sleepers, and above them the chances that were given and not used or lost yet.
    line: AtomicU64,
    bell: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Cursor(AtomicU64);

/// What the workers share of the queue of one pool.
#[derive(Debug)]
pub struct Waiting {
    cells: Vec<Cell>,
    /// The worker whose turn it is.
    cursor: Cursor,
}

const fn sleepers(line: u64) -> u64 {
    line % CHANCE
}

impl Waiting {
    /// Nobody waits, on so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let cells = (0..workers).map(|_| Cell::default()).collect();
        Self { cells, cursor: Cursor::default() }
    }

    fn cell(&self, worker: WorkerId) -> Option<&Cell> {
        self.cells.get(worker.index())
    }

    fn line(&self, worker: WorkerId) -> u64 {
        self.cell(worker).map_or(0, |cell| cell.line.load(ORDER))
    }

    /// Whether anybody waits, on any worker.
    #[must_use]
    pub fn anybody(&self) -> bool {
        self.cells.iter().any(|cell| cell.line.load(ORDER) != 0)
    }

    /// Whether anybody waits that was not given a chance, on any worker.
    pub(super) fn anybody_asleep(&self) -> bool {
        self.cells.iter().any(|cell| sleepers(cell.line.load(ORDER)) > 0)
    }

    /// The other workers that have sleepers.
    pub(super) fn others_asleep(&self, own: WorkerId) -> impl Iterator<Item = WorkerId> {
        let ids = (0u16..).map(WorkerId).zip(&self.cells);
        let asleep =
            move |(id, cell): &(WorkerId, &Cell)| *id != own && sleepers(cell.line.load(ORDER)) > 0;
        ids.filter(asleep).map(|(id, _)| id)
    }

    /// Chances of the worker that were neither used nor lost yet.
    pub(super) fn chances(&self, worker: WorkerId) -> u64 {
        self.line(worker) / CHANCE
    }

    /// Sleepers and chances of the worker together: nobody else changes this sum.
    pub(super) fn waiters(&self, worker: WorkerId) -> u64 {
        let line = self.line(worker);
        sleepers(line) + line / CHANCE
    }

    /// Sleepers and chances of all workers together.
    pub(super) fn total(&self) -> u64 {
        (0u16..).map(WorkerId).take(self.cells.len()).map(|worker| self.waiters(worker)).sum()
    }

    /// Sleepers of the worker without a chance.
    #[cfg(test)]
    pub(super) fn asleep(&self, worker: WorkerId) -> u64 {
        sleepers(self.line(worker))
    }

    /// One more sleeper. Own worker only. It must look for a slot afterwards.
    pub(super) fn sleep(&self, worker: WorkerId) {
        if let Some(cell) = self.cell(worker) {
            cell.line.fetch_add(1, ORDER);
        }
    }

    /// One that had a chance and could not use it sleeps again. Own worker only. It must look for
    /// a slot afterwards.
    pub(super) fn sleep_again(&self, worker: WorkerId) {
        if let Some(cell) = self.cell(worker) {
            let before = cell.line.fetch_add(1_u64.wrapping_sub(CHANCE), ORDER);
            debug_assert!(before >= CHANCE, "a chance was given up that nobody had");
        }
    }

    /// One that had a chance leaves. Own worker only.
    pub(super) fn leave_awake(&self, worker: WorkerId) {
        if let Some(cell) = self.cell(worker) {
            let before = cell.line.fetch_sub(CHANCE, ORDER);
            debug_assert!(before >= CHANCE, "a chance was given up that nobody had");
        }
    }

    /// A sleeper leaves; with it a chance that was on its way, if each sleeper was given one. Own
    /// worker only.
    pub(super) fn leave_asleep(&self, worker: WorkerId) {
        let Some(cell) = self.cell(worker) else { return };
        let mut line = cell.line.load(ORDER);
        loop {
            let part = if sleepers(line) > 0 { 1 } else { CHANCE };
            debug_assert!(line >= part, "a sleeper left that was not there");
            match cell.line.compare_exchange(line, line.saturating_sub(part), ORDER, ORDER) {
                Ok(_) => return,
                Err(actual) => line = actual,
            }
        }
    }

    /// Gives one sleeper of the worker a chance; false if it has none. Unless the worker is the
    /// caller's own, it must be rung.
    #[must_use]
    pub(super) fn give(&self, worker: WorkerId) -> bool {
        let Some(cell) = self.cell(worker) else { return false };
        let mut line = cell.line.load(ORDER);
        while sleepers(line) > 0 {
            match cell.line.compare_exchange(line, line - 1 + CHANCE, ORDER, ORDER) {
                Ok(_) => return true,
                Err(actual) => line = actual,
            }
        }
        false
    }

    /// Gives one sleeper a chance, by turn over the workers that have sleepers; none: nobody sleeps.
    #[must_use]
    pub(super) fn give_by_turn(&self) -> Option<WorkerId> {
        let workers = self.cells.len() as u64;
        loop {
            let turn = self.cursor.0.load(ORDER);
            let order = (turn..workers).chain(0..turn.min(workers));
            let mut ids = order.filter_map(|id| u16::try_from(id).ok().map(WorkerId));
            let worker = ids.find(|id| sleepers(self.line(*id)) > 0)?;
            let next = (u64::from(worker.0) + 1) % workers.max(1);
            // Turns are taken one after the other, so that two releasers do not take the same one.
            let is_mine = self.cursor.0.compare_exchange(turn, next, ORDER, ORDER).is_ok();
            if is_mine && self.give(worker) {
                return Some(worker);
            }
        }
    }

    /// Notes that the worker is to look at its chances; true if its bell must be rung: it was not.
    #[must_use]
    pub(super) fn ring(&self, worker: WorkerId) -> bool {
        self.note(worker, RUNG)
    }

    /// As [`Waiting::ring`], and its sleepers may want a chance that others could not use.
    #[must_use]
    pub(super) fn ring_passed(&self, worker: WorkerId) -> bool {
        self.note(worker, RUNG | PASSED)
    }

    fn note(&self, worker: WorkerId, what: u64) -> bool {
        self.cell(worker).is_some_and(|cell| cell.bell.fetch_or(what, ORDER) & RUNG == 0)
    }

    /// The worker comes; true if a chance was passed on to its sleepers. Own worker only.
    #[must_use]
    pub(super) fn answer(&self, worker: WorkerId) -> bool {
        self.cell(worker).is_some_and(|cell| cell.bell.swap(0, ORDER) & PASSED != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_the_workers_that_have_sleepers() {
        let waiting = Waiting::new(4);
        for worker in [0, 2, 2, 2, 3, 3] {
            waiting.sleep(WorkerId(worker));
        }
        let order: Vec<_> = std::iter::from_fn(|| waiting.give_by_turn()).map(|w| w.0).collect();
        assert_eq!(order, [0, 2, 3, 2, 3, 2]);
        assert_eq!([0, 1, 2, 3].map(|w| waiting.chances(WorkerId(w))), [1, 0, 3, 2]);
        assert!(waiting.anybody() && !waiting.anybody_asleep());
    }

    #[test]
    fn a_sleeper_that_leaves_takes_no_more_than_its_own() {
        let (waiting, own) = (Waiting::new(1), WorkerId(0));
        waiting.sleep(own);
        waiting.sleep(own);
        assert!(waiting.give(own));
        waiting.leave_asleep(own);
        assert_eq!((waiting.asleep(own), waiting.chances(own)), (0, 1));
        waiting.leave_asleep(own);
        assert!(!waiting.anybody() && !waiting.give(own));
    }

    #[test]
    fn a_bell_is_rung_once_until_it_is_answered() {
        let (waiting, worker) = (Waiting::new(2), WorkerId(1));
        assert!(waiting.ring(worker));
        assert!(!waiting.ring(worker));
        assert!(!waiting.answer(worker));
        assert!(waiting.ring_passed(worker));
        assert!(!waiting.ring(worker));
        assert!(waiting.answer(worker));
    }
}
