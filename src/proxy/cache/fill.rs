//! The answer to a fetch: what it is for the store, and its way there. From its head on it belongs to
//! nobody: its body is filled in by a task of its own, at the member's pace, and whoever asked for it
//! reads it from there.

use std::sync::{Arc, OnceLock};

use super::super::answer::Buffers;
use super::super::exchange::{Ask, Ending, Facts};
use super::ask::send_kept;
use super::fetch::{Fetch, begin};
use super::filling::Filling;
use super::flight::{Begun, Landing};
use super::growing::Chain;
use super::hand::CacheHand;
use super::look::Asks;
use super::parts;
use super::send::{Getter, Growing, ready, send, send_growing};
use super::stored::{Label, Stored};
use super::trace::{Trace, Verdict};
use crate::balancer::{Connection, Lease, Outcome};
use crate::clock;
use crate::http::caching::{CacheAnswer, Lifetime, Unstorable, judge};
use crate::http::{Framing, HeadLimits, Method, ResponseHead, response_framing};
use crate::net::{Buffer, spawn};
use crate::stats::{Counter, Reason};

/// What the head of an answer is for the store.
#[derive(Debug)]
pub(in super::super) enum Decision {
    /// It is stored.
    Store { label: Arc<Label>, length: Option<u64> },
    /// 304: what is stored is still good.
    Update,
    /// The pool has nothing better than what is stored.
    UseStale,
    /// Nobody wants it.
    Drop,
}

impl Fetch<'_> {
    /// Decides what the answer with this head is; true: the cache takes it from here.
    pub(super) fn takes(&self, ask: &Ask<'_>, head: &ResponseHead, facts: &Facts) -> bool {
        let now = clock::unix().as_secs();
        if self.asks == Asks::Head {
            let decision = self.judge_head(head, now);
            let takes = decision.is_some();
            self.decision.replace(decision);
            return takes;
        }
        let decision = match self.judge(ask, head, now) {
            Ok(decision) => Some(decision),
            Err(why) => {
                self.refuse(head.status(), why, now);
                self.land(Landing::Alone);
                facts.cache.set(Some(self.trace(false)));
                self.background.then_some(Decision::Drop)
            }
        };
        let takes = decision.is_some();
        self.decision.replace(decision);
        takes
    }

    fn judge(&self, ask: &Ask<'_>, head: &ResponseHead, now: u64) -> Result<Decision, Unstorable> {
        let status = head.status();
        if self.stale.is_some() {
            match status {
                304 => return Ok(Decision::Update),
                500 | 502..=504 if self.if_error => return Ok(Decision::UseStale),
                _ => {}
            }
        }
        let extent = match (self.asks, status) {
            (Asks::Part, 206) => Some(parts::extent(head).ok_or(Unstorable::Status)?),
            // What it says is of the part, not of the whole.
            (Asks::Part, 201..) => return Err(Unstorable::Status),
            _ => None,
        };
        let lifetime = self.lifetime(ask, head, now)?;
        let framing = response_framing(head, ask.head.method());
        let length = match framing {
            Ok(Framing::Length(length)) if extent.is_some_and(|it| it.length() != length) => {
                return Err(Unstorable::Useless);
            }
            Ok(Framing::None) => Some(0),
            Ok(Framing::Length(length)) => Some(length),
            Ok(Framing::Chunked | Framing::UntilClose) if extent.is_none() => None,
            Ok(Framing::Chunked | Framing::UntilClose) | Err(_) => return Err(Unstorable::Useless),
        };
        let most = self.most();
        if length.is_some_and(|length| length > most) {
            return Err(Unstorable::TooLarge);
        }
        let label =
            Label::new(head, ask.head, lifetime, now).ok_or(Unstorable::VariesByAnything)?;
        if !self.hand.shared.take_room(length.unwrap_or(0)) {
            return Err(Unstorable::TooLarge);
        }
        Ok(Decision::Store { label: Arc::new(label), length })
    }

    /// What a `HEAD` tells of what is stored (RFC 9111 4.3.5). `None`: its answer is for its client.
    fn judge_head(&self, head: &ResponseHead, now: u64) -> Option<Decision> {
        let stale = self.stale.as_ref()?;
        match head.status() {
            304 => Some(Decision::Update),
            500 | 502..=504 if self.if_error => Some(Decision::UseStale),
            200 if stale.label.status == 200 => {
                let length = match response_framing(head, Method::Get) {
                    Ok(Framing::Length(length)) => Some(length),
                    _ => None,
                };
                let says = CacheAnswer::of(head, now);
                let same = stale.label.validators().agree_with(&says)
                    && length.is_none_or(|length| length == stale.body.length);
                if !same {
                    stale.soften(now);
                }
                same.then_some(Decision::Update)
            }
            _ => None,
        }
    }

    fn lifetime(
        &self,
        ask: &Ask<'_>,
        head: &ResponseHead,
        now: u64,
    ) -> Result<Lifetime, Unstorable> {
        let mut request = ask.cache_request();
        if self.cache.ignore_client_directives {
            request.ignore_directives();
        }
        let mut answer = CacheAnswer::of(head, now);
        if (self.asks, answer.status) == (Asks::Part, 206) {
            // It is stored where the whole would be.
            answer.status = 200;
        }
        judge(&answer, &request, &self.cache.policy(), self.asked_at.get(), now)
    }

    pub(super) fn most(&self) -> u64 {
        (self.cache.max_object as u64).min(self.hand.shared.store.object_most())
    }

    /// The answer is not stored: what is stored is no answer any more either, and nobody need wait
    /// for the next one.
    fn refuse(&self, status: u16, why: Unstorable, now: u64) {
        let store = &self.hand.shared.store;
        if let Some(stale) = self.stale.as_ref().filter(|_| status < 500) {
            self.hand.shared.forget(&self.key, stale);
        }
        // A status that is not stored may well be another one next time, and a part smaller.
        if why != Unstorable::Status && self.asks != Asks::Part {
            store.pass(&self.key, now);
        }
    }
}

