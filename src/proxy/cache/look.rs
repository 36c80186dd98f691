//! The look into the store, before a request goes on to a member. Waits for nothing, and allocates
//! nothing where what it finds is fresh.

use super::super::exchange::{Ask, Facts};
use super::super::hash_key::values;
use super::disk::OnDisk;
use super::hand::CacheHand;
use super::key::{self, Place};
use super::parts;
use super::send::{Getter, Ready, ready};
use super::store::{Key, Resource};
use super::stored::Stored;
use super::tiers;
use super::trace::{Forward, Trace, Verdict};
use crate::clock;
use crate::config::{CacheConfig, Mark};
use crate::http::caching::{CacheRequest, Fitness, vary};
use crate::http::{Framing, Method, RequestHead, ResponseHead};
use crate::stats::Reason;
use std::sync::Arc;

/// What the look found.
#[derive(Debug)]
pub(in super::super) enum Look {
    /// The answer.
    Hit(Ready),
    /// The answer, and that another one is to be fetched in the background.
    HitAndRefresh(Ready, Box<Plan>),
    /// Not in memory, but in a file.
    OnDisk(Box<OnDisk>),
    /// Nothing that could answer.
    Miss(Box<Plan>),
    /// The request goes past the cache.
    Past,
}

/// Where to look.
#[derive(Debug)]
pub(super) enum Tier {
    /// In memory, and if it is not there, what there is on disk.
    All,
    /// In memory alone.
    Memory,
    /// It came back from disk: this is what there is, and the number of the look that found it.
    Recalled(Arc<Stored>, u64),
}

/// How the answer is to be had.
#[derive(Debug)]
pub(in super::super) struct Plan {
    pub(super) key: Key,
    /// Who asks for the same waits for the same.
    pub(super) flight_key: Key,
    pub(super) url: Box<[u8]>,
    /// That of the look that made it, see [`super::order::Order::number`].
    pub(super) number: u64,
    /// What is to be validated.
    pub(super) stale: Option<Arc<Stored>>,
    /// It answers where the pool has nothing better.
    pub(super) if_error: bool,
    pub(super) forward: Forward,
    /// Nobody waits for its answer, as it is not stored as a rule, or not for everybody.
    pub(super) alone: bool,
    pub(super) asks: Asks,
}

/// What of an answer a member is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// All of it, whatever the client wants of it.
    Whole,
    /// What the client asks for.
    AsClient,
    /// The head alone, which may tell something of what is stored (RFC 9111 4.3.5).
    Head,
    /// The part that the client asks for.
    Part,
}

/// Looks for the answer.
pub(in super::super) fn look(
    ask: &Ask<'_>,
    cache: &CacheConfig,
    hand: &CacheHand,
    response: &mut ResponseHead,
    facts: &Facts,
    tier: Tier,
) -> Result<Look, Reason> {
    let past = |verdict, forward| {
        facts.cache.set(Some(Trace::forwarded(verdict, forward)));
        Ok(Look::Past)
    };
    let mut request = ask.cache_request();
    if cache.ignore_client_directives {
        request.ignore_directives();
    }
    if let Some(forward) = goes_past(ask, cache, &request) {
        return past(Verdict::Past, forward);
    }
    let Some(place) = Place::of(ask) else { return past(Verdict::Past, Forward::Request) };
    let Some((resource, mut stored)) = find(ask, hand, &place, facts) else {
        return past(Verdict::Past, Forward::Request);
    };
    let now = clock::unix().as_secs();
    let recalled = matches!(tier, Tier::Recalled(..));
    if let Some(found) = tiers::second(ask, hand, tier, &mut stored) {
        return Ok(Look::OnDisk(found));
    }
    let fitness = stored.as_ref().map(|stored| stored.fitness(&request, now));
    if let (Some(stored), Some(fitness)) = (&stored, fitness)
        && !matches!(fitness, Fitness::Validate { .. })
    {
        let getter = Getter { ask, request, hand, facts, now };
        if !recalled {
            hand.note_use(resource.as_deref(), stored, now);
        }
        return Ok(served(&getter, &place, resource, stored, (fitness, recalled), response));
    }
    if stored.is_none() && parts::is_part(ask, &request) {
        let getter = Getter { ask, request, hand, facts, now };
        return parts::look(&getter, &place, resource, response);
    }
    if request.control.only_if_cached {
        return Err(Reason::OnlyIfCached);
    }
    let forward = match &stored {
        Some(stored) => refused(stored, now),
        None => missed(resource.as_deref()),
    };
    let is_head = ask.head.method() == Method::Head;
    // Several parts of what is not stored, and the head alone, are nothing to be stored.
    if (is_head || request.range.is_some()) && stored.is_none() {
        return past(Verdict::Miss, forward);
    }
    let passes = |it: &Arc<Resource>| it.variants.is_empty() && it.pass_until > now;
    let alone = resource.as_ref().is_some_and(passes);
    let mut plan = plan(ask, hand, &place, resource.as_deref(), forward);
    plan.if_error = fitness == Some(Fitness::Validate { if_error: true });
    plan.stale = stored;
    (plan.alone, plan.asks) = match (is_head, alone) {
        (true, _) => (true, Asks::Head),
        (false, true) => (true, Asks::AsClient),
        (false, false) => (false, Asks::Whole),
    };
    Ok(Look::Miss(plan))
}

