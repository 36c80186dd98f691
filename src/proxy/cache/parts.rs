//! Parts of answers (206): kept under a key beside that of the whole, joined where they meet, and given
//! to requests for a range that lies within one of them (RFC 9111 3.3 and 3.4).
//!
//! Only what has a strong `ETag` is kept: nothing else tells that two parts are of one whole.

use std::sync::Arc;

use super::key::Place;
use super::look::{Asks, Look, missed, plan};
use super::send::{Getter, ready_part};
use super::store::{Resource, Store};
use super::stored::{Body, Label, Stored};
use super::trace::{Trace, Verdict};
use crate::http::caching::{CacheField, CacheRequest, Extent, Fitness, Wanted, values, wanted};
use crate::http::{HeadLimits, Method, ResponseHead, encode};
use crate::stats::Reason;

use super::super::exchange::Ask;

/// What the key of parts has behind that of the whole. No other key ends so, see `key.rs`.
pub(super) const MARK: &[u8] = b"\npart";

/// Parts of one key, of all variants.
const PARTS_MOST: usize = 32;

/// Whether a request asks for one part, and for nothing else.
pub(super) fn is_part(ask: &Ask<'_>, request: &CacheRequest<'_>) -> bool {
    let one = |range| matches!(wanted(range, u64::MAX), Wanted::Part(..));
    ask.head.method() == Method::Get
        && request.range.is_some_and(one)
        && request.if_none_match.is_none()
        && request.if_modified_since.is_none()
}

/// Looks for a part that has what is asked for. The key of the whole is in `scratch`, and `whole` is
/// what is stored for it.
pub(super) fn look(
    getter: &Getter<'_>,
    place: &Place<'_>,
    whole: Option<Arc<Resource>>,
    response: &mut ResponseHead,
) -> Result<Look, Reason> {
    if let Some((stored, extent, from, to)) = find(getter, response) {
        let trace = Trace::served(Verdict::Hit, stored.label.ttl(getter.now));
        let answer = ready_part(getter, &stored, extent, (from, to), response, trace);
        return Ok(Look::Hit(answer));
    }
    if getter.request.control.only_if_cached {
        return Err(Reason::OnlyIfCached);
    }
    let forward = missed(whole.as_deref());
    let mut plan = plan(getter.ask, getter.hand, place, whole.as_deref(), forward);
    (plan.alone, plan.asks) = (true, Asks::Part);
    Ok(Look::Miss(plan))
}

fn find(
    getter: &Getter<'_>,
    scratch_head: &mut ResponseHead,
) -> Option<(Arc<Stored>, Extent, u64, u64)> {
    let Getter { ask, request, hand, now, .. } = *getter;
    let mut scratch = hand.scratch.borrow_mut();
    let scratch = &mut *scratch;
    let length = scratch.key.len();
    scratch.key.extend_from_slice(MARK);
    let resource = hand.shared.store.get(&scratch.key);
    scratch.key.truncate(length);
    let (resource, range) = (resource?, request.range?);
    resource.variants.iter().find_map(|stored| {
        let fitness = stored.fitness(&request, now);
        let fits = matches!(fitness, Fitness::Fresh | Fitness::Stale)
            && stored.label.fits(ask.head, &mut scratch.text)
            && stored.label.validators().allow_range(&request, now);
        let extent = extent_of(&stored.label, scratch_head).filter(|_| fits)?;
        match wanted(range, extent.total) {
            Wanted::Part(from, to) if extent.covers(from, to) => {
                Some((Arc::clone(stored), extent, from, to))
            }
            _ => None,
        }
    })
}

/// Which part an answer with this head has; `None`: it does not say so, or nothing tells of which
/// whole it is a part.
pub(super) fn extent(head: &ResponseHead) -> Option<Extent> {
    let mut ranges = values(head, CacheField::ContentRange);
    let extent = Extent::of(ranges.next()?);
    let mut tags = values(head, CacheField::Etag);
    let strong = tags.next().is_some_and(|tag| tag.starts_with(b"\""));
    extent.filter(|_| strong && ranges.next().is_none() && tags.next().is_none())
}

fn extent_of(label: &Label, head: &mut ResponseHead) -> Option<Extent> {
    let limits = HeadLimits { bytes: label.head.len() + 1, fields: 4096 };
    head.clear();
    // It was written by us.
    _ = head.parse(&label.head, &limits);
    extent(head).filter(|_| label.status == 206)
}

