//! Where answers are kept: one store for all workers, bounded in bytes. The crate below it shards
//! its locks and keeps what is used again and again in front of what is used once.
//!
//! Every key has one resource, with its variants. When a key was invalidated last is remembered beside
//! what is stored, so that a fetch that began before it cannot bring back the old answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::order::Order;
use super::stored::Stored;
use crate::http::RequestHead;

/// Variants of one resource; the one that was stored first goes.
const VARIANTS_MOST: usize = 32;

/// Shards at the most.
const SHARDS_MOST: usize = 64;

/// What a resource costs beside its answers, at a guess.
const OVERHEAD: u64 = 256;

/// For how long it is remembered that the answers of a resource are not stored, in seconds: its
/// requests do not wait for each other meanwhile.
const PASS_FOR: u64 = 30;

pub(super) type Key = Vec<u8>;

/// All that is known of a key.
#[derive(Debug, Default)]
pub(super) struct Resource {
    pub(super) url: Box<[u8]>,
    /// The youngest first.
    pub(super) variants: Vec<Arc<Stored>>,
    /// What the youngest depends on.
    pub(super) vary: Box<[u8]>,
    /// Until when its answers are taken not to be stored.
    pub(super) pass_until: u64,
    /// Bytes of encoded forms, as last counted: the store's own sums need a weight that stays.
    pub(super) encodings: u64,
}

fn weight_of_encodings(variants: &[Arc<Stored>]) -> u64 {
    variants.iter().map(|stored| stored.encodings.weight()).sum()
}

impl Resource {
    /// The variant that answers `request`.
    pub(super) fn find(
        &self,
        request: &RequestHead,
        scratch: &mut Vec<u8>,
    ) -> Option<&Arc<Stored>> {
        self.variants.iter().find(|stored| stored.label.fits(request, scratch))
    }

    fn weight(&self) -> u64 {
        let variants = self.variants.iter().map(|stored| stored.weight());
        let texts = self.url.len() + self.vary.len();
        OVERHEAD + texts as u64 + self.encodings + variants.sum::<u64>()
    }

    fn with(&self, stored: Arc<Stored>) -> Self {
        let label = &stored.label;
        let others = self.variants.iter().filter(|other| {
            (&other.label.vary, &other.label.selected) != (&label.vary, &label.selected)
        });
        let (url, vary) = (self.url.clone(), label.vary.clone());
        let mut variants = vec![Arc::clone(&stored)];
        variants.extend(others.cloned());
        variants.truncate(VARIANTS_MOST);
        let encodings = weight_of_encodings(&variants);
        Self { url, variants, vary, pass_until: 0, encodings }
    }

    /// The same where these alone are left of the variants.
    fn without(&self, variants: Vec<Arc<Stored>>) -> Self {
        let (url, vary) = (self.url.clone(), self.vary.clone());
        let encodings = weight_of_encodings(&variants);
        Self { url, variants, vary, pass_until: self.pass_until, encodings }
    }
}

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Key, Arc<Resource>> for Weigh {
    fn weight(&self, key: &Key, resource: &Arc<Resource>) -> u64 {
        key.len() as u64 + resource.weight()
    }
}

/// Collects what made room for others, and what was replaced.
#[derive(Clone, Debug)]
struct Leavers;

impl Lifecycle<Key, Arc<Resource>> for Leavers {
    type RequestState = Vec<Arc<Resource>>;

    fn begin_request(&self) -> Self::RequestState {
        Vec::new()
    }

    fn on_evict(&self, gone: &mut Self::RequestState, _: Key, resource: Arc<Resource>) {
        gone.push(resource);
    }
}

/// Which answers are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All.
    All,
    /// Those of this URL: `http://host:port/path?query`, the port left out where it is usual.
    Url(String),
    /// Those whose URL begins so.
    Prefix(String),
    /// Those that a member marked so, in `Cache-Tag` or `Surrogate-Key`.
    Tag(String),
}

