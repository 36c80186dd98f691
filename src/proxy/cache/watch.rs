//! Requests that change something, and what is stored of what they change (RFC 9111 4.4).

use super::super::exchange::Ask;
use super::hand::CacheHand;
use super::key::{Place, relative};
use super::parts;
use crate::http::caching::CacheField;
use crate::http::{Name, ResponseHead};
use crate::stats::Counter;

/// The answer to a request that may have changed something: what is stored for its URL, and for those
/// that the answer names at the same host, is not used any more.
pub(super) fn watch(ask: &Ask<'_>, hand: &CacheHand, head: &ResponseHead) {
    if !matches!(head.status(), 200..=399) {
        return;
    }
    let Some(place) = Place::of(ask) else { return };
    invalidate(ask, hand, &place);
    for field in head.fields() {
        let named = field.name == Name::Location
            || CacheField::of(field.name_bytes) == Some(CacheField::ContentLocation);
        if named && let Some((path, query)) = relative(field.value, &place) {
            invalidate(ask, hand, &Place { path: &path, query, ..place });
        }
    }
}

fn invalidate(ask: &Ask<'_>, hand: &CacheHand, place: &Place<'_>) {
    let mut scratch = hand.scratch.borrow_mut();
    for (id, zone) in hand.shared.zones() {
        zone.key(id, place, ask.head, &mut scratch.key);
        let whole = hand.shared.invalidate(&scratch.key);
        scratch.key.extend_from_slice(parts::MARK);
        let parts = hand.shared.store.invalidate(&scratch.key, || false);
        if whole || parts {
            ask.context.row.add(Counter::CacheInvalidated, 1);
        }
    }
}
