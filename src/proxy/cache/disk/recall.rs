//! Answers that come back from disk: small ones into memory, with one read for all who ask; large
//! ones piece by piece to each who asks, and into memory once they are asked for again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::super::exchange::Ask;
use super::super::super::serve::Serving;
use super::super::fetch::wait;
use super::super::flight::{Flight, Landing};
use super::super::hand::{CacheHand, Joined};
use super::super::store::Key;
use super::super::stored::{Body, Stored};
use super::format::{BLOCK, Page};
use super::index::Entry;
use super::threads::{Brought, Opened, Wanted};
use super::{Disk, Name};
use crate::clock;
use crate::config::CacheConfig;
use crate::http::RequestHead;
use crate::net::spawn;
use crate::stats::{Counter, Reason};

/// Bodies up to this size are read whole, and come into memory at their first use.
const WHOLE_MOST: u64 = 1 << 20;

/// At so many uses from disk a larger one comes into memory; if it does not, after as many more.
const HOT: u32 = 3;

/// Begins the keys of reads among those of fetches: no zone has this number.
const RECALLS: u16 = u16::MAX;

/// What was found on disk for a request.
#[derive(Debug)]
pub(in super::super) struct OnDisk {
    pub(in super::super) key: Key,
    pub(in super::super) name: Name,
    pub(in super::super) entry: Arc<Entry>,
    /// That of the look which found it, see [`super::super::order::Order::number`].
    pub(in super::super) number: u64,
}

impl Disk {
    /// What there is for a request.
    pub(in super::super) fn find(
        &self,
        name: &Name,
        request: &RequestHead,
        scratch: &mut Vec<u8>,
    ) -> Option<Arc<Entry>> {
        if clock::unix().as_secs() < self.rests.load(Ordering::Relaxed) {
            return None;
        }
        self.index.find(&name.digest, request, scratch)
    }

    /// Takes out what an answer is sent from.
    pub(in super::super) fn remove(&self, entry: &Entry) {
        self.index.remove(entry);
    }

    fn may_stream(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < self.streams_most
    }
}

/// Tells who waits for a read how it ended, whatever the cause.
struct Told<'a>(&'a CacheHand, &'a [u8], &'a Arc<Flight>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.land(self.1, self.2, Landing::Alone);
    }
}

/// Brings an answer back, or finds that it cannot be had.
pub(in super::super) async fn recall(
    ask: &Ask<'_>,
    cache: &CacheConfig,
    hand: &CacheHand,
    found: OnDisk,
) -> Result<Option<Arc<Stored>>, Reason> {
    let mut flight_key = RECALLS.to_be_bytes().to_vec();
    flight_key.extend_from_slice(&found.entry.id.to_be_bytes());
    match hand.join(&flight_key, &found.key, found.number) {
        Joined::Wait(flight) => Ok(match wait(ask, cache, hand, &flight).await? {
            Some(Landing::Here(stored)) => Some(Arc::clone(stored)),
            _ => None,
        }),
        Joined::Lead(flight) => {
            let told = Told(hand, &flight_key, &flight);
            let stored = read(ask, hand, &found).await;
            if let Some(stored) = &stored {
                hand.land(&flight_key, &flight, Landing::Here(Arc::clone(stored)));
            }
            drop(told);
            Ok(stored)
        }
    }
}

async fn read(ask: &Ask<'_>, hand: &CacheHand, found: &OnDisk) -> Option<Arc<Stored>> {
    let (disk, desk) = hand.disk()?;
    let OnDisk { key, name, entry, number } = found;
    let shared = &hand.shared;
    let (length, uses) = (entry.length, entry.used());
    let small = length <= WHOLE_MOST && length <= shared.store.object_most();
    let whole = small && shared.take_room(length);
    if !whole && !disk.may_stream() {
        disk.tally.busy.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    let wanted = Wanted::Answer { entry: Arc::clone(entry), key: name.key.clone(), whole };
    let brought = desk.answer(disk, wanted).await;
    if whole {
        shared.give_room(length);
    }
    match brought? {
        Brought::Whole(page, pieces) => {
            let (url, stored) = restore(entry, *page, Body::of(pieces));
            // It may be given up since.
            shared.store.put(key, &url, &stored, *number);
            Some(stored)
        }
        Brought::Opened(page, opened) => {
            let body = Body::on_disk(length, opened);
            let (url, stored) = restore(entry, *page, body);
            if uses.is_multiple_of(HOT) && length <= shared.store.object_most() {
                bring_up(ask, found, &url, &stored);
            }
            Some(stored)
        }
        Brought::Block(_) => None,
    }
}

fn restore(entry: &Entry, page: Page, body: Body) -> (Box<[u8]>, Arc<Stored>) {
    let Page { url, stale_since, label, .. } = page;
    let stored = Stored::new(Arc::new(label), Arc::new(body));
    // What the file says may be on its way only.
    let stale_since = stale_since.max(entry.stale_since());
    if stale_since > 0 {
        stored.soften(stale_since);
    }
    (url, Arc::new(stored))
}

/// Brings a large answer into memory, in the background.
fn bring_up(ask: &Ask<'_>, found: &OnDisk, url: &[u8], stored: &Arc<Stored>) {
    let (Some(context), Some(hand)) = (ask.context.itself(), ask.context.cache()) else { return };
    let (key, number, url) = (found.key.clone(), found.number, Box::from(url));
    let (length, stored) = (stored.body.length, Arc::clone(stored));
    if !hand.shared.take_room(length) {
        return;
    }
    let row = Arc::clone(&ask.context.row);
    let task = async move {
        let Some(hand) = context.cache() else { return };
        if let Some(body) = load(hand, &stored).await {
            let whole = Stored::new(Arc::clone(&stored.label), Arc::new(body));
            if stored.stale_since() > 0 {
                whole.soften(stored.stale_since());
            }
            let url: Box<[u8]> = url;
            hand.shared.store.put(&key, &url, &Arc::new(whole), number);
        }
        hand.shared.give_room(length);
    };
    spawn(task, move || row.add(Counter::Panics, 1));
}

async fn load(hand: &CacheHand, stored: &Stored) -> Option<Body> {
    let ((disk, desk), opened) = (hand.disk()?, stored.body.opened()?);
    let mut pieces = Vec::new();
    for number in 0..stored.body.length.div_ceil(BLOCK as u64) {
        pieces.push(desk.block(disk, opened, number).await?.into());
    }
    Some(Body::of(pieces))
}

/// Sends a part of a body, piece by piece.
pub(in super::super) async fn pump(
    hand: &CacheHand,
    opened: &Arc<Opened>,
    (from, to): (u64, u64),
    serving: &mut Serving<'_>,
) -> Result<(), Reason> {
    let (disk, desk) = hand.disk().ok_or(Reason::Internal)?;
    let block = BLOCK as u64;
    for number in from / block..to.div_ceil(block) {
        let piece = desk.block(disk, opened, number).await.ok_or(Reason::CacheDisk)?;
        let start = number * block;
        let offset = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        let (first, end) = (offset(from), offset(to).min(piece.len()));
        serving.push(piece.get(first..end).unwrap_or_default()).await?;
    }
    Ok(())
}
