//! What is on disk, in memory: for each key its files, and of each file as much as tells whether it
//! answers a request or is meant by a purge. Bounded by what the files weigh: bytes, in whole blocks of
//! the file system, or their share of the number of files, whichever is more. Does no I/O: the files
//! of what leaves the index are named to the thread that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::super::order::Locks;
use super::super::store::Selector;
use super::super::stored::{Label, has_tag};
use crate::http::RequestHead;
use crate::http::caching::vary;

/// What a key is found by: the first half of a SHA-256.
pub(super) type Digest = [u8; 16];

/// Files of one key; the one that was stored first goes.
const VARIANTS_MOST: usize = 32;

/// Shards at the most.
const SHARDS_MOST: usize = 64;

/// File systems deal in these.
const FS_BLOCK: u64 = 4096;

/// Bytes of URL, tags and what it varies by that are kept in memory for a file; what has more is not
/// written.
pub(super) const NAMES_MOST: usize = 4096;

/// It is being written.
const WRITING: u8 = 0;
/// It can be read.
const READY: u8 = 1;

/// What of an answer may change without its body.
#[derive(Debug)]
pub(super) struct About {
    pub(super) came_at: u64,
    vary: Box<[u8]>,
    selected: Box<[u8]>,
    tags: Box<[u8]>,
}

impl About {
    pub(super) fn of(label: &Label) -> Self {
        Self {
            came_at: label.came_at,
            vary: label.vary.clone(),
            selected: label.selected.clone(),
            tags: label.tags.clone(),
        }
    }

    fn is_variant(&self, label: &Label) -> bool {
        (&self.vary, &self.selected) == (&label.vary, &label.selected)
    }
}

/// A file.
#[derive(Debug)]
pub(in super::super) struct Entry {
    pub(super) id: u64,
    pub(super) digest: Digest,
    /// Bytes of the body.
    pub(super) length: u64,
    url: Box<[u8]>,
    about: ArcSwap<About>,
    /// Since when it is stale by an operator's word; 0: it is not.
    stale_since: AtomicU64,
    /// How often it was asked for since it left memory.
    uses: AtomicU32,
    weight: u64,
    bytes: u64,
    state: AtomicU8,
    dead: AtomicBool,
}

impl Entry {
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn is_readable(&self) -> bool {
        self.state.load(Ordering::SeqCst) == READY && !self.is_dead()
    }

    pub(super) fn came_at(&self) -> u64 {
        self.about.load().came_at
    }

    pub(super) fn stale_since(&self) -> u64 {
        self.stale_since.load(Ordering::SeqCst)
    }

    /// Counts a use; how many there were.
    pub(super) fn used(&self) -> u32 {
        self.uses.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// The member says that the answer is still good.
    pub(super) fn freshen(&self, label: &Label) {
        self.about.store(Arc::new(About::of(label)));
        self.stale_since.store(0, Ordering::SeqCst);
    }

    /// A name for one variant of one key.
    pub(super) fn variant(&self) -> Variant {
        let about = self.about.load();
        (self.digest, about.vary.clone(), about.selected.clone())
    }
}

/// What tells stored answers apart.
pub(in super::super) type Variant = (Digest, Box<[u8]>, Box<[u8]>);

/// The files of a key, the youngest first.
type Files = Arc<[Arc<Entry>]>;

#[derive(Clone, Debug)]
struct Weigh;

impl Weighter<Digest, Files> for Weigh {
    fn weight(&self, _: &Digest, files: &Files) -> u64 {
        files.iter().map(|entry| entry.weight).sum()
    }
}

/// Where files go that are not in the index any more.
#[derive(Clone, Debug)]
struct Grave {
    /// Without a bound of its own: a file goes there once, so there are never more than files.
    trash: Sender<u64>,
    evicted: Arc<AtomicU64>,
    files: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Grave {
    /// The file is not used any more. Who writes it just now throws it away afterwards.
    fn retire(&self, entry: &Entry) {
        if entry.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        self.files.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
        if entry.state.load(Ordering::SeqCst) == READY {
            // Its receiver lives as long as the tier.
            _ = self.trash.send(entry.id);
        }
    }
}

/// Collects what made room for others, and what was replaced.
#[derive(Clone, Debug)]
struct Leavers;

impl Lifecycle<Digest, Files> for Leavers {
    type RequestState = Vec<Files>;

