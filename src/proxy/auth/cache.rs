//! Verdicts that are remembered: bounded, and by an HMAC of the credentials, so that a look into the
//! memory of the process shows none. Pure: the caller says what time it is.

use std::collections::HashMap;

use aws_lc_rs::hmac;

use crate::clock::Instant;

/// What a verdict is found by: an HMAC-SHA256.
pub(super) type Digest = [u8; 32];

/// The digest of several parts, none of which can pass for a part of another; `owner` tells whose.
pub(super) fn digest(key: &hmac::Key, owner: u32, parts: &[&[u8]]) -> Digest {
    let mut context = hmac::Context::with_key(key);
    context.update(&owner.to_be_bytes());
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = Digest::default();
    let tag = context.sign();
    for (to, from) in digest.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    digest
}

/// A verdict, until when it is good, and by which version of users or keys.
#[derive(Debug)]
struct Entry<V> {
    value: V,
    until: Instant,
    version: u64,
}

/// Verdicts in two halves: when the young half is full it becomes the old one, and what was old is
/// forgotten. Who is asked for again becomes young.
#[derive(Debug)]
pub(super) struct Cache<V> {
    young: HashMap<Digest, Entry<V>>,
    old: HashMap<Digest, Entry<V>>,
    half: usize,
}

impl<V: Clone> Cache<V> {
    /// Of so many entries at the most.
    pub(super) fn new(entries: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: entries.div_ceil(2).max(1) }
    }

    /// The verdict, if it is still good.
    pub(super) fn get(&mut self, digest: &Digest, now: Instant, version: u64) -> Option<V> {
        let good = |entry: &Entry<V>| entry.version == version && now < entry.until;
        if let Some(entry) = self.young.get(digest) {
            return good(entry).then(|| entry.value.clone());
        }
        let entry = self.old.remove(digest).filter(good)?;
        let value = entry.value.clone();
        self.put(*digest, entry);
        Some(value)
    }

    /// Remembers a verdict.
    pub(super) fn insert(&mut self, digest: Digest, value: V, until: Instant, version: u64) {
        self.put(digest, Entry { value, until, version });
    }

    fn put(&mut self, digest: Digest, entry: Entry<V>) {
        if self.young.len() >= self.half && !self.young.contains_key(&digest) {
            // The old half's memory serves again.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(digest, entry);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    const fn name(number: u8) -> Digest {
        [number; 32]
    }

    #[test]
    fn verdicts_are_good_until_their_time_and_for_their_version() {
        let mut cache = Cache::new(10);
        cache.insert(name(1), "a", at(10), 7);
        assert_eq!(cache.get(&name(1), at(9), 7), Some("a"));
        assert_eq!(cache.get(&name(1), at(10), 7), None);
        assert_eq!(cache.get(&name(1), at(9), 8), None);
        assert_eq!(cache.get(&name(2), at(9), 7), None);
        cache.insert(name(1), "b", at(20), 8);
        assert_eq!(cache.get(&name(1), at(10), 8), Some("b"));
    }

    #[test]
    fn it_never_grows_beyond_its_bound_and_keeps_what_is_asked_for() {
        for entries in [1, 2, 7, 10] {
            let mut cache = Cache::new(entries);
            cache.insert(name(0), 0, at(9), 0);
            for number in 1..200 {
                cache.insert(name(number), number, at(9), 0);
                let kept = cache.get(&name(0), at(1), 0);
                assert!(entries < 4 || kept == Some(0), "{entries} {number}");
                assert!(cache.len() <= entries.div_ceil(2) * 2, "{entries}: {}", cache.len());
                assert!(cache.get(&name(number), at(1), 0).is_some());
            }
        }
    }

    #[test]
    fn parts_cannot_pass_for_one_another() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_ne!(digest(&key, 1, &[b"ab", b"c"]), digest(&key, 1, &[b"a", b"bc"]));
        assert_ne!(digest(&key, 1, &[b"ab"]), digest(&key, 1, &[b"ab", b""]));
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        assert_ne!(digest(&key, 1, &[b"ab"]), digest(&other, 1, &[b"ab"]));
        assert_ne!(digest(&key, 1, &[b"ab"]), digest(&key, 2, &[b"ab"]));
        assert_eq!(digest(&key, 1, &[b"ab", b"c"]), digest(&key, 1, &[b"ab", b"c"]));
    }
}
