//! Memory and disk as one: what is kept, given up and purged is so in both, in an order in which
//! nothing comes back.

use std::sync::Arc;

use super::super::exchange::{Ask, Ending, Facts};
use super::disk::{Desk, Disk, Name, OnDisk, recall};
use super::fetch::fetch;
use super::hand::{CacheHand, SharedCache};
use super::look::{Look, Tier, look};
use super::refresh::refresh;
use super::send::send;
use super::store::{Resource, Selector};
use super::stored::Stored;
use crate::clock;
use crate::config::CacheConfig;
use crate::http::ResponseHead;
use crate::ids::ListenerId;
use crate::net::Buffer;
use crate::stats::{Counter, Reason};

/// How often the disk hears of an answer that is used from memory, in seconds: else what is used
/// most would be the first to leave it.
const TOUCH: u64 = 60;

impl SharedCache {
    /// What the answers of a key are called on disk.
    fn name(&self, key: &[u8]) -> Option<(&Disk, Name)> {
        let disk = self.disk.as_deref()?;
        let (id, rest) = key.split_first_chunk::<2>()?;
        let zone = self.signatures.get(usize::from(u16::from_be_bytes(*id)))?;
        Some((disk, Name::new(zone, rest)))
    }

    /// Keeps what the fetch of this number brought; false: it is too old.
    pub(super) fn keep(&self, key: &[u8], url: &[u8], stored: &Arc<Stored>, number: u64) -> bool {
        let kept = self.store.put(key, url, stored, number);
        if kept {
            self.offer(key, url, stored, true);
        }
        kept
    }

    fn offer(&self, key: &[u8], url: &[u8], stored: &Arc<Stored>, new: bool) {
        let Some((disk, name)) = self.name(key) else { return };
        let entry = disk.offer(name, url, stored, new);
        // Behind that: whoever gives it up later finds it there.
        if let Some(entry) = entry.filter(|_| !self.store.holds(key, stored)) {
            disk.remove(&entry);
        }
    }

    /// Keeps an answer that a member said is still good, as the fetch of this number asked; false:
    /// that was too long ago.
    pub(super) fn renew(
        &self,
        key: &[u8],
        url: &[u8],
        (stale, fresh): (&Arc<Stored>, &Arc<Stored>),
        number: u64,
    ) -> bool {
        let in_memory = fresh.body.opened().is_none();
        let kept = match in_memory {
            true => self.store.put(key, url, fresh, number),
            false => self.store.is_current(key, number),
        };
        if !kept {
            return false;
        }
        let Some((disk, name)) = self.name(key) else { return true };
        if !disk.freshen(&name, &stale.label, &fresh.label) {
            if in_memory {
                self.offer(key, url, fresh, false);
            }
        } else if !self.store.is_current(key, number) {
            // A purge in between made it stale, and that holds.
            disk.forget(&name, &fresh.label);
        }
        true
    }

    /// A variant is not to be used any more.
    pub(super) fn forget(&self, key: &[u8], stored: &Arc<Stored>) {
        self.store.forget(key, stored);
        if let Some((disk, name)) = self.name(key) {
            disk.forget(&name, &stored.label);
        }
    }

    /// Nobody is to get what is stored for this key, or was asked for until now. Whether there was
    /// anything.
    pub(super) fn invalidate(&self, key: &[u8]) -> bool {
        let on_disk = self.name(key);
        self.store.invalidate(key, || on_disk.is_some_and(|(disk, name)| disk.give_up(&name)))
    }