    fn begin_request(&self) -> Vec<Files> {
        Vec::new()
    }

    fn on_evict(&self, gone: &mut Vec<Files>, _: Digest, files: Files) {
        gone.push(files);
    }
}

/// All files.
#[derive(Debug)]
pub(super) struct Index {
    files: Cache<Digest, Files, Weigh, DefaultHashBuilder, Leavers>,
    /// Who changes the files of a key holds one of them.
    locks: Locks,
    grave: Grave,
    /// What a file weighs at least.
    least: u64,
}

impl Index {
    /// Of so many bytes and files, for answers of up to `object` bytes.
    pub(super) fn new(size: u64, count: usize, object: u64, trash: Sender<u64>) -> Self {
        // A shard takes nothing that is larger than itself.
        let room = (size / object.max(1) / 4).clamp(1, SHARDS_MOST as u64);
        let zero = || Arc::new(AtomicU64::new(0));
        let grave = Grave { trash, evicted: zero(), files: zero(), bytes: zero() };
        let options = OptionsBuilder::new()
            .weight_capacity(size)
            .estimated_items_capacity(count)
            .shards(1 << room.ilog2())
            .build();
        let builder = DefaultHashBuilder::default();
        let files = match options {
            Ok(options) => Cache::with_options(options, Weigh, builder, Leavers),
            Err(_) => Cache::with(count, size, Weigh, builder, Leavers),
        };
        Self { files, locks: Locks::new(), grave, least: size / count.max(1) as u64 }
    }

    /// Bytes of the largest file that it takes.
    pub(super) fn largest(&self) -> u64 {
        self.files.shard_capacity() / 4
    }

    /// Bytes and number of files.
    pub(super) fn filled(&self) -> (u64, u64) {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (number(&self.grave.bytes), number(&self.grave.files))
    }

    /// Files that made room for others.
    pub(super) fn evicted(&self) -> u64 {
        self.grave.evicted.load(Ordering::Relaxed)
    }

    /// Makes an entry for a file of `bytes`, with a body of `length`; `ready`: it is there already.
    pub(super) fn entry(
        &self,
        (id, digest): (u64, Digest),
        url: &[u8],
        label: &Label,
        (bytes, length): (u64, u64),
        ready: Option<u64>,
    ) -> Arc<Entry> {
        Arc::new(Entry {
            id,
            digest,
            length,
            url: url.into(),
            about: ArcSwap::from_pointee(About::of(label)),
            stale_since: AtomicU64::new(ready.unwrap_or(0)),
            uses: AtomicU32::new(0),
            weight: bytes.next_multiple_of(FS_BLOCK).max(self.least),
            bytes,
            state: AtomicU8::new(if ready.is_some() { READY } else { WRITING }),
            dead: AtomicBool::new(false),
        })
    }

    fn lock(&self, digest: &Digest) -> impl Sized {
        let [first, second, ..] = *digest;
        self.locks.hold(usize::from(first) << 8 | usize::from(second))
    }

    /// Changes the files of a key; `None`: they stay as they are.
    fn change(&self, digest: &Digest, change: impl FnOnce(&[Arc<Entry>]) -> Option<Files>) {
        let _changing = self.lock(digest);
        let there = self.files.peek(digest);
        let Some(next) = change(there.as_deref().unwrap_or_default()) else { return };
        self.replace(digest, there.as_ref(), &next);
        // What was there may have made room for others meanwhile.
        if next.iter().any(|entry| entry.is_dead()) {
            let left: Files = next.iter().filter(|entry| !entry.is_dead()).cloned().collect();
            self.replace(digest, Some(&next), &left);
        }
    }

