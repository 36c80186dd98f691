//! The places that a member has for exchanges: `max_connections`, exact over all workers.
//!
//! One counter on cache lines of its own for each member that has a maximum; the others cost
//! nothing. Must not know who waits for a slot: that is `queue.rs`.

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

/// The slots of the members of one pool, shared by all workers.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
    /// Per member, where its slot stands.
    places: Vec<Option<u16>>,
}

impl Slots {
    /// All free; a maximum per member, `None`: no bound.
    #[must_use]
    pub fn new(maxima: &[Option<u32>]) -> Self {
        let bounded = maxima.iter().flatten();
        let slot = |maximum: &u32| Slot { in_use: AtomicU64::new(0), maximum: u64::from(*maximum) };
        let mut next = 0..;
        let place = |maximum: &Option<u32>| maximum.and_then(|_| next.next());
        Self { slots: bounded.map(slot).collect(), places: maxima.iter().map(place).collect() }
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

    /// Takes a slot; false if all are in use. Always true for a member without a maximum.
    #[must_use]
    pub fn try_take(&self, member: MemberId) -> bool {
        let Some(slot) = self.slot(member) else { return true };
        let mut in_use = slot.in_use.load(ORDER);
        while in_use < slot.maximum {
            match slot.in_use.compare_exchange(in_use, in_use + 1, ORDER, ORDER) {
                Ok(_) => return true,
                Err(actual) => in_use = actual,
            }
        }
        false
    }

    /// Whether a slot is free at this moment. Always true for a member without a maximum.
    #[must_use]
    pub fn has_free(&self, member: MemberId) -> bool {
        self.slot(member).is_none_or(|slot| slot.in_use.load(ORDER) < slot.maximum)
    }

    /// Gives a slot back that [`Slots::try_take`] gave. The queue must be told next:
    /// `Queue::slot_freed`.
    pub fn release(&self, member: MemberId) {
        if let Some(slot) = self.slot(member) {
            let before = slot.in_use.fetch_sub(1, ORDER);
            debug_assert!(before > 0, "a slot was released that nobody had taken");
        }
    }

    /// Slots in use now; 0 for a member without a maximum, which is not counted here.
    #[must_use]
    pub fn in_use(&self, member: MemberId) -> u32 {
        let in_use = self.slot(member).map_or(0, |slot| slot.in_use.load(ORDER));
        u32::try_from(in_use).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_maximum() {
        let slots = Slots::new(&[None, Some(2), Some(0), None, Some(1)]);
        for (member, maximum) in [(1, 2), (2, 0), (4, 1)].map(|(m, n)| (MemberId(m), n)) {
            for taken in 0..maximum {
                assert!(slots.has_free(member) && slots.try_take(member), "{member:?} {taken}");
            }
            assert!(slots.is_bounded(member));
            assert!(!slots.has_free(member) && !slots.try_take(member), "{member:?}");
            assert_eq!(slots.in_use(member), maximum);
        }
        slots.release(MemberId(1));
        assert_eq!((slots.in_use(MemberId(1)), slots.in_use(MemberId(4))), (1, 1));
        assert!(slots.try_take(MemberId(1)) && !slots.try_take(MemberId(1)));
    }

    #[test]
    fn without_a_maximum_there_is_always_room() {
        let slots = Slots::new(&[None, Some(1)]);
        for member in [MemberId(0), MemberId(9)] {
            for _ in 0..3 {
                assert!(slots.try_take(member) && slots.has_free(member));
            }
            slots.release(member);
            assert_eq!(slots.in_use(member), 0);
            assert!(!slots.is_bounded(member));
        }
    }
}