    /// Throws answers away, or (`soft`) makes them stale, so that they are validated before their
    /// next use. How many. Blocks while there is a folder to be read, and until files are gone.
    #[must_use]
    pub fn purge(&self, selector: &Selector, soft: bool) -> u64 {
        let now = clock::unix().as_secs();
        let Some(disk) = &self.disk else {
            return self.store.purge(selector, soft, now, |_, _| true);
        };
        // First from disk, so that nothing of it can come back into memory behind the second step;
        // then what was written meanwhile of what was in memory.
        let purged = disk.purge(selector, soft, now);
        let count = self.store.purge(selector, soft, now, |key, stored| {
            let name = self.name(key);
            name.is_none_or(|(_, name)| !purged.contains(&name.variant(&stored.label)))
        });
        disk.purge(selector, soft, now);
        disk.settle();
        count + purged.len() as u64
    }
}

impl CacheHand {
    /// The tier on disk, and the way there.
    pub(super) fn disk(&self) -> Option<(&Disk, &Desk)> {
        Some((self.shared.disk.as_deref()?, self.desk.as_ref()?))
    }

    /// An answer in memory is used.
    pub(super) fn note_use(&self, resource: Option<&Resource>, stored: &Arc<Stored>, now: u64) {
        let (Some(disk), Some(resource)) = (&self.shared.disk, resource) else { return };
        if stored.is_due(now) && disk.is_open() {
            stored.set_due(now + TOUCH);
            let key = &self.scratch.borrow().key;
            self.shared.offer(key, &resource.url, stored, false);
        }
    }
}

/// What there is on disk, where memory has nothing and the disk was not asked yet; what came from
/// there is taken as `stored`.
pub(super) fn second(
    ask: &Ask<'_>,
    hand: &CacheHand,
    tier: Tier,
    stored: &mut Option<Arc<Stored>>,
) -> Option<Box<OnDisk>> {
    hand.shared.disk.as_ref()?;
    match tier {
        Tier::All if stored.is_none() => find(ask, hand).map(Box::new),
        Tier::All | Tier::Memory => None,
        Tier::Recalled(recalled, number) => {
            hand.scratch.borrow_mut().number = number;
            *stored = Some(recalled);
            None
        }
    }
}

/// For the key that is in `scratch`.
fn find(ask: &Ask<'_>, hand: &CacheHand) -> Option<OnDisk> {
    let mut scratch = hand.scratch.borrow_mut();
    let scratch = &mut *scratch;
    let (disk, name) = hand.shared.name(&scratch.key)?;
    let entry = disk.find(&name, ask.head, &mut scratch.text)?;
    Some(OnDisk { key: scratch.key.clone(), name, entry, number: scratch.number })
}

/// Who asks, and of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) ask: &'a Ask<'a>,
    pub(super) cache: &'a CacheConfig,
    pub(super) hand: &'a CacheHand,
    pub(super) listener: ListenerId,
}

/// Answers with what is on disk, or as if there were nothing if it cannot be had.
pub(super) async fn answer(
    from: Source<'_>,
    found: OnDisk,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Option<Ending>, Reason> {
    let Source { ask, cache, hand, listener } = from;
    let number = found.number;
    let recalled = recall(ask, cache, hand, found).await?;
    let mut tier = recalled.map_or(Tier::Memory, |recalled| Tier::Recalled(recalled, number));
    loop {
        let ready = match look(ask, cache, hand, response, facts, tier)? {
            Look::Hit(ready) => ready,
            Look::HitAndRefresh(ready, plan) => {
                refresh(ask, listener, facts, plan);
                ready
            }
            Look::Miss(plan) => {
                let fetch = Box::pin(fetch(*ask, cache, hand, plan, received, response, facts));
                return fetch.await.map(Some);
            }
            Look::OnDisk(_) | Look::Past => return Ok(None),
        };
        let ended = send(ask, ready, received, facts).await;
        if !matches!(ended, Err(Reason::CacheDisk)) || facts.begun.get() {
            if facts.cache.get().is_some_and(|trace| trace.disk) {
                ask.context.row.add(Counter::CacheDiskHits, 1);
            }
            return ended.map(Some);
        }
        // The client was told nothing yet: a member may know better.
        tier = Tier::Memory;
    }
}
