//! Who is there and may be chosen, as the monitor says: one cell per member, written by the monitor
//! only, read by every worker before every choice. A change is seen by all cores as soon as it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::membership::Membership;
use crate::clock::Instant;
use crate::ids::MemberId;

/// Whether a member may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Yes.
    In = 0,
    /// No.
    Out = 1,
    /// For one real request, which tells whether it is in again.
    Trial = 2,
    /// No new requests; what is under way goes on.
    Drain = 3,
}

#[derive(Debug, Default)]
struct Cell {
    standing: AtomicU8,
    /// Whether the one real request of [`Standing::Trial`] is under way. Taken by workers.
    trial_taken: AtomicBool,
    /// An operator wants no new requests there, whatever else is said of it.
    barred: AtomicBool,
    /// When it came back in, in microseconds; 0: it was never out. For the slow start.
    back_since: AtomicU64,
}

/// The standing of the members of one pool.
#[derive(Debug)]
pub struct Availability {
    cells: Vec<Cell>,
    /// Who is at which place. Looked at only when `version` is another one.
    membership: ArcSwapOption<Membership>,
    /// Counts the changes.
    version: AtomicU64,
}

impl Availability {
    /// So many members, all in.
    #[must_use]
    pub fn new(members: usize) -> Self {
        Self {
            cells: (0..members).map(|_| Cell::default()).collect(),
            membership: ArcSwapOption::empty(),
            version: AtomicU64::new(0),
        }
    }

    /// The member's standing; one that does not exist is out.
    #[must_use]
    pub fn standing(&self, member: MemberId) -> Standing {
        match self.cells.get(member.index()).map(|cell| cell.standing.load(Ordering::Acquire)) {
            Some(0) => Standing::In,
            Some(2) => Standing::Trial,
            Some(3) => Standing::Drain,
            _ => Standing::Out,
        }
    }

    /// Sets it. The monitor only.
    pub fn set(&self, member: MemberId, standing: Standing, now: Instant) {
        let Some(cell) = self.cells.get(member.index()) else { return };
        if standing == Standing::In && self.standing(member) != Standing::In {
            cell.back_since.store(now.as_micros().max(1), Ordering::Relaxed);
        }
        cell.standing.store(standing as u8, Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Whether an operator wants no new requests there. Not even when everybody is out.
    #[must_use]
    pub fn is_barred(&self, member: MemberId) -> bool {
        self.cells.get(member.index()).is_some_and(|cell| cell.barred.load(Ordering::Acquire))
    }

    /// Sets it. The monitor only.
    pub fn bar(&self, member: MemberId, barred: bool) {
        let Some(cell) = self.cells.get(member.index()) else { return };
        if cell.barred.swap(barred, Ordering::AcqRel) != barred {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Says who is there now. The monitor only.
    ///
    /// Whoever is new gets its standing before, whoever left loses it after this: so nobody meets a
    /// pool that is empty in between.
    pub fn publish(&self, membership: Membership) {
        self.membership.store(Some(Arc::new(membership)));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Who is there; `None`: that was never said.
    #[must_use]
    pub fn membership(&self) -> Option<Arc<Membership>> {
        self.membership.load_full()
    }

    /// Changes whenever a standing does, or what an operator wants, or who is there.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Lets one real request try the member, or another one where that was lost. The monitor only,
    /// before it says so.
    pub fn offer_trial(&self, member: MemberId) {
        self.return_trial(member);
    }

    /// Takes the one real request of a trial; false if another worker was faster.
    #[must_use]
    pub fn take_trial(&self, member: MemberId) -> bool {
        self.cells
            .get(member.index())
            .is_some_and(|cell| !cell.trial_taken.swap(true, Ordering::AcqRel))
    }

    /// Whether a trial could be taken.
    #[must_use]
    pub fn trial_is_free(&self, member: MemberId) -> bool {
        self.cells.get(member.index()).is_some_and(|cell| !cell.trial_taken.load(Ordering::Relaxed))
    }

    /// Gives a trial back that taught nothing (its client left).
    pub fn return_trial(&self, member: MemberId) {
        if let Some(cell) = self.cells.get(member.index()) {
            cell.trial_taken.store(false, Ordering::Release);
        }
    }

    /// Since when the member is back in; `None`: it was never out.
    #[must_use]
    pub fn back_since(&self, member: MemberId) -> Option<Instant> {
        let micros = self.cells.get(member.index())?.back_since.load(Ordering::Relaxed);
        (micros > 0).then(|| Instant::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_taken_once() {
        let all = Availability::new(2);
        let (first, now) = (MemberId(0), Instant::from_micros(7));
        assert_eq!(all.standing(first), Standing::In);
        all.set(first, Standing::Out, now);
        assert_eq!(all.standing(first), Standing::Out);
        all.set(first, Standing::Trial, now);
        assert!(all.trial_is_free(first));
        assert!(all.take_trial(first));
        assert!(!all.take_trial(first));
        all.return_trial(first);
        assert!(all.take_trial(first));
        // Out and in by something else while the request is under way.
        all.set(first, Standing::Out, now);
        all.set(first, Standing::Trial, now);
        assert!(!all.take_trial(first));
        all.offer_trial(first);
        assert!(all.take_trial(first));
        assert_eq!(all.back_since(first), None);
        all.set(first, Standing::In, now);
        assert_eq!(all.back_since(first), Some(now));
        assert_eq!(all.standing(MemberId(1)), Standing::In);
        assert_eq!(all.standing(MemberId(2)), Standing::Out);
    }
}
