//! What a connection and a request must pass before anything is done for them: rules of the listener
//! before the routing, then rules of the route.
//!
//! Must not know pools. A refusal is a reason; who is answered how is for `exchange::fail`.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::context::Context;
use super::exchange::{Client, Facts};
use super::guards::{Access, Decision, Gate, ONE_CLIENT, PerClient, Post, Rate, put_client};
use super::hash_key;
use super::keyed;
use super::rate::{Due, Taken};
use crate::clock;
use crate::config::{AccessConfig, AccessRefusal, Per};
use crate::http::{Name, RequestHead, encode};
use crate::ids::{ListenerId, RouteId};
use crate::net::{Either, Stream, race, sleep};
use crate::stats::{Counter, Reason};

/// A request as the guard sees it.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) context: &'a Context,
    pub(super) client: &'a Client,
    pub(super) head: &'a RequestHead,
    pub(super) facts: &'a Facts,
}

/// How a refusal is told, beyond its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// By the reason's status and words.
    #[default]
    Plain,
    /// By this status, with the seconds after which to come again.
    Later { status: u16, after: u32 },
    /// As if there were nothing there.
    Hidden,
    /// Not at all.
    Silent,
}

/// What the guard notes of an exchange.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// How a refusal is told.
    pub(super) manner: Cell<Manner>,
    /// What a rule that is run dry would have refused it for.
    pub(super) dry_run: Cell<Option<Reason>>,
    /// What is left of its rates, where it is told.
    quota: Cell<Option<Quota>>,
    /// Its place among the requests of its client, where they are counted.
    seat: RefCell<Option<Seat>>,
}

/// What is left of a rate, for those who want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    listener: ListenerId,
    /// Of a rule of the route, not of the listener.
    route: Option<RouteId>,
    /// Which of their rates.
    number: u8,
    left: u32,
    /// Seconds until all of it is there again.
    full: u32,
}

/// A right to have one more request under way, until dropped.
#[derive(Debug)]
pub(super) struct Seat {
    post: Rc<Post>,
    listener: ListenerId,
    seat: keyed::Seat,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(rule) = self.post.door(self.listener).and_then(|gate| gate.requests.as_ref()) {
            rule.seats.leave(self.seat);
        }
    }
}

/// The rules of a listener.
pub(super) async fn listener(visit: Visit<'_>) -> Result<(), Reason> {
    let Some(gate) = visit.context.post.listener(visit.client.listener) else { return Ok(()) };
    if gate.uri.is_some_and(|most| visit.head.target_bytes().len() > most) {
        return Err(Reason::UriTooLong);
    }
    let client = visit.facts.client.get();
    visit.pass(gate, None, client).await?;
    if let Some(rule) = &gate.requests {
        visit.sit_down(rule, client)?;
    }
    Ok(())
}

/// The rules of a route, then whether the client may have what it asks for.
pub(super) async fn route(visit: Visit<'_>, id: RouteId) -> Result<(), Reason> {
    let Some(gate) = visit.context.post.route(id) else { return Ok(()) };
    visit.pass(gate, Some(id), visit.facts.client.get()).await
}

