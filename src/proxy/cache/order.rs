//! The order of looks, invalidations and purges, and who may change what is stored for a key, in memory
//! or on disk.
//!
//! A look notes how far invalidations were; what it led to is kept, and given to others, only if
//! nothing was invalidated since.
// Taken by misses and invalidations, for as long as the store puts one pointer in the place of another;
// it has locks of the same kind, and for as long.
#![allow(clippy::disallowed_types)]

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Invalidations that are told apart; keys that share one are not kept where they could be, rarely.
const INVALIDATIONS: usize = 1 << 16;

/// Changes that can be made at the same time.
const LOCKS: usize = 64;

/// Who changes something holds the one of its hash. Who reads needs none: what is there is replaced as
/// a whole, and never gone meanwhile.
#[derive(Debug)]
pub(super) struct Locks([Mutex<()>; LOCKS]);

impl Locks {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    pub(super) fn hold(&self, hash: usize) -> Option<MutexGuard<'_, ()>> {
        self.0.get(hash % LOCKS).map(lock)
    }

    /// All changes that have begun are made when this returns. None may be under way here.
    fn settle(&self) {
        for one in &self.0 {
            drop(lock(one));
        }
    }
}

#[derive(Debug)]
pub(super) struct Order {
    /// Counts invalidations and purges.
    sequence: AtomicU64,
    /// The number of the last purge.
    purged: AtomicU64,
    /// The number of the last invalidation, by the hash of the key.
    invalidated: Box<[AtomicU64]>,
    locks: Locks,
    hasher: RandomState,
}

/// Nobody else changes what is stored for a key while this is held.
#[derive(Debug)]
pub(super) struct Changing<'a> {
    _lock: Option<MutexGuard<'a, ()>>,
    invalidated: Option<&'a AtomicU64>,
}

impl Order {
    pub(super) fn new() -> Self {
        Self {
            sequence: AtomicU64::new(1),
            purged: AtomicU64::new(0),
            invalidated: (0..INVALIDATIONS).map(|_| AtomicU64::new(0)).collect(),
            locks: Locks::new(),
            hasher: RandomState::new(),
        }
    }

    /// What a look that begins now, and the fetch that it leads to, is known by: greater than the
    /// number of all that was invalidated before, and not greater than that of what follows.
    pub(super) fn number(&self) -> u64 {
        self.sequence.load(Ordering::SeqCst)
    }

    fn hash(&self, key: &[u8]) -> usize {
        usize::try_from(self.hasher.hash_one(key) >> 8).unwrap_or(usize::MAX)
    }

    /// Whether what a fetch of this number brings may still be used for others.
    pub(super) fn is_current(&self, key: &[u8], number: u64) -> bool {
        let invalidated = self.invalidated.get(self.hash(key) % INVALIDATIONS);
        number > self.purged.load(Ordering::SeqCst)
            && invalidated.is_none_or(|it| number > it.load(Ordering::SeqCst))
    }

    pub(super) fn change(&self, key: &[u8]) -> Changing<'_> {
        let hash = self.hash(key);
        let invalidated = self.invalidated.get(hash % INVALIDATIONS);
        Changing { _lock: self.locks.hold(hash), invalidated }
    }

    /// What was asked for until now is not kept for this key.
    pub(super) fn invalidate(&self, changing: &Changing<'_>) {
        let number = self.sequence.fetch_add(1, Ordering::SeqCst);
        if let Some(invalidated) = changing.invalidated {
            invalidated.fetch_max(number, Ordering::SeqCst);
        }
    }

    /// What was asked for until now is not kept at all; what is kept nevertheless is there when this
    /// returns. No change may be under way here.
    pub(super) fn purge(&self) {
        self.purged.fetch_max(self.sequence.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        // Who found that it may be kept has kept it behind this.
        self.locks.settle();
    }
}

/// What it guards has no state that a panic could leave half done.
fn lock(one: &Mutex<()>) -> MutexGuard<'_, ()> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}