impl Selector {
    fn takes(&self, resource: &Resource) -> bool {
        match self {
            Self::All => true,
            Self::Url(url) => *resource.url == *url.as_bytes(),
            Self::Prefix(prefix) => resource.url.starts_with(prefix.as_bytes()),
            Self::Tag(tag) => {
                resource.variants.iter().any(|stored| stored.label.has_tag(tag.as_bytes()))
            }
        }
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    resources: Cache<Key, Arc<Resource>, Weigh, DefaultHashBuilder, Leavers>,
    evicted: AtomicU64,
    /// Who changes what is stored for a key says so there.
    order: Order,
}

impl Store {
    /// Of `memory` bytes, for answers of up to `object` bytes.
    pub(super) fn new(memory: usize, object: usize) -> Self {
        // A shard takes no answer that is larger than itself.
        let room = (memory / object.max(1) / 4).clamp(1, SHARDS_MOST);
        let shards = 1 << room.ilog2();
        let options = OptionsBuilder::new()
            .weight_capacity(memory as u64)
            .estimated_items_capacity(memory / 16_384)
            .shards(shards)
            .build();
        let builder = DefaultHashBuilder::default();
        let resources = match options {
            Ok(options) => Cache::with_options(options, Weigh, builder, Leavers),
            Err(_) => Cache::with(memory / 16_384, memory as u64, Weigh, builder, Leavers),
        };
        Self { resources, evicted: AtomicU64::new(0), order: Order::new() }
    }

    /// Bytes of the largest answer that it takes.
    pub(super) fn object_most(&self) -> u64 {
        self.resources.shard_capacity() / 4
    }

    /// Bytes that are taken, and by how many resources.
    pub(super) fn filled(&self) -> (u64, u64) {
        (self.resources.weight(), self.resources.len() as u64)
    }

    /// Resources that made room for others.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// That of a look that begins now, see [`Order::number`].
    pub(super) fn number(&self) -> u64 {
        self.order.number()
    }

    /// Whether what a fetch of this number brings may still be used for others.
    pub(super) fn is_current(&self, key: &[u8], number: u64) -> bool {
        self.order.is_current(key, number)
    }

