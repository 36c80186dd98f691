//! The cache (RFC 9111): answers of members that are given to later requests. What may be stored and
//! for how long it is good is `http::caching`; here is where it is kept, and how requests get it.
//!
//! A hit is served by [`look`] alone. Everything else fetches, or waits for who does, in `fetch.rs`.

mod ask;
mod disk;
mod encodings;
mod fetch;
mod fill;
mod filling;
mod flight;
mod growing;
mod hand;
mod key;
mod look;
mod order;
mod parts;
mod refresh;
mod send;
mod store;
mod stored;
mod tiers;
mod trace;
mod watch;

use std::rc::Rc;

use super::context::Context;
use super::exchange::{Ask, Facts};
use crate::http::caching::CacheField;
use crate::http::{FieldRef, ResponseHead};

pub use disk::{DiskFolder, DiskSeat, FolderError, fuzz_cache_file};
use look::Asks;

pub use hand::{CacheHand, SharedCache};
pub use store::Selector;
pub use trace::Verdict;

pub(super) use ask::ask;
pub(super) use fetch::Fetch;
pub(super) use fill::{Taken, take};
pub(super) use trace::Trace;

/// What the cache has to do with a request on its way to a member.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// It may change what is stored.
    Watch,
    /// Its answer may be stored.
    Fetch(Fetch<'a>),
}

impl Part<'_> {
    /// Whether a field of the client goes on: not where all of an answer is wanted, or what is
    /// stored is validated.
    pub(super) fn passes(&self, entry: &FieldRef<'_>) -> bool {
        let Self::Fetch(fetch) = self else { return true };
        match fetch.asks {
            Asks::Part => return true,
            Asks::AsClient if fetch.stale.is_none() => return true,
            Asks::AsClient | Asks::Head | Asks::Whole => {}
        }
        let field = CacheField::of(entry.name_bytes);
        field.is_none_or(|field| !field.is_condition() && field != CacheField::Range)
    }

    /// Appends own fields of a request.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self::Fetch(fetch) = self else { return };
        fetch.asked_at.set(crate::clock::unix().as_secs());
        if let Some(stale) = &fetch.stale {
            stale.label.write_conditions(out);
        }
    }

    /// Whether the request is made for its client alone, and not without it.
    pub(super) const fn is_for_client(&self) -> bool {
        matches!(self, Self::Watch)
    }

    /// Looks at the head of the answer; true: the cache takes it from here.
    pub(super) fn takes(&self, ask: &Ask<'_>, head: &ResponseHead, facts: &Facts) -> bool {
        match self {
            Self::Fetch(fetch) => fetch.takes(ask, head, facts),
            Self::Watch => {
                if let Some(hand) = ask.context.cache() {
                    watch::watch(ask, hand, head);
                }
                false
            }
        }
    }
}

/// Brings what was read from disk to those who wait, until the process ends.
pub async fn serve_disk(context: Rc<Context>) {
    if let Some(hand) = context.cache() {
        hand.serve().await;
    }
}

/// Appends what the cache did, where clients are told.
pub(super) fn write_status(out: &mut Vec<u8>, ask: &Ask<'_>, facts: &Facts) {
    if let (Some(cache), Some(trace)) = (&ask.route.cache, facts.cache.get())
        && cache.status_header
    {
        trace.write(out);
    }
}
