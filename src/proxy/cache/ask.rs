//! The phase of an exchange in which the cache may answer.

use super::super::exchange::{Ask, Ending, Facts};
use super::fetch::fetch;
use super::look::{Look, Tier, look};
use super::refresh::refresh;
use super::send::send;
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
    send(ask, ready, received, facts).await.map(Some)
}
