//! A request whose answer is not in the store, or has to be validated: it waits for who fetches the
//! same, or fetches itself.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;

use super::super::deliver;
use super::super::exchange::{Ask, Ending, Facts};
use super::Part;
use super::fill::{self, Decision};
use super::flight::{Begun, Flight, Landing};
use super::hand::{CacheHand, Joined};
use super::look::{Asks, Look, Plan, Tier, look};
use super::send::{Getter, Growing, ready, send, send_growing};
use super::store::Key;
use super::stored::Stored;
use super::trace::{Forward, Trace, Verdict};
use crate::clock;
use crate::config::CacheConfig;
use crate::http::ResponseHead;
use crate::net::{Buffer, Either, race, sleep};
use crate::stats::{Counter, Reason, Side};

/// How often a request that waited in vain looks again, before it goes alone.
const ROUNDS: usize = 3;

/// A fetch that the cache wants to see the answer of.
#[derive(Debug)]
pub(in super::super) struct Fetch<'a> {
    pub(super) hand: &'a CacheHand,
    pub(super) cache: &'a CacheConfig,
    pub(super) key: Key,
    pub(super) url: Box<[u8]>,
    /// Who waits for it; `None`: nobody can.
    pub(super) flight: Option<(Key, Arc<Flight>)>,
    /// That of the look which led to it, see [`super::order::Order::number`].
    pub(super) number: u64,
    pub(super) stale: Option<Arc<Stored>>,
    pub(super) if_error: bool,
    pub(super) forward: Forward,
    pub(super) asks: Asks,
    /// There is no client.
    pub(super) background: bool,
    /// When the request was sent, in seconds.
    pub(super) asked_at: Cell<u64>,
    pub(super) decision: RefCell<Option<Decision>>,
    landed: Cell<bool>,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        hand: &'a CacheHand,
        cache: &'a CacheConfig,
        plan: Plan,
        flight: Option<Arc<Flight>>,
        background: bool,
    ) -> Self {
        Self {
            hand,
            cache,
            key: plan.key,
            url: plan.url,
            number: plan.number,
            flight: flight.map(|flight| (plan.flight_key, flight)),
            stale: plan.stale,
            if_error: plan.if_error,
            forward: plan.forward,
            asks: plan.asks,
            background,
            asked_at: Cell::new(clock::unix().as_secs()),
            decision: RefCell::default(),
            landed: Cell::new(false),
        }
    }

    /// Tells who waits what became of it; the first word holds.
    pub(super) fn land(&self, landing: Landing) {
        if !self.landed.replace(true)
            && let Some((key, flight)) = &self.flight
        {
            self.hand.land(key, flight, landing);
        }
    }

    /// What is told of the answer that the client gets.
    pub(super) const fn trace(&self, stored: bool) -> Trace {
        let mut trace = Trace::forwarded(Verdict::Miss, self.forward);
        trace.stored = stored;
        trace
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.land(Landing::Again);
    }
}

/// Brings the answer.
pub(in super::super) async fn fetch(
    mut ask: Ask<'_>,
    cache: &CacheConfig,
    hand: &CacheHand,
    mut plan: Box<Plan>,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    for _ in 0..ROUNDS {
        if plan.alone {
            return lead(ask, cache, hand, *plan, None, received, response, facts).await;
        }
        let flight = match hand.join(&plan.flight_key, &plan.key, plan.number) {
            Joined::Lead(flight) => {
                return lead(ask, cache, hand, *plan, Some(flight), received, response, facts)
                    .await;
            }
            Joined::Wait(flight) => flight,
        };
        ask.context.row.add(Counter::CacheCollapsed, 1);
        match wait(&ask, cache, hand, &flight).await? {
            Some(Landing::Here(stored)) => {
                let trace = Trace::forwarded(Verdict::Revalidated, plan.forward);
                let ended = serve_here(&ask, hand, stored, trace, received, response, facts).await;
                if let Some(ending) = ended {
                    return ending;
                }
            }
            Some(Landing::Begun(begun)) if begun.stored.get().is_some() => {
                let Some(stored) = begun.stored.get() else { return Err(Reason::Internal) };
                let trace = Trace::forwarded(Verdict::Miss, plan.forward);
                let ended = serve_here(&ask, hand, stored, trace, received, response, facts).await;
                if let Some(ending) = ended {
                    return ending;
                }
            }
            Some(Landing::Begun(begun)) => {
                let growing = Growing { hand, flight: &flight, begun, own: None };
                let ended = serve_begun(&ask, &plan, &growing, received, facts).await;
                if let Some(ending) = ended {
                    return ending;
                }
            }
            Some(Landing::Again) => {}
            Some(Landing::Alone) | None => break,
        }
        match look(&ask, cache, hand, response, facts, Tier::Memory)? {
            Look::Hit(ready) | Look::HitAndRefresh(ready, _) => {
                return send(&ask, ready, received, facts).await;
            }
            Look::Miss(next) => plan = next,
            Look::OnDisk(_) | Look::Past => break,
        }
    }
    ask.cache = None;
    facts.cache.set(Some(Trace::forwarded(Verdict::Miss, plan.forward)));
    if plan.if_error && plan.stale.is_some() {
        // It must still be able to stand in.
        (plan.alone, plan.asks) = (true, Asks::AsClient);
        return lead(ask, cache, hand, *plan, None, received, response, facts).await;
    }
    deliver::deliver(&ask, received, response, facts).await
}

