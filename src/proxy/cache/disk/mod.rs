//! The second tier: answers in files, which are still there after a restart.
//!
//! Workers never wait for the file system: they ask threads, by queues that are bounded, and go on
//! without the tier where a queue is full. Memory comes first: what is written is in memory at that
//! time, and what memory has newer makes a file of the same answer go. Purges and invalidations take
//! effect in the index, at once; its files follow.

mod desk;
mod folder;
mod format;
mod index;
mod recall;
mod scan;
mod seen;
mod threads;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::digest;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::store::Selector;
use super::stored::{Label, Stored};
use crate::clock;
use crate::config::CacheDiskConfig;
use crate::rng;
use crate::stats::{Counter, Row};
use folder::{Fault, Folder};
use index::{Digest, Entry, Index, NAMES_MOST};
use seen::Seen;
use threads::{Read, Write};

pub(super) use desk::Desk;
pub use desk::DiskSeat;
pub use folder::FolderError;
pub(super) use index::Variant;
pub(super) use recall::{OnDisk, pump, recall};
pub(super) use threads::Opened;

/// Reads that wait, of all workers; further ones are misses.
const READS: usize = 1024;

/// Answers and changes that wait to be written.
const WRITES: usize = 1024;

/// Bytes of answers that wait to be written, unless it is a single one.
const WRITE_BYTES: u64 = 64 << 20;

/// Keys that may be given up while the folder is read; with more of them all of it is given up.
const GIVEN_UP: usize = 1 << 16;

/// How long nothing is written behind a write that failed, or read behind a read that took too long,
/// in seconds.
const PAUSE: u64 = 30;

/// The least time between two words to the log, in seconds.
const SILENCE: u64 = 10;

/// Files that answers are read from, piece by piece, at a time; of the process's descriptors one in
/// so many.
const STREAMS_MOST: usize = 1024;
const STREAMS_PART: usize = 8;

/// A folder that this process has for itself, or will have.
#[derive(Debug)]
pub struct DiskFolder {
    folder: Folder,
    config: CacheDiskConfig,
    taken: bool,
}

impl DiskFolder {
    /// Takes it, or makes it. Blocks.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(config: &CacheDiskConfig) -> Result<Self, FolderError> {
        let folder = Folder::open(&config.folder)?;
        let taken = folder.take()?;
        Ok(Self { folder, config: config.clone(), taken })
    }

    /// Whether it is ours; else another process has it until it ends.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.taken
    }
}

/// What an answer is called on disk, whatever the file of the configuration looks like.
#[derive(Debug)]
pub(super) struct Name {
    digest: Digest,
    key: Vec<u8>,
}

impl Name {
    /// `zone` stands for what the key does not say.
    pub(super) fn new(zone: &Digest, key: &[u8]) -> Self {
        let key = [zone, key].concat();
        Self { digest: digest_of(&key), key }
    }

    pub(super) fn variant(&self, label: &Label) -> Variant {
        (self.digest, label.vary.clone(), label.selected.clone())
    }
}

/// The first half of a SHA-256.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    let whole = digest::digest(&digest::SHA256, bytes);
    let mut half = Digest::default();
    half.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
    half
}

/// What the threads count.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) writes: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) busy: AtomicU64,
}

/// The tier.
#[derive(Debug)]
pub(super) struct Disk {
    folder: Folder,
    index: Index,
    seen: Seen,
    config: CacheDiskConfig,
    pub(super) tally: Tally,
    reads: Sender<Read>,
    writes: Sender<Write>,
    /// The other ends, for the threads.
    ends: (Receiver<Read>, Receiver<Write>, Receiver<u64>),
    /// Keys given up before the folder is read: what is found of them is not taken.
    given_up: (Sender<Digest>, Receiver<Digest>),
    /// There were too many of these.
    gave_all_up: AtomicBool,
    /// The folder is ours; nothing is read before.
    ours: AtomicBool,
    /// The folder is read; nothing is written before.
    open: AtomicBool,
    /// Has no sender any more once it is. For those who may wait.
    scanned: Receiver<()>,
    scanning: arc_swap::ArcSwapOption<Sender<()>>,
    /// The next name of a file.
    next: AtomicU64,
    /// Bytes that wait to be written.
    queued: AtomicU64,
    /// Until when nothing is written.
    paused: AtomicU64,
    /// Until when nothing is read, but for what is being sent.
    rests: AtomicU64,
    /// When the log was told of something.
    said: AtomicU64,
    streams: Arc<AtomicUsize>,
    streams_most: usize,
}

