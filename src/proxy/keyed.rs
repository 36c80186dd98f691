//! A number for each of many keys, shared by all workers without a lock on the usual path: how far
//! a rate is used up, how many connections a client has.
//!
//! Fixed in size: a key has one of seven places in one set. A place is free for another key where its
//! number says so. A key for which there is none shares a spare number with the others of its set
//! that find none, so that nobody is let through uncounted. Keys are hashed with a secret of the
//! process: nobody can aim at a set.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZeroU32;

use crate::balancer::atomic::{AtomicU64, Ordering};

/// Keys of one set.
const WAYS: usize = 7;

/// Of these, as many are expected: with random hashes, one key in 1,500 finds no place then.
const EXPECTED: usize = 2;

/// Times that one waits for another worker in a set before it takes the spare number. What the other
/// one does takes about as long as ten, unless it was interrupted there.
const SPINS: u32 = if cfg!(test) { 2 } else { 2000 };

/// The number of a place that is being given to another key.
const CLAIMED: u64 = u64::MAX;

/// No key has this hash.
const NOBODY: u64 = 0;

#[derive(Debug, Default)]
struct Place {
    key: AtomicU64,
    number: AtomicU64,
}

/// Two cache lines, so that no two sets share one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Set {
    /// 1: somebody gives a place to another key. Keys change only then.
    lock: AtomicU64,
    spare: AtomicU64,
    places: [Place; WAYS],
}

/// The numbers.
#[derive(Debug)]
pub(super) struct Keyed {
    sets: Box<[Set]>,
    secret: RandomState,
}

/// What becomes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<R> {
    /// The next number; `None`: it stays. Never a number that the place has had while it was not free.
    pub(super) next: Option<u64>,
    pub(super) result: R,
}

/// Where a key was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted<R> {
    pub(super) result: R,
    pub(super) seat: Seat,
}

/// A place, or a spare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat(NonZeroU32);

impl Seat {
    /// One more than its position, which fits: there are at most 2^22 keys.
    fn new(set: usize, way: usize) -> Self {
        let number = u32::try_from(set * (WAYS + 1) + way).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    /// Its set, and its place there.
    const fn parts(self) -> (usize, usize) {
        let number = self.0.get() as usize - 1;
        (number / (WAYS + 1), number % (WAYS + 1))
    }

    /// Whether others share its number.
    pub(super) const fn is_spare(self) -> bool {
        self.parts().1 == WAYS
    }
}

impl Keyed {
    /// For so many keys at a time.
    pub(super) fn new(keys: usize) -> Self {
        let sets = (0..keys.div_ceil(EXPECTED).max(1)).map(|_| Set::default()).collect();
        Self { sets, secret: RandomState::new() }
    }

    /// The hash of what `write` puts in.
    pub(super) fn hash(&self, write: impl FnOnce(&mut dyn Hasher)) -> u64 {
        let mut hasher = self.secret.build_hasher();
        write(&mut hasher);
        hasher.finish().max(NOBODY + 1)
    }

    /// Changes the number of `key` by `step`, which may be tried several times. A place whose number
    /// `is_free` may be given to another key; `step` must take that for a new one's.
    pub(super) fn change<R>(
        &self,
        key: u64,
        is_free: impl Fn(u64) -> bool,
        step: impl Fn(u64) -> Step<R>,
    ) -> Option<Counted<R>> {
        let index = ((u128::from(key) * self.sets.len() as u128) >> 64) as usize;
        let set = self.sets.get(index)?;
        let seated = |(way, result)| Some(Counted { result, seat: Seat::new(index, way) });
        if let Some(found) = set.known(key, &step) {
            return seated(found);
        }
        if set.lock() {
            let found = set.known(key, &step).or_else(|| set.admit(key, is_free, &step));
            set.lock.swap(0, Ordering::SeqCst);
            if let Some(found) = found {
                return seated(found);
            }
        }
        seated((WAYS, charge(&set.spare, &step, || true)?))
    }

    /// Takes one off the number of a seat, whose number must be one or more of somebody who sits there.
    pub(super) fn leave(&self, seat: Seat) {
        let (set, way) = seat.parts();
        if let Some(set) = self.sets.get(set) {
            let number = set.places.get(way).map_or(&set.spare, |place| &place.number);
            number.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Set {
    /// Changes the number of a key that has a place.
    fn known<R>(&self, key: u64, step: &impl Fn(u64) -> Step<R>) -> Option<(usize, R)> {
        let mut places = self.places.iter().enumerate();
        places.find_map(|(way, place)| {
            // Before the number is looked at: most places are another's.
            let is_its = || place.key.load(Ordering::SeqCst) == key;
            let result = is_its().then(|| charge(&place.number, step, is_its)).flatten()?;
            Some((way, result))
        })
    }

    /// Gives a key a place that is free. Under the lock.
    fn admit<R>(
        &self,
        key: u64,
        is_free: impl Fn(u64) -> bool,
        step: &impl Fn(u64) -> Step<R>,
    ) -> Option<(usize, R)> {
        for (way, place) in self.places.iter().enumerate() {
            let number = place.number.load(Ordering::SeqCst);
            if !is_free(number) || !exchange(&place.number, number, CLAIMED) {
                continue;
            }
            let Step { next, result } = step(number);
            // Whoever saw the number before and the key now sees another number when it is to change it.
            if next.is_some() {
                place.key.swap(key, Ordering::SeqCst);
            }
            place.number.swap(next.unwrap_or(number), Ordering::SeqCst);
            return Some((way, result));
        }
        None
    }

    fn lock(&self) -> bool {
        (0..SPINS).any(|_| {
            std::hint::spin_loop();
            self.lock.load(Ordering::SeqCst) == 0 && exchange(&self.lock, 0, 1)
        })
    }
}

fn exchange(cell: &AtomicU64, from: u64, to: u64) -> bool {
    cell.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

/// Changes a number unless the place is another's, or about to be.
///
/// The key is looked at between reading the number and changing it: as a number that has changed never
/// comes back while the key changes, the place was the key's all the time.
fn charge<R>(
    number: &AtomicU64,
    step: &impl Fn(u64) -> Step<R>,
    is_its: impl Fn() -> bool,
) -> Option<R> {
    loop {
        let seen = number.load(Ordering::SeqCst);
        if seen == CLAIMED || !is_its() {
            return None;
        }
        let Step { next, result } = step(seen);
        match next {
            None => return Some(result),
            Some(next) if exchange(number, seen, next) => return Some(result),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "keyed_tests.rs"]
mod tests;
