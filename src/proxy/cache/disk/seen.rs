//! Which keys were asked for lately: a filter of bits in two generations, so that what is asked for
//! once is not written. It takes a key that it has not seen for one that it has in a few of a thousand
//! cases, and forgets.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::index::Digest;

/// Bits for each key.
const BITS: usize = 16;

/// Keys of a generation at the most: forgetting them takes a worker's time.
const KEYS_MOST: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Seen {
    /// The one that is filled, and the one before; which is which is told by `marks`.
    generations: [Box<[AtomicU64]>; 2],
    /// Keys that were noted, in all.
    marks: AtomicUsize,
    most: usize,
}

impl Seen {
    /// Remembers so many keys, and up to as many more.
    pub(super) fn new(keys: usize) -> Self {
        let most = keys.clamp(64, KEYS_MOST);
        let words = (most * BITS).div_ceil(64).next_power_of_two();
        let generation = || (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { generations: [generation(), generation()], marks: AtomicUsize::new(0), most }
    }

    /// Notes a key; whether it was noted before.
    pub(super) fn mark(&self, digest: &Digest) -> bool {
        let turn = self.marks.load(Ordering::Relaxed) / self.most;
        let [even, odd] = &self.generations;
        let (young, old) = if turn.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        let mut known = [true; 2];
        for (word, bit) in places(digest, young.len()) {
            let (Some(young), Some(old)) = (young.get(word), old.get(word)) else { return false };
            known[0] &= young.fetch_or(bit, Ordering::Relaxed) & bit != 0;
            known[1] &= old.load(Ordering::Relaxed) & bit != 0;
        }
        let [in_young, in_old] = known;
        if !in_young && (self.marks.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.most) {
            // The old generation is the next to be filled. Marks that get lost meanwhile cost a use.
            old.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        in_young || in_old
    }
}

/// Four bits of a generation.
fn places(digest: &Digest, words: usize) -> impl Iterator<Item = (usize, u64)> {
    digest.as_chunks::<4>().0.iter().map(move |part| {
        let number = u32::from_le_bytes(*part);
        // `words` is a power of two.
        ((number >> 6) as usize & (words - 1), 1 << (number & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn digest(rng: &mut Rng) -> Digest {
        (u128::from(rng.next()) << 64 | u128::from(rng.next())).to_le_bytes()
    }

    #[test]
    fn keys_are_known_for_a_while() {
        let (seen, mut rng) = (Seen::new(1000), Rng::new(1));
        let keys: Vec<_> = (0..10_000).map(|_| digest(&mut rng)).collect();
        let mut wrong = 0;
        for (number, key) in keys.iter().enumerate() {
            wrong += usize::from(seen.mark(key));
            // Each round notes two keys.
            let old = number.saturating_sub(490);
            assert!(seen.mark(&keys[old]), "{old} is forgotten at {number}");
        }
        assert!(wrong < 200, "{wrong} of 10000 are taken for known ones");
        let forgotten = keys[..5000].iter().filter(|key| !seen.mark(key)).count();
        assert!(forgotten > 4000, "{forgotten}");
    }
}