impl Disk {
    pub(super) fn new(DiskFolder { folder, config, taken }: DiskFolder) -> Arc<Self> {
        let (reads, reads_end) = bounded(READS);
        let (writes, writes_end) = bounded(WRITES);
        let (trash, trash_end) = unbounded();
        let (scanning, scanned) = bounded(0);
        // Names are not to meet those of an earlier process: by chance they never do.
        let seed = clock::unix().as_nanos() as u64;
        let first = rng::mix(seed ^ rng::mix(u64::from(std::process::id())));
        let streams_most = (crate::net::descriptors() / STREAMS_PART).clamp(1, STREAMS_MOST);
        Arc::new(Self {
            index: Index::new(config.size, config.files, config.max_object, trash),
            seen: Seen::new(config.files),
            folder,
            config,
            tally: Tally::default(),
            reads,
            writes,
            ends: (reads_end, writes_end, trash_end),
            given_up: bounded(GIVEN_UP),
            gave_all_up: AtomicBool::new(false),
            ours: AtomicBool::new(taken),
            open: AtomicBool::new(false),
            scanned,
            scanning: arc_swap::ArcSwapOption::from_pointee(scanning),
            next: AtomicU64::new(first),
            queued: AtomicU64::new(0),
            paused: AtomicU64::new(0),
            rests: AtomicU64::new(0),
            said: AtomicU64::new(0),
            streams: Arc::default(),
            streams_most,
        })
    }

    /// Starts the threads; answers of these zones are what is looked for in the folder.
    pub(super) fn start(self: &Arc<Self>, zones: Vec<Digest>) -> io::Result<()> {
        threads::start(self, zones)
    }

    /// Bytes and number of files.
    pub(super) fn filled(&self) -> (u64, u64) {
        self.index.filled()
    }

    /// Tells the counters.
    pub(super) fn show(&self, row: &Row) {
        let Tally { writes, errors, damaged, busy } = &self.tally;
        let (bytes, files) = self.index.filled();
        let shown = [
            (Counter::CacheDiskWrites, writes.load(Ordering::Relaxed)),
            (Counter::CacheDiskErrors, errors.load(Ordering::Relaxed)),
            (Counter::CacheDiskDamaged, damaged.load(Ordering::Relaxed)),
            (Counter::CacheDiskBusy, busy.load(Ordering::Relaxed)),
            (Counter::CacheDiskEvicted, self.index.evicted()),
            (Counter::CacheDiskBytes, bytes),
            (Counter::CacheDiskFiles, files),
        ];
        for (counter, count) in shown {
            row.set(counter, count);
        }
    }

