//! The places for exchanges: `max_connections` of members and of their pool, exact over all workers.
//!
//! One counter on cache lines of its own for each maximum; what has none costs nothing. The pool's
//! place is taken first and given back last, so that a member's is never held by one who may not
//! use it. Must not know who waits for a slot: that is `queue.rs`.

use super::atomic::{AtomicU64, Ordering};
use crate::ids::MemberId;

/// All operations are sequentially consistent: a waiter shows itself and then looks for a slot, a
/// releaser frees the slot and then looks for waiters, and one of the two must see the other.
const ORDER: Ordering = Ordering::SeqCst;

#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    in_use: AtomicU64,
    maximum: u64,
}

impl Slot {
    fn new(maximum: u32) -> Self {
        Self { in_use: AtomicU64::new(0), maximum: u64::from(maximum) }
    }

    fn has_free(&self) -> bool {
        self.in_use.load(ORDER) < self.maximum
    }

    fn try_take(&self) -> bool {
        let mut in_use = self.in_use.load(ORDER);
        while in_use < self.maximum {
            match self.in_use.compare_exchange(in_use, in_use + 1, ORDER, ORDER) {
                Ok(_) => return true,
                Err(actual) => in_use = actual,
            }
        }
        false
    }

    fn release(&self) {
        let before = self.in_use.fetch_sub(1, ORDER);
        debug_assert!(before > 0, "a slot was released that nobody had taken");
    }
}

/// What became of an attempt to take a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taking {
    /// It is taken.
    Taken,
    /// All are in use.
    Full,
    /// As `Full`, but for a moment a place of the pool was held that others may have missed: the queue
    /// must be told, by `Queue::slot_freed`.
    Undone,
}

impl Taking {
    /// Whether it is taken.
    #[must_use]
    pub fn is_taken(self) -> bool {
        self == Self::Taken
    }
}

/// The slots of one pool and its members, shared by all workers.
#[derive(Debug)]
pub struct Slots {
    pool: Option<Slot>,
    slots: Vec<Slot>,
    /// Per member, where its slot stands.
    places: Vec<Option<u16>>,
}

impl Slots {
    /// All free; a maximum for all members together and one per member, `None`: no bound.
    #[must_use]
    pub fn new(pool: Option<u32>, maxima: &[Option<u32>]) -> Self {
        let mut next = 0..;
        let place = |maximum: &Option<u32>| maximum.and_then(|_| next.next());
        Self {
            pool: pool.map(Slot::new),
            slots: maxima.iter().flatten().map(|maximum| Slot::new(*maximum)).collect(),
            places: maxima.iter().map(place).collect(),
        }
    }

    fn slot(&self, member: MemberId) -> Option<&Slot> {
        let place = *self.places.get(member.index())?;
        self.slots.get(usize::from(place?))
    }

    /// Whether the member has a maximum at all.
    #[must_use]
    pub fn is_bounded(&self, member: MemberId) -> bool {
        self.slot(member).is_some()
    }

    /// Whether all members together have one.
    #[must_use]
    pub const fn is_pool_bounded(&self) -> bool {
        self.pool.is_some()
    }

    /// Takes a slot of the member and of the pool, or neither. What has no maximum always has one.
    pub fn try_take(&self, member: MemberId) -> Taking {
        let slot = self.slot(member);
        let Some(pool) = &self.pool else {
            return if slot.is_none_or(Slot::try_take) { Taking::Taken } else { Taking::Full };
        };
        // Looked at first, so that a place of the pool is held in vain only where another worker has
        // taken the member's last slot in between: then at least that one goes on.
        if !slot.is_none_or(Slot::has_free) || !pool.try_take() {
            return Taking::Full;
        }
        if slot.is_none_or(Slot::try_take) {
            return Taking::Taken;
        }
        pool.release();
        Taking::Undone
    }

    /// Whether a slot is free at this moment, of the member and of the pool.
    #[must_use]
    pub fn has_free(&self, member: MemberId) -> bool {
        let pool = self.pool.as_ref();
        pool.is_none_or(Slot::has_free) && self.slot(member).is_none_or(Slot::has_free)
    }

    /// Gives a slot back that [`Slots::try_take`] gave. The queue must be told next:
    /// `Queue::slot_freed`.
    pub fn release(&self, member: MemberId) {
        if let Some(slot) = self.slot(member) {
            slot.release();
        }
        if let Some(pool) = &self.pool {
            pool.release();
        }
    }

    /// Slots of the member in use now; 0 without a maximum, which is not counted here.
    #[must_use]
    pub fn in_use(&self, member: MemberId) -> u32 {
        let in_use = self.slot(member).map_or(0, |slot| slot.in_use.load(ORDER));
        u32::try_from(in_use).unwrap_or(u32::MAX)
    }

    /// As [`Slots::in_use`], of the pool.
    #[must_use]
    pub fn in_use_by_all(&self) -> u32 {
        let in_use = self.pool.as_ref().map_or(0, |slot| slot.in_use.load(ORDER));
        u32::try_from(in_use).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(slots: &Slots, member: u16) -> bool {
        slots.try_take(MemberId(member)).is_taken()
    }

    #[test]
    fn no_more_than_the_maximum() {
        let slots = Slots::new(None, &[None, Some(2), Some(0), None, Some(1)]);
        for (member, maximum) in [(1, 2), (2, 0), (4, 1)] {
            let id = MemberId(member);
            for taken in 0..maximum {
                assert!(slots.has_free(id) && take(&slots, member), "{member} {taken}");
            }
            assert!(!slots.has_free(id) && !take(&slots, member), "{member}");
            assert_eq!(slots.in_use(id), maximum);
        }
        slots.release(MemberId(1));
        assert_eq!((slots.in_use(MemberId(1)), slots.in_use(MemberId(4))), (1, 1));
        assert!(take(&slots, 1) && !take(&slots, 1));
        assert_eq!(slots.in_use_by_all(), 0);
    }

    #[test]
    fn without_a_maximum_there_is_always_room() {
        let slots = Slots::new(None, &[None, Some(1)]);
        for member in [0, 9] {
            for _ in 0..3 {
                assert!(take(&slots, member) && slots.has_free(MemberId(member)));
            }
            slots.release(MemberId(member));
            assert_eq!(slots.in_use(MemberId(member)), 0);
        }
    }

    #[test]
    fn members_share_what_the_pool_has() {
        let slots = Slots::new(Some(3), &[None, Some(2), Some(1)]);
        assert!(take(&slots, 1) && take(&slots, 1));
        // The member has no more, and what was taken for it of the pool was given back.
        assert_eq!(slots.try_take(MemberId(1)), Taking::Full);
        assert_eq!((slots.in_use_by_all(), slots.in_use(MemberId(1))), (2, 2));
        assert!(slots.has_free(MemberId(0)) && take(&slots, 0));
        for member in 0..3 {
            assert!(!slots.has_free(MemberId(member)) && !take(&slots, member), "{member}");
        }
        assert_eq!((slots.in_use_by_all(), slots.in_use(MemberId(2))), (3, 0));
        slots.release(MemberId(0));
        assert!(take(&slots, 2) && !take(&slots, 0));
        for member in [2, 1, 1] {
            slots.release(MemberId(member));
        }
        assert_eq!(slots.in_use_by_all(), 0);
    }
}