/// Keeps a part, joined with those that it meets; what is whole by that goes to its own key. False: it
/// is too old. `most`: bytes of the largest body that is kept; `keep_whole` keeps a whole one.
pub(super) fn keep(
    store: &Store,
    (key, url): (&[u8], &[u8]),
    stored: &Arc<Stored>,
    number: u64,
    most: u64,
    keep_whole: impl FnOnce(&Arc<Stored>) -> bool,
) -> bool {
    let own = [key, MARK].concat();
    let mut head = ResponseHead::new();
    let Some(mut extent) = extent_of(&stored.label, &mut head) else { return false };
    let mut stored = Arc::clone(stored);
    // Joined before the store is locked. A part that comes meanwhile stays apart.
    for other in store.get(&own).iter().flat_map(|resource| &resource.variants) {
        if let Some(there) = extent_of(&other.label, &mut head).filter(|_| is_same(other, &stored))
            && let Some(union) = extent.joined(&there)
            && union.length() <= most
        {
            stored = Arc::new(joined(&stored, extent, other, there, union));
            extent = union;
        }
    }
    if extent.is_whole() {
        let label = Arc::new(label(&stored.label, extent));
        return keep_whole(&Arc::new(Stored::new(label, Arc::clone(&stored.body))));
    }
    let room = store.object_most();
    store.change(&own, |resource| {
        store.is_current(&own, number).then(|| with(resource, &stored, extent, url, room))
    })
}

/// Whether two parts are of the same whole.
fn is_same(one: &Stored, other: &Stored) -> bool {
    is_variant(one, other) && one.label.validators().etag == other.label.validators().etag
}

fn is_variant(one: &Stored, other: &Stored) -> bool {
    (&one.label.vary, &one.label.selected) == (&other.label.vary, &other.label.selected)
}

/// Both parts as one, with the head of the new one.
fn joined(new: &Stored, at: Extent, old: &Stored, there: Extent, union: Extent) -> Stored {
    let mut pieces = Vec::new();
    if there.first < at.first {
        shared(&old.body, 0, at.first - there.first, &mut pieces);
    }
    pieces.extend(new.body.chunks.iter().cloned());
    if there.end > at.end {
        shared(&old.body, at.end - there.first, there.length(), &mut pieces);
    }
    Stored::new(Arc::new(label(&new.label, union)), Arc::new(Body::of(pieces)))
}

/// That of a part, for another part, or for the whole.
fn label(part: &Label, extent: Extent) -> Label {
    part.with_head(if extent.is_whole() { 200 } else { 206 }, |own, out| {
        let passes = |name| CacheField::of(name) != Some(CacheField::ContentRange);
        for field in own.fields().filter(|field| passes(field.name_bytes)) {
            encode::field_as_sent(out, &field);
        }
        if !extent.is_whole() {
            extent.write(out);
        }
    })
}

/// Appends the bytes of a body from `start` to `end`; pieces that are wanted whole are not copied.
fn shared(body: &Body, start: u64, end: u64, out: &mut Vec<Arc<[u8]>>) {
    let mut at = 0;
    for chunk in &body.chunks {
        let (first, last) = (at, at + chunk.len() as u64);
        at = last;
        if start <= first && last <= end {
            out.push(Arc::clone(chunk));
        } else {
            out.extend(body.slices(start.max(first), end.min(last)).map(Arc::from));
        }
    }
}

/// A resource with one part more: the youngest first, without what it makes useless.
fn with(
    resource: &Resource,
    stored: &Arc<Stored>,
    extent: Extent,
    url: &[u8],
    room: u64,
) -> Resource {
    let mut head = ResponseHead::new();
    let mut useful = |other: &Arc<Stored>| {
        let there = extent_of(&other.label, &mut head);
        let covered = there.is_some_and(|there| extent.covers(there.first, there.end));
        !is_variant(other, stored) || (is_same(other, stored) && !covered)
    };
    let mut left = room.saturating_sub(stored.weight());
    let mut fits = |other: &Arc<Stored>| {
        let weight = other.weight();
        let fits = weight <= left;
        left = left.saturating_sub(weight);
        fits
    };
    let others = resource.variants.iter().filter(|other| useful(other) && fits(other));
    let variants = [stored].into_iter().chain(others).take(PARTS_MOST).cloned().collect();
    let vary = stored.label.vary.clone();
    // Parts have no encoded forms.
    Resource { url: url.into(), variants, vary, pass_until: 0, encodings: 0 }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