impl Visit<'_> {
    fn noted(&self) -> &Noted {
        self.facts.noted.get_or_init(Box::default)
    }

    async fn pass(
        &self,
        gate: &Gate,
        route: Option<RouteId>,
        client: IpAddr,
    ) -> Result<(), Reason> {
        if let Some(access) = &gate.access
            && !is_let_in(&self.context.post, access, client)
        {
            let manner = match access.config.refusal {
                AccessRefusal::Forbidden => Manner::Plain,
                AccessRefusal::NotFound => Manner::Hidden,
                AccessRefusal::Drop => Manner::Silent,
            };
            self.refuse(Reason::AddressDenied, access.config.dry_run, manner)?;
        }
        let mut wait = Duration::ZERO;
        for (rate, number) in gate.rates.iter().zip(0u8..) {
            let taken = self.take(rate, number, route, client)?;
            wait = wait.max(taken);
        }
        if wait.is_zero() {
            return Ok(());
        }
        self.context.row.add(Counter::RequestsDelayed, 1);
        // Rare, and large: kept out of every connection's memory.
        Box::pin(wait_unless_gone(&self.client.stream, wait)).await
    }

    /// The end of a request that a rule does not let pass, unless it is run dry.
    fn refuse(&self, reason: Reason, dry_run: bool, manner: Manner) -> Result<(), Reason> {
        if dry_run {
            self.context.row.add(Counter::DryRunRefusals, 1);
            self.noted().dry_run.set(Some(reason));
            return Ok(());
        }
        self.noted().manner.set(manner);
        Err(reason)
    }

    /// Takes what a request needs of a rate; how long it has to wait for it.
    fn take(
        &self,
        rate: &Rate,
        number: u8,
        route: Option<RouteId>,
        client: IpAddr,
    ) -> Result<Duration, Reason> {
        let (post, config) = (&self.context.post, &rate.config);
        let Taken { due, shared } = rate.buckets.take(self.key(rate, client), clock::now());
        if shared {
            post.count(rate.rule, Decision::Shared);
        }
        let (left, full) = match due {
            Due::Now { left, full, .. } => (u32::try_from(left).unwrap_or(u32::MAX), full),
            Due::After(after) => (0, after),
        };
        if config.fields && self.noted().quota.get().is_none_or(|quota| left <= quota.left) {
            let (listener, full) = (self.client.listener, seconds(full));
            self.noted().quota.set(Some(Quota { listener, route, number, left, full }));
        }
        match due {
            Due::Now { early, .. } if config.delay && !early.is_zero() && !config.dry_run => {
                post.count(rate.rule, Decision::Delayed);
                Ok(early)
            }
            Due::Now { .. } => {
                post.count(rate.rule, Decision::Passed);
                Ok(Duration::ZERO)
            }
            Due::After(after) => {
                post.count(rate.rule, decision(config.dry_run));
                let manner = Manner::Later { status: config.status, after: seconds(after) };
                self.refuse(Reason::RateLimited, config.dry_run, manner)?;
                Ok(Duration::ZERO)
            }
        }
    }

    /// Whose bucket a request takes from.
    fn key(&self, rate: &Rate, client: IpAddr) -> u64 {
        let named = match &rate.config.per {
            Per::All => return 1,
            Per::Client { four, six } => {
                return rate.buckets.key(|hasher| put_client(hasher, client, (*four, *six)));
            }
            Per::Header(name) => {
                let is_it = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
                let mut fields = self.head.fields();
                fields.find(|field| is_it(field.name_bytes)).map(|field| field.value)
            }
            Per::Cookie(name) => {
                let cookies = self.head.fields().filter(|field| field.name == Name::Cookie);
                let value = |list| hash_key::values(list, b';', name.as_bytes()).next();
                cookies.map(|field| field.value).find_map(value)
            }
        };
        rate.buckets.key(|hasher| match named {
            // No client can have the bucket of another by naming its address.
            Some(value) => {
                hasher.write_u8(1);
                hasher.write(value);
            }
            None => {
                hasher.write_u8(0);
                put_client(hasher, client, ONE_CLIENT);
            }
        })
    }

    /// Counts the request as one of its client's.
    fn sit_down(&self, rule: &PerClient, client: IpAddr) -> Result<(), Reason> {
        let post = &self.context.post;
        match enter(post, rule, client) {
            Some(seat) => {
                let listener = self.client.listener;
                self.noted().seat.replace(Some(Seat { post: Rc::clone(post), listener, seat }));
                Ok(())
            }
            None => {
                let status = Reason::TooManyRequests.status();
                self.refuse(Reason::TooManyRequests, false, Manner::Later { status, after: 1 })
            }
        }
    }
}

const fn decision(dry_run: bool) -> Decision {
    if dry_run { Decision::DryRun } else { Decision::Refused }
}

/// Rounded up, and never none.
fn seconds(span: Duration) -> u32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

