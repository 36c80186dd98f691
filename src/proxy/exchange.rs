//! One request and its answer, top to bottom.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::access_log;
use super::auth::{self, Grant};
use super::buffering::Taken;
use super::cache::{self, Part, Trace};
use super::conditions::Asked;
use super::context::{Context, Scratch};
use super::forwarded::{self, Peer, TlsVersion};
use super::guard::{Manner, Noted};
use super::named::{self, Called};
use super::path_edit::{Edited, Target};
use super::reasons;
use super::route::Found;
use super::serve::To;
use super::{cors, deliver, demands, fixed, guard, redirect, reject, replay, split};
use crate::balancer::{Refusal, Site, Tried};
use crate::clock;
use crate::config::{ListenerConfig, RouteConfig};
use crate::http::caching::CacheRequest;
use crate::http::{Coding, Framing, Method, RequestHead, request_framing};
use crate::ids::{ListenerId, MemberId, PoolId, RouteId};
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
    /// Another worker served it before this one.
    pub(super) moved: bool,
}

impl Client {
    /// A client that has said nothing yet.
    pub(super) fn new(stream: Stream, peer: Peer, listener: ListenerId) -> Self {
        let received = Buffer::default();
        Self { stream, peer, listener, received, moved: false }
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
    /// The pool of the route, or that of its pools which has this request.
    pub(super) pool: PoolId,
    pub(super) head: &'a RequestHead,
    /// What the member is asked for, where that is not what the client asked for.
    pub(super) edited: Option<&'a Edited>,
    pub(super) framing: Framing,
    /// Doing it twice is as good as once.
    pub(super) idempotent: bool,
    /// The client wants to switch to another protocol, and may.
    pub(super) upgrades: bool,
    /// The pool wants to know how long its members take.
    pub(super) measures: bool,
    pub(super) peer: &'a Peer,
    /// The client's connection.
    pub(super) stream: &'a Stream,
    /// What its route found out about the client.
    pub(super) grant: Option<&'a Grant>,
    /// What the cache has to do with it.
    pub(super) cache: Option<&'a Part<'a>>,
}

impl<'a> Ask<'a> {
    /// Members are told who the client is: what they answer may be for it alone.
    pub(super) fn is_of_somebody(&self) -> bool {
        self.grant.is_some() || self.peer.identity.is_some()
    }

    /// The request as a cache sees it. Of somebody whom we know, it is as one with `Authorization`.
    pub(super) fn cache_request(&self) -> CacheRequest<'a> {
        let mut request = CacheRequest::of(self.head);
        request.authorized |= self.is_of_somebody();
        request
    }
}

/// How a member was reached. A `Cell`, since a `RefCell` is a word more in every connection's memory.
#[derive(Default)]
struct Reached(Cell<Option<Rc<Site>>>);

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reached")
    }
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
    /// The port that it connected from; 0: it is not known.
    pub(super) source_port: Cell<u16>,
    /// The peer's word on who the client is, and how it asked, is believed.
    pub(super) trusted: bool,
    /// What it is called, where somebody wants to know.
    pub(super) called: Cell<Called>,
    /// The version of TLS that it speaks, if it does.
    pub(super) tls: Option<TlsVersion>,
    pub(super) route: Cell<Option<RouteId>>,
    /// Where the request goes, if it goes to members.
    pub(super) pool: Cell<Option<PoolId>>,
    /// The member that was tried last.
    pub(super) member: Cell<Option<MemberId>>,
    /// How it was reached. See [`Facts::look_at_site`].
    site: Reached,
    pub(super) reason: Cell<Option<Reason>>,
    /// Whole field lines that go with a refusal.
    // Rare: a pointer in every connection's memory.
    #[allow(clippy::box_collection)]
    pub(super) extra: OnceCell<Box<Vec<u8>>>,
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
    /// What was taken in of the body first.
    pub(super) taken: Cell<Taken>,
    /// When the request's head was whole, or the body that is taken in first, in ticks of the worker.
    pub(super) since: Cell<u32>,
    /// When the request had been sent whole; set only where the pool measures.
    sent_at: Cell<clock::Instant>,
    /// From then to the head of its answer, in microseconds.
    first_byte_us: Cell<u32>,
}