/// Waits until it is known what becomes of a flight; `None`: that took too long.
pub(super) async fn wait<'f>(
    ask: &Ask<'_>,
    cache: &CacheConfig,
    hand: &CacheHand,
    flight: &'f Flight,
) -> Result<Option<&'f Landing>, Reason> {
    let landed = pin!(async {
        loop {
            if let Some(landing) = flight.landing() {
                return landing;
            }
            hand.sleepers.sleep(flight, || flight.landing().is_some()).await;
        }
    });
    let over = pin!(async {
        match race(pin!(ask.stream.ended()), pin!(sleep(cache.wait))).await {
            Either::First(()) => Err(Reason::ClientGone),
            Either::Second(()) => Ok(None),
        }
    });
    match race(landed, over).await {
        Either::First(landing) => Ok(Some(landing)),
        Either::Second(over) => over,
    }
}

/// Answers with what a flight brought, if that is an answer to this request, too.
async fn serve_here(
    ask: &Ask<'_>,
    hand: &CacheHand,
    stored: &Arc<Stored>,
    mut trace: Trace,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Option<Result<Ending, Reason>> {
    if !stored.label.fits(ask.head, &mut hand.scratch.borrow_mut().text) {
        return None;
    }
    let getter = Getter::new(ask, hand, facts);
    let ttl = stored.label.ttl(getter.now);
    trace = trace.with_ttl(ttl);
    trace.collapsed = true;
    if ttl < 0 {
        trace.verdict = Verdict::Stale;
    }
    let answer = ready(&getter, stored, response, trace);
    Some(send(ask, answer, received, facts).await)
}

/// The same with what it brings.
async fn serve_begun(
    ask: &Ask<'_>,
    plan: &Plan,
    growing: &Growing<'_>,
    received: &mut Buffer,
    facts: &Facts,
) -> Option<Result<Ending, Reason>> {
    let Growing { hand, begun, .. } = growing;
    if !begun.label.fits(ask.head, &mut hand.scratch.borrow_mut().text) {
        return None;
    }
    let mut trace = Trace::forwarded(Verdict::Miss, plan.forward);
    trace.collapsed = true;
    // Where its beginning is not there any more, it is in the store, or lost.
    let cursor = begun.chain.read()?;
    Some(send_growing(ask, growing, cursor, trace, received, facts).await)
}

/// Fetches; `flight`: others may wait for it.
#[allow(clippy::too_many_arguments)]
pub(super) async fn lead(
    ask: Ask<'_>,
    cache: &CacheConfig,
    hand: &CacheHand,
    plan: Plan,
    flight: Option<Arc<Flight>>,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let part = Part::Fetch(Fetch::new(hand, cache, plan, flight, false));
    let Part::Fetch(fetch) = &part else { return Err(Reason::Internal) };
    let ask = Ask { cache: Some(&part), ..ask };
    facts.cache.set(Some(fetch.trace(false)));
    let delivered = deliver::deliver(&ask, received, response, facts).await;
    let reason = match delivered {
        Err(reason) if !facts.begun.get() => reason,
        other => return other,
    };
    let ours = matches!(reason.side(), Side::Pool | Side::Member | Side::Proxy);
    if let (Some(stale), true, true) = (&fetch.stale, fetch.if_error, ours) {
        // Told nobody but the counters: the client gets an answer.
        ask.context.row.error(reason);
        return fill::serve_stale(&ask, fetch, stale, received, response, facts).await;
    }
    fetch.land(if ours { Landing::Alone } else { Landing::Again });
    Err(reason)
}

/// Begins a fetch in the name of all who wait for it.
pub(super) fn begin(fetch: &Fetch<'_>, begun: Begun) {
    fetch.land(Landing::Begun(begun));
}