    /// Whether this very answer is what is stored.
    pub(super) fn holds(&self, key: &[u8], stored: &Arc<Stored>) -> bool {
        let resource = self.resources.peek(key);
        resource.is_some_and(|it| it.variants.iter().any(|other| Arc::ptr_eq(other, stored)))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Resource>> {
        self.resources.get(key)
    }

    /// Changes the resource of a key, or makes one; `None`: it stays as it is. Whether the change is
    /// what is stored now. No other change happens in between.
    pub(super) fn change(
        &self,
        key: &[u8],
        change: impl FnOnce(&Resource) -> Option<Resource>,
    ) -> bool {
        let _changing = self.order.change(key);
        let there = self.resources.peek(key).unwrap_or_default();
        let Some(next) = change(&there).map(Arc::new) else { return false };
        self.replace(key.into(), &there, Arc::clone(&next));
        // It may be too large.
        self.resources.peek(key).is_some_and(|there| Arc::ptr_eq(&there, &next))
    }

    /// Puts what is stored for a key in the place of what was there.
    fn replace(&self, key: Key, there: &Arc<Resource>, next: Arc<Resource>) {
        let gone = self.resources.insert_with_lifecycle(key, next);
        let evicted = gone.iter().filter(|gone| !Arc::ptr_eq(gone, there)).count();
        self.evicted.fetch_add(evicted as u64, Ordering::Relaxed);
    }

    /// Keeps what the fetch of this number brought; false: it is too old.
    pub(super) fn put(&self, key: &[u8], url: &[u8], stored: &Arc<Stored>, number: u64) -> bool {
        self.change(key, |resource| {
            self.is_current(key, number)
                .then(|| Resource { url: url.into(), ..resource.with(Arc::clone(stored)) })
        })
    }

    /// A variant is not to be used any more: what it was asked for last is not stored.
    pub(super) fn forget(&self, key: &[u8], stored: &Arc<Stored>) {
        self.change(key, |resource| {
            let mut variants = resource.variants.clone();
            variants.retain(|other| !Arc::ptr_eq(other, stored));
            if variants.len() == resource.variants.len() {
                return None;
            }
            Some(resource.without(variants))
        });
    }

    /// Counts what encoded forms of `stored` weigh now, if it is still there: makes room for them.
    pub(super) fn weigh_again(&self, key: &[u8], stored: &Arc<Stored>) {
        self.change(key, |resource| {
            let same = |other: &Arc<Stored>| Arc::ptr_eq(&other.encodings, &stored.encodings);
            resource.variants.iter().any(same).then(|| Resource {
                url: resource.url.clone(),
                variants: resource.variants.clone(),
                vary: resource.vary.clone(),
                encodings: weight_of_encodings(&resource.variants),
                ..*resource
            })
        });
    }

    /// Whether what is stored for a key may weigh so much more: what is heavier than a shard would
    /// leave the store altogether.
    pub(super) fn has_room_beside(&self, key: &[u8], more: u64) -> bool {
        let most = self.resources.shard_capacity() / 2;
        self.resources.peek(key).is_some_and(|resource| resource.weight() + more <= most)
    }

    /// Remembers that the answers of a key are not stored.
    pub(super) fn pass(&self, key: &[u8], now: u64) {
        self.change(key, |resource| {
            let fresh = resource.pass_until >= now + PASS_FOR;
            (resource.variants.is_empty() && !fresh).then(|| Resource {
                pass_until: now + PASS_FOR,
                vary: resource.vary.clone(),
                ..Resource::default()
            })
        });
    }

    /// Nobody is to get what is stored for this key, or was asked for until now. Whether there was
    /// anything, here or where `elsewhere` gives it up.
    pub(super) fn invalidate(&self, key: &[u8], elsewhere: impl FnOnce() -> bool) -> bool {
        let changing = self.order.change(key);
        let resource = self.resources.peek(key);
        if let Some(resource) = &resource {
            if resource.vary.is_empty() {
                self.resources.remove(key);
            } else {
                // Who asks for different variants need not wait for each other.
                let vary = resource.vary.clone();
                let next = Arc::new(Resource { vary, ..Resource::default() });
                self.replace(key.into(), resource, next);
            }
        }
        // Behind what is here: whoever brings it there from here finds that it is gone here.
        let known = elsewhere();
        // Last of all, and before others may change this: whoever found it there before brings
        // nothing back.
        self.order.invalidate(&changing);
        known || resource.is_some_and(|resource| !resource.variants.is_empty())
    }

    /// Throws away, or (`soft`) makes stale; how many answers that `counts`.
    pub(super) fn purge(
        &self,
        selector: &Selector,
        soft: bool,
        now: u64,
        counts: impl Fn(&Key, &Stored) -> bool,
    ) -> u64 {
        // What is under way now is not known yet, and so not kept.
        self.order.purge();
        let mut count = 0;
        for (key, _) in self.resources.iter() {
            let _changing = self.order.change(&key);
            let Some(resource) = self.resources.peek(&key) else { continue };
            if resource.variants.is_empty() || !selector.takes(&resource) {
                continue;
            }
            let meant = |stored: &&Arc<Stored>| match selector {
                Selector::Tag(tag) => stored.label.has_tag(tag.as_bytes()),
                _ => true,
            };
            let (gone, left): (Vec<_>, Vec<_>) = resource.variants.iter().partition(meant);
            for stored in &gone {
                count += u64::from(counts(&key, stored));
                if soft {
                    stored.soften(now);
                }
            }
            if soft {
                continue;
            }
            if left.is_empty() {
                self.resources.remove(&key);
            } else {
                let variants: Vec<_> = left.into_iter().cloned().collect();
                self.replace(key, &resource, Arc::new(resource.without(variants)));
            }
        }
        count
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