impl<'a> Ask<'a> {
    /// The protocol that the client wants to switch to.
    pub(super) fn upgrade(&self) -> Option<&'a [u8]> {
        if self.upgrades { self.head.upgrade() } else { None }
    }

    /// What the member is asked for.
    pub(super) fn target(&self) -> Target<'a> {
        self.edited.map_or_else(|| Target::of(self.head), Edited::target)
    }
}

impl Facts {
    /// The member has the whole request.
    pub(super) fn set_uploaded(&self, ask: &Ask<'_>) {
        self.uploaded.set(true);
        if ask.measures {
            self.sent_at.set(clock::now());
        }
    }

    /// How the member was reached that was tried last.
    pub(super) fn site(&self) -> Option<Rc<Site>> {
        let site = self.site.0.take();
        self.site.0.set(site.clone());
        site
    }

    pub(super) fn set_site(&self, site: &Rc<Site>) {
        self.site.0.set(Some(Rc::clone(site)));
    }

    /// A member is tried: nothing has been sent to it.
    pub(super) fn forget_sent(&self) {
        self.sent_at.take();
    }

    /// The head of an answer has come.
    pub(super) fn set_answered(&self) {
        let sent_at = self.sent_at.take();
        if sent_at != clock::Instant::default() {
            let micros = clock::micros(clock::now().since(sent_at));
            self.first_byte_us.set(u32::try_from(micros).unwrap_or(u32::MAX));
        }
    }

    /// Lets `look` see how the member that was tried last was reached.
    pub(super) fn look_at_site<T>(&self, look: impl FnOnce(Option<&Site>) -> T) -> T {
        look(self.site().as_deref())
    }

    /// From the whole request to the head of its answer; zero where the pool does not measure.
    pub(super) fn first_byte(&self) -> Duration {
        Duration::from_micros(u64::from(self.first_byte_us.get()))
    }