    /// Whether the folder was read.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    fn pauses(&self) -> bool {
        clock::unix().as_secs() < self.paused.load(Ordering::Relaxed)
    }

    /// Offers an answer that is in memory now. `new`: it has just come, and what there is of it on
    /// disk is older. What was taken in is still to be given up where memory has lost it meanwhile.
    pub(super) fn offer(
        &self,
        name: Name,
        url: &[u8],
        stored: &Arc<Stored>,
        new: bool,
    ) -> Option<Arc<Entry>> {
        if !self.is_open() {
            if new {
                self.give_up(&name);
            }
            return None;
        }
        let known = self.index.variant(&name.digest, &stored.label);
        match &known {
            Some(known) if !new && known.came_at() >= stored.label.came_at => return None,
            Some(_) => {}
            // Noted in any case: it may leave memory before its second use.
            None => {
                let known = self.seen.mark(&name.digest);
                if new && !known && !self.config.admits_all {
                    return None;
                }
            }
        }
        let entry = self.submit(name, url, stored);
        if let (None, Some(older)) = (&entry, known) {
            self.index.remove(&older);
        }
        entry
    }

    fn submit(&self, name: Name, url: &[u8], stored: &Arc<Stored>) -> Option<Arc<Entry>> {
        let (label, length) = (&stored.label, stored.body.length);
        let names = url.len() + label.vary.len() + label.selected.len() + label.tags.len();
        let page = format::page_length(&name.key, url, label);
        let plan = format::Plan::new(0, page, length, 0)?;
        let fits = length <= self.config.max_object && plan.length() <= self.index.largest();
        if names > NAMES_MOST || !fits || self.pauses() {
            return None;
        }
        let before = self.queued.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before.saturating_add(length) > WRITE_BYTES {
            self.queued.fetch_sub(length, Ordering::Relaxed);
            self.tally.busy.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = (plan.length(), length);
        let entry = self.index.entry((id, name.digest), url, label, bytes, None);
        self.index.put(&entry);
        let (key, url) = (name.key.into(), url.into());
        let answer = Write::Answer { entry: Arc::clone(&entry), key, url, stored: stored.clone() };
        if self.writes.try_send(answer).is_err() {
            self.queued.fetch_sub(length, Ordering::Relaxed);
            self.tally.busy.fetch_add(1, Ordering::Relaxed);
            self.index.remove(&entry);
            return None;
        }
        Some(entry)
    }

    /// A member says that what is in the file of `stale` is still good, as `label`. False: it is not
    /// there.
    pub(super) fn freshen(&self, name: &Name, stale: &Label, label: &Arc<Label>) -> bool {
        let known = self.index.variant(&name.digest, stale);
        let Some(entry) = known.filter(|known| known.came_at() == stale.came_at) else {
            return false;
        };
        entry.freshen(label);
        let renew = Write::Renew { entry: Arc::clone(&entry), label: Some(Arc::clone(label)) };
        if self.writes.try_send(renew).is_err() {
            self.tally.busy.fetch_add(1, Ordering::Relaxed);
            self.index.remove(&entry);
        }
        true
    }

    /// A variant is not to be used any more.
    pub(super) fn forget(&self, name: &Name, label: &Label) {
        if !self.is_open() {
            self.give_up(name);
        }
        if let Some(entry) = self.index.variant(&name.digest, label) {
            self.index.remove(&entry);
        }
    }

    /// Nobody is to get what there is of a key; whether there is anything.
    pub(super) fn give_up(&self, name: &Name) -> bool {
        // In this order: who reads the folder takes in first, then looks who was given up.
        if !self.is_open() && self.given_up.0.try_send(name.digest).is_err() {
            self.gave_all_up.store(true, Ordering::SeqCst);
        }
        self.index.remove_all(&name.digest)
    }

    /// Throws away, or (`soft`) makes stale; which answers. Blocks until the folder was read. Where it
    /// is not ours yet, nothing of what is there will be taken in.
    pub(super) fn purge(&self, selector: &Selector, soft: bool, now: u64) -> HashSet<Variant> {
        if !self.ours.load(Ordering::SeqCst) {
            self.gave_all_up.store(true, Ordering::SeqCst);
            if !self.ours.load(Ordering::SeqCst) {
                return HashSet::new();
            }
        }
        // Nothing is ever sent.
        _ = self.scanned.recv();
        let meant = self.index.meant(selector);
        for entry in &meant {
            if soft && entry.stale_since() >= now.max(1) {
                continue;
            }
            if soft {
                self.index.soften(entry, now);
                // It may wait: nobody's request does.
                _ = self.writes.send(Write::Renew { entry: Arc::clone(entry), label: None });
            } else {
                self.index.remove(entry);
            }
        }
        meant.iter().map(|entry| entry.variant()).collect()
    }

    /// Waits until all files that were given up are gone. Blocks.
    pub(super) fn settle(&self) {
        let (done, told) = bounded(1);
        if self.writes.send(Write::Settle(done)).is_ok() {
            _ = told.recv();
        }
    }

    /// Something is wrong with a file.
    fn note(&self, entry: &Entry, fault: &Fault) {
        match fault {
            Fault::Gone => self.index.remove(entry),
            Fault::Bad(_) => {
                self.index.remove(entry);
                self.tally.damaged.fetch_add(1, Ordering::Relaxed);
                self.say(|| tracing::warn!("a file of the cache was damaged, and is thrown away"));
            }
            Fault::System(error) => {
                self.tally.errors.fetch_add(1, Ordering::Relaxed);
                self.say(|| tracing::warn!("a file of the cache cannot be read: {error}"));
            }
        }
    }

    /// A file could not be written: nothing else is for a while.
    fn note_write(&self, error: &io::Error) {
        self.tally.errors.fetch_add(1, Ordering::Relaxed);
        self.paused.store(clock::unix().as_secs() + PAUSE, Ordering::Relaxed);
        let folder = self.config.folder.display();
        self.say(|| {
            tracing::warn!(%folder, "the cache writes nothing for {PAUSE} s, as it could not: {error}");
        });
    }

    /// A read takes too long: requests do without for a while.
    fn note_slow(&self) {
        self.tally.errors.fetch_add(1, Ordering::Relaxed);
        self.rests.store(clock::unix().as_secs() + PAUSE, Ordering::Relaxed);
        let folder = self.config.folder.display();
        self.say(|| {
            tracing::warn!(%folder, "the cache reads nothing for {PAUSE} s, as the disk does not answer");
        });
    }

    fn say(&self, word: impl FnOnce()) {
        let now = clock::unix().as_secs();
        let last = self.said.load(Ordering::Relaxed);
        let due = last == 0 || now >= last + SILENCE;
        let relaxed = Ordering::Relaxed;
        if due && self.said.compare_exchange(last, now, relaxed, relaxed).is_ok() {
            word();
        }
    }
}

/// What holds for every file, for the fuzz target `cache_file`.
#[doc(hidden)]
pub fn fuzz_cache_file(data: &[u8]) {
    format::fuzz(data);
}