fn is_let_in(post: &Post, access: &Access, client: IpAddr) -> bool {
    let allowed = access.allows(client);
    let refused = decision(access.config.dry_run);
    post.count(access.rule, if allowed { Decision::Passed } else { refused });
    allowed
}

fn enter(post: &Post, rule: &PerClient, client: IpAddr) -> Option<keyed::Seat> {
    let key = rule.seats.key(|hasher| put_client(hasher, client, ONE_CLIENT));
    let seat = rule.seats.enter(key).ok();
    post.count(rule.rule, if seat.is_some() { Decision::Passed } else { Decision::Refused });
    if seat.is_some_and(keyed::Seat::is_spare) {
        post.count(rule.rule, Decision::Shared);
    }
    seat
}

async fn wait_unless_gone(stream: &Stream, wait: Duration) -> Result<(), Reason> {
    match race(pin!(sleep(wait)), pin!(stream.ended())).await {
        Either::First(()) => Ok(()),
        Either::Second(()) => Err(Reason::ClientGone),
    }
}

/// Appends what is left of the rate that leaves least, where a rule says that clients are told.
pub(super) fn write_quota(out: &mut Vec<u8>, context: &Context, facts: &Facts) {
    let Some(quota) = facts.noted.get().and_then(|noted| noted.quota.get()) else { return };
    let gate = match quota.route {
        Some(id) => context.post.route(id),
        None => context.post.listener(quota.listener),
    };
    let Some(rate) = gate.and_then(|gate| gate.rates.get(usize::from(quota.number))) else {
        return;
    };
    let name: &[u8] = match &rate.config.per {
        Per::Client { .. } => b"client",
        Per::Header(_) => b"header",
        Per::Cookie(_) => b"cookie",
        Per::All => b"all",
    };
    for (field, first, second) in [
        (&b"RateLimit-Policy"[..], (b"q", rate.config.count), (b"w", rate.config.period.as_secs())),
        (b"RateLimit", (b"r", u64::from(quota.left)), (b"t", u64::from(quota.full))),
    ] {
        out.extend_from_slice(field);
        out.extend_from_slice(b": \"");
        out.extend_from_slice(name);
        out.push(b'"');
        for (key, value) in [first, second] {
            out.push(b';');
            out.extend_from_slice(key);
            out.push(b'=');
            encode::decimal(out, value);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a connection, or a flow of datagrams, may be there at all, as far as its client's address
/// alone says: `relayed`, there is no request to answer.
pub(super) fn admits(
    context: &Context,
    id: ListenerId,
    client: IpAddr,
    relayed: bool,
) -> Result<(), Reason> {
    let Some(access) = context.post.door(id).and_then(|gate| gate.access.as_ref()) else {
        return Ok(());
    };
    let AccessConfig { refusal, dry_run, .. } = access.config;
    if relayed {
        if is_let_in(&context.post, access, client) {
            return Ok(());
        }
    } else if dry_run || refusal != AccessRefusal::Drop || access.allows(client) {
        // Its requests are looked at one by one.
        return Ok(());
    } else {
        context.post.count(access.rule, Decision::Refused);
    }
    if dry_run {
        context.row.add(Counter::DryRunRefusals, 1);
        return Ok(());
    }
    Err(Reason::AddressDenied)
}

/// Counts a connection as one of its client's; `None`: they are not counted.
pub(super) fn seat_connection(
    context: &Context,
    id: ListenerId,
    client: IpAddr,
) -> Result<Option<keyed::Seat>, Reason> {
    let Some(rule) = context.post.door(id).and_then(|gate| gate.connections.as_ref()) else {
        return Ok(None);
    };
    enter(&context.post, rule, client).map(Some).ok_or(Reason::TooManyConnections)
}

/// Gives back what [`seat_connection`] took.
pub(super) fn unseat_connection(context: &Context, id: ListenerId, seat: keyed::Seat) {
    if let Some(rule) = context.post.door(id).and_then(|gate| gate.connections.as_ref()) {
        rule.seats.leave(seat);
    }
}