    /// How the request's body is framed for members.
    pub(super) fn framing(&self, ask: &Ask<'_>) -> Framing {
        match self.taken.get() {
            Taken::Whole(length) => Framing::Length(length),
            Taken::Nothing | Taken::Some => ask.framing,
        }
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
            source_port: Cell::new(peer.source_port),
            trusted: peer.trusted,
            called: Cell::default(),
            tls: peer.tls,
            route: Cell::new(None),
            pool: Cell::new(None),
            member: Cell::new(None),
            site: Reached::default(),
            reason: Cell::new(None),
            extra: OnceCell::new(),
            moved_to: Cell::default(),
            tried: Cell::default(),
            attempts: Cell::new(0),
            no_retry: Cell::new(None),
            cache: Cell::new(None),
            noted: OnceCell::new(),
            taken: Cell::default(),
            since: Cell::new(Stream::tick()),
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
    if facts.trusted {
        let found = forwarded::client(&scratch.request, &client.peer, listener);
        if facts.client.replace(found) != found {
            facts.source_port.set(0);
        }
    }
    named::settle(&context.ids, listener, Some(&scratch.request), &facts);
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
    let Scratch { request: head, response, edited } = scratch;
    let framing = request_framing(head).map_err(reasons::framing)?;
    facts.whole.set(whole_body(framing, &client.received));
    guard::listener(guard::Visit { context, client, head, facts }).await?;
    if let Some(ending) = unrouted(context, listener, client, head, facts).await? {
        return Ok(ending);
    }
    let id = find_route(context, client, head, facts)?;
    facts.route.set(Some(id));
    let route = context.config.routes.get(id.index()).ok_or(Reason::Internal)?;
    let pool = split::pool_of(&route.action, context, facts.client.get(), head);
    facts.pool.set(pool);
    is_within(framing, route.limits.body(listener.limits.body))?;
    guard::route(guard::Visit { context, client, head, facts }, id).await?;
    let mut grant = None;
    if let Some((auth, rules)) = context.config.rules_for((client.listener, listener), (id, route))
    {
        let visit = guard::Visit { context, client, head, facts };
        match auth::verdict(auth, visit, rules).await? {
            Ok(granted) => grant = Some(granted),
            Err(refusal) => {
                let elsewhere = redirect::elsewhere(context, client, head, &refusal, facts);
                return Ok(Box::pin(elsewhere).await);
            }
        }
    }
    let edit = context.path_edit(id);
    edit.map(|edit| edited.make(edit, head)).transpose()?;
    let made = edit.map(|_| &*edited);
    let Some(pool) = pool else {
        let to = To { context, listener, stream: &client.stream, head };
        let fixed = fixed::answer(to, &route.action, made, &mut client.received, facts);
        return Box::pin(fixed).await;
    };
    let pools = &context.pools;
    let idempotent = replay::is_idempotent(head, || pools.honours_key(pool));
    let kept = || idempotent && pools.keeps_body(pool) > 0;
    facts.replayable.set(facts.whole.get().is_some() || kept());
    let watches = context.cache().is_some() && !head.method().is_safe();
    let ask = Ask {
        context,
        listener,
        route,
        pool,
        head,
        edited: made,
        framing,
        idempotent,
        upgrades: demands::may_upgrade(head, framing),
        measures: pools.measures(pool),
        peer: &client.peer,
        stream: &client.stream,
        grant: grant.as_deref(),
        cache: watches.then_some(&Part::Watch),
    };
    if route.cache.is_some()
        && let Some(ending) =
            cache::ask(&ask, client.listener, &mut client.received, response, facts).await?
    {
        return Ok(ending);
    }
    deliver::deliver(&ask, &mut client.received, response, facts).await
}

/// Answers what needs no route: on to https, preflights.
async fn unrouted(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    head: &RequestHead,
    facts: &Facts,
) -> Result<Option<Ending>, Reason> {
    demands::can_be_met(head, facts)?;
    if let Some(port) = listener.redirect_https {
        let redirect = redirect::to_https(context, listener, client, head, port, facts);
        return Ok(Some(Box::pin(redirect).await));
    }
    if head.method() == Method::Connect {
        return Err(Reason::NotImplemented);
    }
    if head.max_forwards() == Some(0) {
        let to = To { context, listener, stream: &client.stream, head };
        let answer = demands::answer(to, &mut client.received, facts);
        return Box::pin(answer).await.map(Some);
    }
    let Some((id, terms)) = cors::announced(context, client.listener, head, facts) else {
        return Ok(None);
    };
    facts.route.set(Some(id));
    Ok(Some(Box::pin(cors::answer(context, client, head, terms, facts)).await))
}

/// The route of a request. Apart, so that what it looks at takes no memory while the exchange waits.
fn find_route(
    context: &Context,
    client: &Client,
    head: &RequestHead,
    facts: &Facts,
) -> Result<RouteId, Reason> {
    let address = || facts.client.get();
    match context.router.find(client.listener, &Asked::of(head, &address)) {
        Found::Route(id) => demands::is_served(head, context.config.route(id)).and(Ok(id)),
        Found::MethodNotAllowed => Err(Reason::MethodNotAllowed),
        Found::None => Err(Reason::NoRoute),
    }
}

/// Whether a body may be so long; of one without a known length that is seen on its way.
fn is_within(framing: Framing, bound: Option<u64>) -> Result<(), Reason> {
    match (framing, bound) {
        (Framing::Length(length), Some(bound)) if length > bound => Err(Reason::BodyTooLarge),
        _ => Ok(()),
    }
}

/// The methods that the request could have had instead, as `Allow` lists them.
fn allowed(context: &Context, client: &Client, head: &RequestHead, facts: &Facts) -> Vec<u8> {
    let address = || facts.client.get();
    context.router.allowed(client.listener, &Asked::of(head, &address)).join(&b", "[..])
}

/// The length of a body that has come with its head, where it is small.
fn whole_body(framing: Framing, received: &Buffer) -> Option<usize> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) if length <= WHOLE_BODY => {
            usize::try_from(length).ok().filter(|length| *length <= received.len())
        }
        _ => None,
    }
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
        allowed(context, client, head, facts)
    } else {
        Vec::new()
    };
    let answer = reject::Answer::to(head, shown, status, keep, &allow);
    reject::send(context, client, &answer, facts).await
}
