//! What is known of users, keys and verdicts: shared by all workers, and of one of them.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use aws_lc_rs::hmac;

use super::cache::{Cache, Digest, digest};
use super::desk::{Desk, Jobs, Seat};
use super::keys::KeySet;
use super::users::Users;
use crate::clock::{Instant, micros};
use crate::config::{AuthConfig, Config, RememberConfig, RulesId};
use crate::http::FoldedNames;

/// Between two fetches of keys that tokens ask for.
const WANT_LEAST: Duration = Duration::from_secs(10);

/// Something that the control thread replaces, and how often it did.
#[derive(Debug)]
pub struct Current<T> {
    value: ArcSwapOption<(u64, T)>,
}

/// A value and its version.
type Versioned<T> = Guard<Option<Arc<(u64, T)>>>;

impl<T> Current<T> {
    /// With this value, or with none yet.
    #[must_use]
    pub fn new(value: Option<T>) -> Self {
        Self { value: ArcSwapOption::new(value.map(|value| Arc::new((1, value)))) }
    }

    /// Replaces the value. For one thread alone.
    pub fn replace(&self, value: T) {
        let version = self.value.load().as_ref().map_or(0, |current| current.0);
        self.value.store(Some(Arc::new((version + 1, value))));
    }

    pub(super) fn get(&self) -> Versioned<T> {
        self.value.load()
    }
}

/// Keys of tokens.
pub struct Keys {
    /// The keys; none before they were fetched for the first time.
    pub current: Current<KeySet>,
    /// Fetches that have ended, however.
    pub fetches: AtomicU64,
    /// When a fetch was asked for, in microseconds; 0: never.
    wanted: AtomicU64,
    /// How many had ended then.
    ended: AtomicU64,
    /// Asks the control thread for a fetch; `None`: the keys are in a file.
    ask: Option<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.current)
    }
}

impl Keys {
    /// Keys; `ask` wakes who fetches them anew.
    #[must_use]
    pub fn new(keys: Option<KeySet>, ask: Option<Box<dyn Fn() + Send + Sync>>) -> Self {
        let (fetches, wanted, ended) = Default::default();
        Self { current: Current::new(keys), fetches, wanted, ended, ask }
    }

    /// Asks for a fetch, unless that was done a short time ago. Whether one is likely under way.
    pub(super) fn want(&self, now: Instant, patience: Duration) -> bool {
        let Some(ask) = &self.ask else { return false };
        let (now, before) = (now.as_micros().max(1), self.wanted.load(Ordering::Relaxed));
        let since = now.saturating_sub(before);
        if before != 0 && since < micros(WANT_LEAST) {
            let runs = self.fetches.load(Ordering::Acquire) == self.ended.load(Ordering::Acquire);
            return runs && since < micros(patience);
        }
        let exchange =
            self.wanted.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
        if exchange.is_ok() {
            self.ended.store(self.fetches.load(Ordering::Acquire), Ordering::Release);
            ask();
        }
        true
    }
}

/// What the methods of some rules need.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Of `basic`.
    pub users: Option<Arc<Current<Users>>>,
    /// Of `jwt`.
    pub keys: Option<Arc<Keys>>,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// By rules.
    sources: Vec<Sources>,
    /// Where passwords are verified.
    jobs: Option<Jobs>,
    /// For the digests of credentials.
    key: hmac::Key,
}

impl Shared {
    /// With these sources, by rules; `jobs` leads to threads that verify passwords.
    ///
    /// # Errors
    /// The system has no chance to give.
    pub fn new(sources: Vec<Sources>, jobs: Option<Jobs>) -> std::io::Result<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        let key = key.map_err(|_| std::io::Error::other("no random bytes"))?;
        Ok(Self { sources, jobs, key })
    }
}