/// What an answer comes with.
#[derive(Debug)]
pub(in super::super) struct Taken {
    pub(in super::super) lease: Lease,
    pub(in super::super) connection: Connection,
    pub(in super::super) buffers: Buffers,
}

impl Taken {
    /// Gives the member free; its connection if nothing follows on it.
    fn release(self, method: Method, head: &ResponseHead, outcome: Outcome) {
        self.connection.stream.work_for(None);
        let framing_ends = method == Method::Head || matches!(head.status(), 204 | 304);
        if framing_ends && head.wants_keep_alive() && self.buffers.input.is_empty() {
            self.lease.keep(self.connection);
        }
        self.lease.finish(outcome);
    }
}

/// Takes the answer whose head is in `response`, and answers the client.
pub(in super::super) async fn take(
    ask: &Ask<'_>,
    fetch: &Fetch<'_>,
    taken: Taken,
    received: &mut Buffer,
    response: &ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let first_byte = facts.first_byte();
    let outcome = Outcome::Answered { status: response.status(), first_byte };
    let decision = fetch.decision.take();
    match (decision, &fetch.stale) {
        (Some(Decision::Store { label, length }), _) => {
            let Some(context) = ask.context.itself() else { return Err(Reason::Internal) };
            let (chain, grower) = Chain::new();
            let stored = OnceLock::new();
            let begun = Begun { label: Arc::clone(&label), length, chain, stored };
            let filling = Filling::new(ask, fetch, taken, response, outcome, grower, context);
            Box::pin(grow(ask, fetch, filling?, begun, received, response, facts)).await
        }
        (Some(Decision::Update), Some(stale)) => {
            taken.release(ask.head.method(), response, outcome);
            let mut head = ResponseHead::new();
            let (stored, keeps) = update(ask, fetch, stale, response);
            if !fetch.background {
                let getter = Getter::new(ask, fetch.hand, facts);
                // A `HEAD` may have been answered with 200.
                let validated = response.status() == 304;
                let verdict = if validated { Verdict::Revalidated } else { Verdict::Miss };
                let mut trace = Trace::forwarded(verdict, fetch.forward);
                trace = trace.with_ttl(stored.label.ttl(getter.now));
                trace.stored = keeps;
                fetch.land(Landing::Here(Arc::clone(&stored)));
                let (hand, answer) = (fetch.hand, ready(&getter, &stored, &mut head, trace));
                let key = |_: &CacheHand| fetch.key.clone();
                return send_kept(ask, hand, answer, key, received, &mut head, facts).await;
            }
            fetch.land(Landing::Here(stored));
            Ok(Ending::Close)
        }
        (Some(Decision::UseStale), Some(stale)) => {
            taken.release(ask.head.method(), response, outcome);
            let mut head = ResponseHead::new();
            serve_stale(ask, fetch, stale, received, &mut head, facts).await
        }
        _ => {
            taken.release(ask.head.method(), response, outcome);
            fetch.land(Landing::Alone);
            Ok(Ending::Close)
        }
    }
}

