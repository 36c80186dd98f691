//! The phase of an exchange in which the cache may answer.

use super::super::exchange::{Ask, Ending, Facts};
use super::encodings::prepare;
use super::fetch::fetch;
use super::hand::CacheHand;
use super::look::{Look, Tier, look};
use super::refresh::refresh;
use super::send::{Getter, Ready, ready as make_ready, send};
use super::store::Key;
use super::tiers::{self, Source};
use crate::http::ResponseHead;
use crate::ids::ListenerId;
use crate::net::Buffer;
use crate::stats::Reason;

/// The cache may answer, or fetch what does; else it is not for the cache.
pub(in super::super) async fn ask(
    ask: &Ask<'_>,
    listener: ListenerId,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Option<Ending>, Reason> {
    let (Some(cache), Some(hand)) = (&ask.route.cache, ask.context.cache()) else {
        return Ok(None);
    };
    let ready = match look(ask, cache, hand, response, facts, Tier::All)? {
        Look::Hit(ready) => ready,
        Look::HitAndRefresh(ready, plan) => {
            refresh(ask, listener, facts, plan);
            ready
        }
        Look::Miss(plan) => {
            // Large, and not for hits: kept out of every connection's memory.
            let fetch = Box::pin(fetch(*ask, cache, hand, plan, received, response, facts));
            return fetch.await.map(Some);
        }
        Look::OnDisk(found) => {
            let from = Source { ask, cache, hand, listener };
            return Box::pin(tiers::answer(from, *found, received, response, facts)).await;
        }
        Look::Past => return Ok(None),
    };
    let key = |hand: &CacheHand| hand.scratch.borrow().key.clone();
    send_kept(ask, hand, ready, key, received, response, facts).await.map(Some)
}

/// Sends an answer of what is stored under the key. Where it would be encoded for this client alone, it
/// is first seen to that the encoded form is kept.
pub(super) async fn send_kept(
    ask: &Ask<'_>,
    hand: &CacheHand,
    mut ready: Ready,
    key: impl FnOnce(&CacheHand) -> Key,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    if let (Some((stored, coding)), Some(trace)) = (ready.unkept(), facts.cache.get()) {
        let key = key(hand);
        // Its encoder, which has not begun, is given back: there may be no other.
        drop(ready);
        // Once for each form: kept out of every connection's memory.
        Box::pin(prepare(ask, hand, key, &stored, coding)).await?;
        ready = make_ready(&Getter::new(ask, hand, facts), &stored, response, trace);
    }
    send(ask, ready, received, facts).await
}
