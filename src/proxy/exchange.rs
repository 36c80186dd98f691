//! One request and its answer, top to bottom.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::access_log;
use super::cache::{self, Look, Part, Trace};
use super::context::{Context, Scratch};
use super::forwarded::{self, Peer, TlsVersion};
use super::guard::{Manner, Noted};
use super::reasons;
use super::route::Found;
use super::{deliver, guard, redirect, reject, replay};
use crate::balancer::{Refusal, Site, Tried};
use crate::clock;
use crate::config::{ListenerConfig, RouteConfig};
use crate::http::{Coding, Framing, Method, RequestHead, ResponseHead, request_framing};
use crate::ids::{ListenerId, MemberId, RouteId};
use crate::net::{Buffer, Stream};
use crate::stats::{Counter, Reason};

/// A request body up to this size that has arrived whole is sent together with its head.
const WHOLE_BODY: u64 = 8 << 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    pub(super) listener: ListenerId,
    /// Received and not yet used: the rest of a body, or the next request.
    pub(super) received: Buffer,
    /// What its certificate says of it, as whole fields for members.
    pub(super) identity: Option<Box<[u8]>>,
    /// Another worker served it before this one.
    pub(super) moved: bool,
}

impl Client {
    /// A client that has said nothing yet.
    pub(super) fn new(stream: Stream, peer: Peer, listener: ListenerId) -> Self {
        let received = Buffer::default();
        Self { stream, peer, listener, received, identity: None, moved: false }
    }

    /// A client between two requests.
    pub(super) fn known(stream: Stream, peer: Peer, listener: ListenerId) -> Self {
        Self { moved: true, ..Self::new(stream, peer, listener) }
    }
}

/// How a client's connection goes on behind an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The next request may come.
    KeepAlive,
    /// Closed: everything was read and everything was said.
    Close,
    /// Closed, but the client may still be sending: let it see the answer first.
    Linger,
    /// Reset: the answer is incomplete, and the client must see that it is.
    Reset,
}

/// A request as it was understood; does not change during the exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) context: &'a Context,
    pub(super) listener: &'a ListenerConfig,
    pub(super) route: &'a RouteConfig,
    pub(super) head: &'a RequestHead,
    pub(super) framing: Framing,
    /// Doing it twice is as good as once.
    pub(super) idempotent: bool,
    /// The protocol that the client wants to switch to.
    pub(super) upgrade: Option<&'a [u8]>,
    /// The pool wants to know how long its members take.
    pub(super) measures: bool,
    pub(super) peer: &'a Peer,
    /// The client's connection.
    pub(super) stream: &'a Stream,
    /// What the client's certificate says of it, as whole fields.
    pub(super) identity: Option<&'a [u8]>,
    /// What the cache has to do with it.
    pub(super) cache: Option<&'a Part<'a>>,
}

/// What has become of an exchange so far.
#[derive(Debug)]
pub(super) struct Facts {
    /// The length of a body that has arrived whole (0: there is none); `None`: it is on its way.
    pub(super) whole: Cell<Option<usize>>,
    /// What was used up of the body can be sent once more.
    pub(super) replayable: Cell<bool>,
    /// All of a body that streams has come.
    pub(super) consumed: Cell<bool>,
    /// The member has been sent the whole request.
    pub(super) uploaded: Cell<bool>,
    /// A byte of the final answer may have reached the client.
    pub(super) begun: Cell<bool>,
    /// The final answer's status, once known.
    pub(super) status: Cell<u16>,
    /// Bytes of its body that were sent.
    pub(super) sent: Cell<u64>,
    /// How we encoded it, and how many bytes it had before.
    pub(super) coded: Cell<Option<(Coding, u64)>>,
    pub(super) client: Cell<IpAddr>,
    /// The version of TLS that it speaks, if it does.
    pub(super) tls: Option<TlsVersion>,
    pub(super) route: Cell<Option<RouteId>>,
    /// The member that was tried last.
    pub(super) member: Cell<Option<MemberId>>,
    /// How it was reached.
    pub(super) site: RefCell<Option<Rc<Site>>>,
    pub(super) reason: Cell<Option<Reason>>,
    /// The member that the client stays on from now on, where its cookie does not say so.
    pub(super) moved_to: Cell<Option<MemberId>>,
    /// Members that have been tried.
    pub(super) tried: Cell<Tried>,
    /// Times that the request was sent, or that a member was not reached for it.
    pub(super) attempts: Cell<u32>,
    /// Why it was not sent again.
    pub(super) no_retry: Cell<Option<Refusal>>,
    /// What the cache did.
    pub(super) cache: Cell<Option<Trace>>,
    /// What the guard has noted, if anything.
    // Boxed: rare, and the memory of an idle connection.
    pub(super) noted: OnceCell<Box<Noted>>,
    /// When the request's head was whole, in ticks of the worker.
    pub(super) since: u32,
    /// When the request had been sent whole; set only where the pool measures.
    pub(super) sent_at: Cell<Option<clock::Instant>>,
    /// From then to the head of its answer, in microseconds.
    pub(super) first_byte_us: Cell<u64>,
}

