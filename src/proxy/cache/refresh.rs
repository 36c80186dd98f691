//! Fetches in the background, for answers that served while they were stale.

use super::super::context::Context;
use super::super::deliver;
use super::super::exchange::{Ask, Facts};
use super::super::forwarded::Peer;
use super::super::path_edit::Edited;
use super::Part;
use super::fetch::Fetch;
use super::hand::Joined;
use super::look::Plan;
use crate::http::{Framing, RequestHead, ResponseHead};
use crate::ids::{ListenerId, PoolId, RouteId};
use crate::net::{Buffer, nobody, spawn};
use crate::stats::Counter;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Who asked first: what members are told of the client is what they were told for it.
struct Asker {
    head: RequestHead,
    peer: Peer,
    pool: PoolId,
    client: IpAddr,
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
    // Who is known by name asks for itself: members may answer everybody else otherwise.
    if ask.is_of_somebody() {
        return;
    }
    let Joined::Lead(flight) = hand.join(&plan.flight_key, &plan.key, plan.number) else {
        return;
    };
    let (head, peer, pool) = (ask.head.clone(), ask.peer.clone(), ask.pool);
    let asker = Asker { head, peer, pool, client: facts.client.get(), listener, route };
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
    facts.pool.set(Some(asker.pool));
    facts.client.set(asker.client);
    facts.whole.set(Some(0));
    facts.replayable.set(true);
    let mut edited = Edited::default();
    let edit = context.path_edit(asker.route);
    if edit.is_some_and(|edit| edited.make(edit, &asker.head).is_err()) {
        return;
    }
    let ask = Ask {
        context,
        listener,
        route,
        pool: asker.pool,
        head: &asker.head,
        edited: edit.map(|_| &edited),
        framing: Framing::None,
        idempotent: true,
        upgrades: false,
        measures: context.pools.measures(asker.pool),
        peer: &asker.peer,
        stream: &stream,
        grant: None,
        cache: Some(part),
    };
    let (mut received, mut response) = (Buffer::default(), ResponseHead::new());
    if let Err(reason) = deliver::deliver(&ask, &mut received, &mut response, &facts).await {
        // Whoever waits is told when the fetch is dropped.
        context.row.error(reason);
    }
}