/// What is stored answers.
fn served(
    getter: &Getter<'_>,
    place: &Place<'_>,
    resource: Option<Arc<Resource>>,
    stored: &Arc<Stored>,
    (fitness, recalled): (Fitness, bool),
    response: &mut ResponseHead,
) -> Look {
    let Getter { ask, hand, now, .. } = *getter;
    let verdict = if fitness == Fitness::Fresh { Verdict::Hit } else { Verdict::Stale };
    let mut trace = Trace::served(verdict, stored.label.ttl(now));
    trace.disk = recalled;
    let answer = ready(getter, stored, response, trace);
    // The next request that wants the body brings it.
    if fitness != Fitness::StaleWhileRevalidate || ask.head.method() == Method::Head {
        return Look::Hit(answer);
    }
    let mut plan = plan(ask, hand, place, resource.as_deref(), Forward::Stale);
    plan.stale = Some(Arc::clone(stored));
    Look::HitAndRefresh(answer, plan)
}

/// Why what is stored does not answer.
fn refused(stored: &Stored, now: u64) -> Forward {
    // Without the client's wishes it would have answered.
    let fresh = stored.fitness(&CacheRequest::default(), now) == Fitness::Fresh;
    if fresh { Forward::Request } else { Forward::Stale }
}

/// Why nothing that is stored answers.
pub(super) fn missed(resource: Option<&Resource>) -> Forward {
    match resource {
        Some(resource) if !resource.variants.is_empty() => Forward::VaryMiss,
        _ => Forward::UriMiss,
    }
}

/// Why a request has nothing to do with the cache, if so.
fn goes_past(ask: &Ask<'_>, cache: &CacheConfig, request: &CacheRequest<'_>) -> Option<Forward> {
    if !matches!(ask.head.method(), Method::Get | Method::Head) {
        return Some(Forward::Method);
    }
    if is_marked(ask.head, &cache.bypass) {
        return Some(Forward::Bypass);
    }
    let bare = ask.framing == Framing::None && ask.upgrade().is_none();
    (!bare || request.guarded || request.control.no_store).then_some(Forward::Request)
}

/// What is stored for the key of a request, and of that what answers it. Leaves the key and the number
/// of the look in `scratch`.
#[allow(clippy::type_complexity)]
fn find(
    ask: &Ask<'_>,
    hand: &CacheHand,
    place: &Place<'_>,
    facts: &Facts,
) -> Option<(Option<Arc<Resource>>, Option<Arc<Stored>>)> {
    let (id, zone) = facts.route.get().and_then(|route| hand.shared.zone(route, ask.pool))?;
    let mut scratch = hand.scratch.borrow_mut();
    let scratch = &mut *scratch;
    zone.key(id, place, ask.head, &mut scratch.key);
    // Before the look: what is given up from now on does not come back.
    scratch.number = hand.shared.store.number();
    let resource = hand.shared.store.get(&scratch.key);
    let found = resource.as_ref();
    let stored = found.and_then(|it| it.find(ask.head, &mut scratch.text)).map(Arc::clone);
    Some((resource, stored))
}

/// The key and the number are those that are in `scratch`.
pub(super) fn plan(
    ask: &Ask<'_>,
    hand: &CacheHand,
    place: &Place<'_>,
    resource: Option<&Resource>,
    forward: Forward,
) -> Box<Plan> {
    let (key, number) = {
        let scratch = hand.scratch.borrow();
        (scratch.key.clone(), scratch.number)
    };
    let mut flight_key = key.clone();
    if let Some(resource) = resource.filter(|resource| !resource.vary.is_empty()) {
        flight_key.push(b'\n');
        vary::select(&resource.vary, ask.head, &mut flight_key);
    }
    let mut url = Vec::new();
    place.url(&mut url);
    Box::new(Plan {
        key,
        flight_key,
        url: url.into(),
        number,
        stale: None,
        if_error: false,
        forward,
        alone: false,
        asks: Asks::Whole,
    })
}

/// Whether a request has one of the marks.
fn is_marked(head: &RequestHead, marks: &[Mark]) -> bool {
    marks.iter().any(|mark| match mark {
        Mark::Header(name) => {
            head.fields().any(|field| field.name_bytes.eq_ignore_ascii_case(name.as_bytes()))
        }
        Mark::Cookie(name) => key::cookie(head, name.as_bytes()).is_some(),
        Mark::Query(name) => head.query().is_some_and(|query| {
            values(query, b'&', name.as_bytes()).next().is_some()
                || query.split(|byte| *byte == b'&').any(|one| one == name.as_bytes())
        }),
    })
}