/// Answers with what is stored, though it is stale: there is nothing better.
pub(super) async fn serve_stale(
    ask: &Ask<'_>,
    fetch: &Fetch<'_>,
    stale: &Arc<Stored>,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    fetch.land(Landing::Here(Arc::clone(stale)));
    if fetch.background {
        return Ok(Ending::Close);
    }
    let getter = Getter::new(ask, fetch.hand, facts);
    let trace = Trace::forwarded(Verdict::Stale, fetch.forward);
    let trace = trace.with_ttl(stale.label.ttl(getter.now));
    let answer = ready(&getter, stale, response, trace);
    send(ask, answer, received, facts).await
}

/// What is stored with what a 304 says of it, and whether that is kept.
fn update(
    ask: &Ask<'_>,
    fetch: &Fetch<'_>,
    stale: &Arc<Stored>,
    said: &ResponseHead,
) -> (Arc<Stored>, bool) {
    let now = clock::unix().as_secs();
    let text = stale.updated_by(said);
    let mut head = ResponseHead::new();
    let limits = HeadLimits { bytes: text.len() + 1, fields: 4096 };
    let shared = &fetch.hand.shared;
    if head.parse(&text, &limits).is_err() {
        shared.forget(&fetch.key, stale);
        return (Arc::clone(stale), false);
    }
    let judged = fetch.lifetime(ask, &head, now);
    let label = Label::new(&head, ask.head, judged.unwrap_or_default(), now);
    let Some(label) = label else {
        shared.forget(&fetch.key, stale);
        return (Arc::clone(stale), false);
    };
    let fresh = Arc::new(stale.with(Arc::new(label)));
    let keeps =
        judged.is_ok() && shared.renew(&fetch.key, &fetch.url, (stale, &fresh), fetch.number);
    if !keeps {
        shared.forget(&fetch.key, stale);
    }
    (fresh, keeps)
}

/// Fills an answer in, and gives it to the client as it grows.
async fn grow(
    ask: &Ask<'_>,
    fetch: &Fetch<'_>,
    mut filling: Filling,
    begun: Begun,
    received: &mut Buffer,
    response: &ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    // Whoever waits can begin to read; who fetched reads as they do.
    let flight = fetch
        .flight
        .as_ref()
        .map_or_else(|| fetch.hand.flight(fetch.number), |(_, flight)| Arc::clone(flight));
    let trace = fetch.trace(true);
    if fetch.flight.is_none() {
        flight.land(Landing::Begun(begun));
    } else {
        begin(fetch, begun);
    }
    filling.flight = Some((fetch.flight.as_ref().map(|(key, _)| key.clone()), Arc::clone(&flight)));
    let Some(Landing::Begun(begun)) = flight.landing() else { return Err(Reason::Internal) };
    // Before anything of it can be let go.
    let Some(cursor) = begun.chain.read() else { return Err(Reason::Internal) };
    // What is there already needs no task.
    let rest = filling.start();
    if let Some(rest) = rest {
        let row = Arc::clone(&ask.context.row);
        spawn(rest.run(), move || row.add(Counter::Panics, 1));
    }
    if fetch.background {
        return Ok(Ending::Close);
    }
    let growing = Growing { hand: fetch.hand, flight: &flight, begun, own: Some(response) };
    send_growing(ask, &growing, cursor, trace, received, facts).await
}