impl Facts {
    /// The member has the whole request.
    pub(super) fn set_uploaded(&self, ask: &Ask<'_>) {
        self.uploaded.set(true);
        if ask.measures {
            self.sent_at.set(Some(clock::now()));
        }
    }

    /// From the sent request to the head of its answer.
    pub(super) fn first_byte(&self) -> Duration {
        Duration::from_micros(self.first_byte_us.get())
    }

    pub(super) fn new(peer: &Peer) -> Self {
        Self {
            whole: Cell::new(None),
            replayable: Cell::new(false),
            consumed: Cell::new(false),
            uploaded: Cell::new(false),
            begun: Cell::new(false),
            status: Cell::new(0),
            sent: Cell::new(0),
            coded: Cell::default(),
            client: Cell::new(peer.address),
            tls: peer.tls,
            route: Cell::new(None),
            member: Cell::new(None),
            site: RefCell::new(None),
            reason: Cell::new(None),
            moved_to: Cell::default(),
            tried: Cell::default(),
            attempts: Cell::new(0),
            no_retry: Cell::new(None),
            cache: Cell::new(None),
            noted: OnceCell::new(),
            since: Stream::tick(),
            sent_at: Cell::default(),
            first_byte_us: Cell::default(),
        }
    }
}

/// Serves the request whose head is in `scratch`; says how the connection goes on.
pub(super) async fn exchange(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    scratch: &mut Scratch,
) -> Ending {
    context.row.add(Counter::Exchanges, 1);
    let started = context.access_log.as_ref().map(|_| clock::now());
    let facts = Facts::new(&client.peer);
    if let Some(rate) = listener.limits.min_rate {
        client.stream.ask_pace(rate, listener.timeouts.slow);
    }
    let ending = match run(context, listener, client, scratch, &facts).await {
        Ok(ending) => ending,
        Err(reason) => fail(context, client, &scratch.request, reason, &facts).await,
    };
    if let Some(trace) = facts.cache.get() {
        context.row.add(trace.verdict.counter(), 1);
    }
    if listener.limits.min_rate.is_some() {
        client.stream.waive_pace();
    }
    if let (Some(log), Some(started)) = (&context.access_log, started) {
        let took = clock::now().since(started);
        if facts.member.get().is_none() {
            // No head for a member was written, which would have told.
            let trusted = &listener.trusted_proxies;
            facts.client.set(forwarded::client(&scratch.request, &client.peer, trusted));
        }
        access_log::write(context, log, client.listener, &scratch.request, &facts, took);
    }
    ending
}