    fn replace(&self, digest: &Digest, there: Option<&Files>, next: &Files) {
        if next.is_empty() {
            self.files.remove(digest);
            return;
        }
        let gone = self.files.insert_with_lifecycle(*digest, Arc::clone(next));
        // What does not fit is evicted at once.
        for files in gone {
            if there.is_none_or(|there| !Arc::ptr_eq(there, &files)) {
                self.grave.evicted.fetch_add(files.len() as u64, Ordering::Relaxed);
                files.iter().for_each(|entry| self.grave.retire(entry));
            }
        }
    }

    /// Takes a file in; it takes the place of the one with the same variant, unless that is younger.
    pub(super) fn put(&self, entry: &Arc<Entry>) {
        self.grave.files.fetch_add(1, Ordering::Relaxed);
        self.grave.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
        self.change(&entry.digest, |files| {
            let about = entry.about.load();
            let (mut kept, mut gone) = (vec![Arc::clone(entry)], Vec::new());
            for other in files {
                let theirs = other.about.load();
                let same = (&theirs.vary, &theirs.selected) == (&about.vary, &about.selected);
                if same && theirs.came_at > about.came_at {
                    self.grave.retire(entry);
                    return None;
                }
                if same { &mut gone } else { &mut kept }.push(Arc::clone(other));
            }
            gone.extend(kept.drain(VARIANTS_MOST.min(kept.len())..));
            gone.iter().for_each(|other| self.grave.retire(other));
            Some(kept.into())
        });
    }

    /// The file is written and has its name; false: nobody wants it any more.
    pub(super) fn publish(&self, entry: &Entry) -> bool {
        entry.state.store(READY, Ordering::SeqCst);
        // Who retires it looks at the state behind this, or is seen here, or both.
        !entry.is_dead()
    }

    /// The file that answers `request`. Counts as a use.
    pub(super) fn find(
        &self,
        digest: &Digest,
        request: &RequestHead,
        scratch: &mut Vec<u8>,
    ) -> Option<Arc<Entry>> {
        let files = self.files.get(digest)?;
        let fits = |entry: &&Arc<Entry>| {
            let about = entry.about.load();
            if about.vary.is_empty() {
                return entry.is_readable();
            }
            scratch.clear();
            vary::select(&about.vary, request, scratch);
            **scratch == *about.selected && entry.is_readable()
        };
        files.iter().find(fits).cloned()
    }

    /// The file with this variant, written or on its way. Counts as a use.
    pub(super) fn variant(&self, digest: &Digest, label: &Label) -> Option<Arc<Entry>> {
        let files = self.files.get(digest)?;
        let same = |entry: &&Arc<Entry>| entry.about.load().is_variant(label) && !entry.is_dead();
        files.iter().find(same).cloned()
    }

    /// Takes a file out.
    pub(super) fn remove(&self, entry: &Entry) {
        self.change(&entry.digest, |files| {
            let left: Files = files.iter().filter(|other| other.id != entry.id).cloned().collect();
            (left.len() < files.len()).then_some(left)
        });
        self.grave.retire(entry);
    }

    /// Takes all files of a key out; whether there are any.
    pub(super) fn remove_all(&self, digest: &Digest) -> bool {
        let _changing = self.lock(digest);
        let Some((_, files)) = self.files.remove(digest) else { return false };
        files.iter().for_each(|entry| self.grave.retire(entry));
        true
    }

    /// All files that are meant.
    pub(super) fn meant(&self, selector: &Selector) -> Vec<Arc<Entry>> {
        let takes = |entry: &Arc<Entry>| match selector {
            Selector::All => true,
            Selector::Url(url) => *entry.url == *url.as_bytes(),
            Selector::Prefix(prefix) => entry.url.starts_with(prefix.as_bytes()),
            Selector::Tag(tag) => has_tag(&entry.about.load().tags, tag.as_bytes()),
        };
        let mut meant = Vec::new();
        for (_, files) in self.files.iter() {
            meant.extend(files.iter().filter(|entry| takes(entry)).cloned());
        }
        meant
    }

    /// Makes a file stale.
    pub(super) fn soften(&self, entry: &Entry, now: u64) {
        entry.stale_since.store(now.max(1), Ordering::SeqCst);
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
