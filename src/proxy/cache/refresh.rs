//! Fetches in the background, for answers that served while they were stale.

use super::super::context::Context;
use super::super::deliver;
use super::super::exchange::{Ask, Facts};
use super::super::forwarded::Peer;
use super::Part;
use super::fetch::Fetch;
use super::hand::Joined;
use super::look::Plan;
use crate::http::{Framing, RequestHead, ResponseHead};
use crate::ids::{ListenerId, RouteId};
use crate::net::{Buffer, nobody, spawn};
use crate::stats::Counter;
use std::rc::Rc;
use std::sync::Arc;

/// Who asked first: what members are told of the client is what they were told for it.
struct Asker {
    head: RequestHead,
    peer: Peer,
    identity: Option<Box<[u8]>>,
    listener: ListenerId,
    route: RouteId,
}

/// Fetches the answer anew, unless somebody does already.
pub(in super::super) fn refresh(
    ask: &Ask<'_>,
    listener: ListenerId,
    facts: &Facts,
    plan: Box<Plan>,
) {
    let (Some(context), Some(hand), Some(route)) =
        (ask.context.itself(), ask.context.cache(), facts.route.get())
    else {
        return;
    };
    let Joined::Lead(flight) = hand.join(&plan.flight_key, plan.resource.as_deref()) else {
        return;
    };
    let identity = ask.identity.map(Box::from);
    let asker = Asker { head: ask.head.clone(), peer: ask.peer.clone(), identity, listener, route };
    ask.context.row.add(Counter::CacheRefreshes, 1);
    let row = Arc::clone(&ask.context.row);
    let task = async move {
        let Some(hand) = context.cache() else { return };
        let Some(cache) = context.config.route(route).and_then(|route| route.cache.as_deref())
        else {
            return;
        };
        let part = Part::Fetch(Fetch::new(hand, cache, *plan, Some(flight), true));
        Box::pin(ask_again(&context, &asker, &part)).await;
    };
    spawn(task, move || row.add(Counter::Panics, 1));
}

async fn ask_again(context: &Rc<Context>, asker: &Asker, part: &Part<'_>) {
    // In place of the client's: nobody reads it, and nobody ends it.
    let Ok((stream, _other)) = nobody() else { return };
    let (Some(listener), Some(route)) =
        (context.listener(asker.listener), context.config.route(asker.route))
    else {
        return;
    };
    let facts = Facts::new(&asker.peer);
    facts.route.set(Some(asker.route));
    facts.whole.set(Some(0));
    facts.replayable.set(true);
    let ask = Ask {
        context,
        listener,
        route,
        head: &asker.head,
        framing: Framing::None,
        idempotent: true,
        upgrade: None,
        measures: context.pools.measures(route.pool),
        peer: &asker.peer,
        stream: &stream,
        identity: asker.identity.as_deref(),
        cache: Some(part),
    };
    let (mut received, mut response) = (Buffer::default(), ResponseHead::new());
    if let Err(reason) = deliver::deliver(&ask, &mut received, &mut response, &facts).await {
        // Whoever waits is told when the fetch is dropped.
        context.row.error(reason);
    }
}