async fn run(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    scratch: &mut Scratch,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let Scratch { request: head, response } = scratch;
    let framing = request_framing(head).map_err(reasons::framing)?;
    facts.whole.set(match framing {
        Framing::None => Some(0),
        Framing::Length(length) if length <= WHOLE_BODY => {
            usize::try_from(length).ok().filter(|length| *length <= client.received.len())
        }
        _ => None,
    });
    guard::listener(guard::Visit { context, client, head, facts }).await?;
    if let Some(port) = listener.redirect_https {
        let redirect = redirect::to_https(context, listener, client, head, port, facts);
        return Ok(Box::pin(redirect).await);
    }
    if head.method() == Method::Connect {
        return Err(Reason::NotImplemented);
    }
    let found = context.router.find(client.listener, head.host(), head.path(), head.method_bytes());
    let id = match found {
        Found::Route(id) => id,
        Found::MethodNotAllowed => return Err(Reason::MethodNotAllowed),
        Found::None => return Err(Reason::NoRoute),
    };
    facts.route.set(Some(id));
    let route = context.config.routes.get(id.index()).ok_or(Reason::Internal)?;
    if let (Framing::Length(length), Some(bound)) =
        (framing, route.limits.body(listener.limits.body))
        && length > bound
    {
        return Err(Reason::BodyTooLarge);
    }
    guard::route(guard::Visit { context, client, head, facts }, id).await?;
    let (pools, pool) = (&context.pools, route.pool);
    let idempotent = replay::is_idempotent(head, || pools.honours_key(pool));
    let kept = || idempotent && pools.keeps_body(pool) > 0;
    facts.replayable.set(facts.whole.get().is_some() || kept());
    let watches = context.cache().is_some() && !head.method().is_safe();
    let ask = Ask {
        context,
        listener,
        route,
        head,
        framing,
        idempotent,
        upgrade: wanted_upgrade(head, framing),
        measures: pools.measures(pool),
        peer: &client.peer,
        stream: &client.stream,
        identity: client.identity.as_deref(),
        cache: watches.then_some(&Part::Watch),
    };
    if route.cache.is_some()
        && let Some(ending) =
            ask_cache(&ask, client.listener, &mut client.received, response, facts).await?
    {
        return Ok(ending);
    }
    deliver::deliver(&ask, &mut client.received, response, facts).await
}

/// The cache may answer, or fetch what does; else it is not for the cache.
async fn ask_cache(
    ask: &Ask<'_>,
    listener: ListenerId,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Option<Ending>, Reason> {
    let (Some(cache), Some(hand)) = (&ask.route.cache, ask.context.cache()) else {
        return Ok(None);
    };
    let ready = match cache::look(ask, cache, hand, response, facts)? {
        Look::Hit(ready) => ready,
        Look::HitAndRefresh(ready, plan) => {
            cache::refresh(ask, listener, facts, plan);
            ready
        }
        Look::Miss(plan) => {
            // Large, and not for hits: kept out of every connection's memory.
            let fetch = Box::pin(cache::fetch(*ask, cache, hand, plan, received, response, facts));
            return fetch.await.map(Some);
        }
        Look::Past => return Ok(None),
    };
    cache::send(ask, ready, received, facts).await.map(Some)
}

/// Any protocol but HTTP/2 over plaintext, which would be a way around every rule here.
fn wanted_upgrade(head: &RequestHead, framing: Framing) -> Option<&[u8]> {
    let protocol = head.upgrade()?;
    let h2c = protocol.split(|b| *b == b',').any(|p| p.trim_ascii().eq_ignore_ascii_case(b"h2c"));
    (framing == Framing::None && !h2c).then_some(protocol)
}

/// Tells the client, if it can still be told.
async fn fail(
    context: &Context,
    client: &mut Client,
    head: &RequestHead,
    reason: Reason,
    facts: &Facts,
) -> Ending {
    context.row.error(reason);
    facts.reason.set(Some(reason));
    if facts.begun.get() {
        return Ending::Reset;
    }
    let manner = facts.noted.get().map_or(Manner::Plain, |noted| noted.manner.get());
    let (status, shown) = match manner {
        Manner::Plain => (reason.status(), reason),
        Manner::Later { status, .. } => (status, reason),
        Manner::Hidden => (Reason::NoRoute.status(), Reason::NoRoute),
        Manner::Silent => (0, reason),
    };
    if status == 0 {
        return Ending::Close;
    }
    facts.status.set(status);
    client.received.consume(facts.whole.get().unwrap_or(0));
    let keep = (facts.whole.get().is_some() || facts.consumed.get())
        && !matches!(status, 400 | 408 | 501)
        && head.wants_keep_alive()
        && !context.is_draining();
    let allow = if reason == Reason::MethodNotAllowed {
        context.router.allowed(client.listener, head.host(), head.path()).join(&b", "[..])
    } else {
        Vec::new()
    };
    let answer = reject::Answer { reason: shown, status, keep, allow: &allow, head: Some(head) };
    reject::send(context, client, &answer, facts).await
}