/// The verdicts by some rules on one worker.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) sources: Sources,
    /// Nothing: the password is wrong.
    pub(super) basic: Kept<Option<Rc<[u8]>>>,
    pub(super) jwt: Kept<Rc<[u8]>>,
    pub(super) request: Kept<Rc<[u8]>>,
}

/// Verdicts of one method, if they are remembered.
type Kept<V> = Option<RefCell<Cache<V>>>;

fn kept<V: Clone>(remember: Option<&Option<RememberConfig>>) -> Kept<V> {
    let remember = remember?.as_ref()?;
    Some(RefCell::new(Cache::new(remember.entries)))
}

impl Memory {
    fn new(config: &AuthConfig, sources: Sources) -> Self {
        Self {
            sources,
            basic: kept(config.basic.as_ref().map(|basic| &basic.remember)),
            jwt: kept(config.jwt.as_ref().map(|jwt| &jwt.remember)),
            request: kept(config.request.as_ref().map(|request| &request.remember)),
        }
    }
}

/// One worker's part.
#[derive(Debug)]
pub struct Auth {
    /// By rules.
    memories: Vec<Option<Box<Memory>>>,
    pub(super) desk: Option<Desk>,
    key: hmac::Key,
    /// Fields that tell members who the client is, and that no client sends.
    names: FoldedNames,
}

impl Auth {
    /// For one worker; `None`: there are no rules.
    #[must_use]
    pub fn new(config: &Config, shared: &Shared, seat: Option<Seat>) -> Option<Self> {
        let rules = config.rules();
        let names = FoldedNames::new(rules.clone().flatten().flat_map(AuthConfig::fields));
        let mut sources = shared.sources.iter().cloned();
        let memories: Vec<_> = rules
            .map(|auth| {
                let sources = sources.next().unwrap_or_default();
                auth.map(|auth| Box::new(Memory::new(auth, sources)))
            })
            .collect();
        if memories.iter().all(Option::is_none) {
            return None;
        }
        let desk = shared.jobs.clone().zip(seat).map(|(jobs, seat)| Desk::new(jobs, seat));
        Some(Self { memories, desk, key: shared.key.clone(), names })
    }

    pub(super) fn memory(&self, id: RulesId) -> Option<&Memory> {
        self.memories.get(usize::try_from(id.0).ok()?)?.as_deref()
    }

    /// What credentials are remembered by for these rules.
    pub(super) fn digest(&self, id: RulesId, parts: &[&[u8]]) -> Digest {
        digest(&self.key, id.0, parts)
    }

    /// Whether a client's field of this name must not reach members.
    #[inline]
    pub(in crate::proxy) fn claims(&self, name: &[u8]) -> bool {
        self.names.has(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn keys_are_asked_for_once_in_a_while() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move || _ = count.fetch_add(1, Ordering::Relaxed);
        let keys = Keys::new(None, Some(Box::new(ask)));
        let patience = Duration::from_secs(2);
        let steps = [
            (5, true, 1),
            (6, true, 1),
            (8, false, 1),
            (14, false, 1),
            (15, true, 2),
            (16, true, 2),
        ];
        for (second, waits, times) in steps {
            let now = Instant::from_micros(second * 1_000_000);
            assert_eq!(keys.want(now, patience), waits, "{second}");
            assert_eq!(asked.load(Ordering::Relaxed), times, "{second}");
        }
        // It has ended: what it did not bring is not there.
        keys.fetches.fetch_add(1, Ordering::Release);
        assert!(!keys.want(Instant::from_micros(16_000_000), patience));
        let of_file = Keys::new(None, None);
        assert!(!of_file.want(Instant::from_micros(1), patience));
    }

    #[test]
    fn each_value_has_a_version_of_its_own() {
        let current = Current::new(None);
        assert!(current.get().is_none());
        current.replace("a");
        assert_eq!(current.get().as_deref(), Some(&(1, "a")));
        current.replace("b");
        assert_eq!(current.get().as_deref(), Some(&(2, "b")));
    }
}
