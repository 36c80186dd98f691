//! One request and its answer, top to bottom.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::access_log;
use super::answer::{Answered, Buffers, answer};
use super::context::{Context, Scratch};
use super::forwarded::{self, Peer};
use super::reasons;
use super::route::Found;
use super::{reject, request, tunnel, upload};
use crate::balancer::{Connection, Lease, Tried};
use crate::clock;
use crate::config::{ListenerConfig, RouteConfig};
use crate::http::{Framing, Method, RequestHead, ResponseHead, request_framing};
use crate::ids::{ListenerId, RouteId};
use crate::net::{Buffer, Failure, Stream, sleep};
use crate::stats::{Counter, Reason};

/// A request body up to this size that has arrived whole is sent together with its head.
const WHOLE_BODY: u64 = 8 << 10;

/// Between two attempts to open a connection when no descriptors are left.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(10);

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    pub(super) listener: ListenerId,
    /// Received and not yet used: the rest of a body, or the next request.
    pub(super) received: Buffer,
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
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) context: &'a Context,
    pub(super) listener: &'a ListenerConfig,
    pub(super) route: &'a RouteConfig,
    pub(super) head: &'a RequestHead,
    pub(super) framing: Framing,
    /// The protocol that the client wants to switch to.
    pub(super) upgrade: Option<&'a [u8]>,
    pub(super) peer: &'a Peer,
    /// The client's connection.
    pub(super) stream: &'a Stream,
}

/// What has become of an exchange so far.
#[derive(Debug)]
pub(super) struct Facts {
    /// The length of a body that has arrived whole (0: there is none); `None`: it is on its way.
    pub(super) whole: Cell<Option<usize>>,
    /// The member has been sent the whole request.
    pub(super) uploaded: Cell<bool>,
    /// A byte of the final answer may have reached the client.
    pub(super) begun: Cell<bool>,
    /// The final answer's status, once known.
    pub(super) status: Cell<u16>,
    /// Bytes of its body that were sent.
    pub(super) sent: Cell<u64>,
    pub(super) client: Cell<IpAddr>,
    pub(super) route: Cell<Option<RouteId>>,
    pub(super) member: Cell<Option<SocketAddr>>,
    pub(super) reason: Cell<Option<Reason>>,
}

impl Facts {
    pub(super) fn new(client: IpAddr) -> Self {
        Self {
            whole: Cell::new(None),
            uploaded: Cell::new(false),
            begun: Cell::new(false),
            status: Cell::new(0),
            sent: Cell::new(0),
            client: Cell::new(client),
            route: Cell::new(None),
            member: Cell::new(None),
            reason: Cell::new(None),
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) reason: Reason,
    /// The member closed the connection without a byte of an answer. On a kept-alive connection
    /// that is no fault: it may have closed before the request came.
    pub(super) unanswered: bool,
}

impl From<Reason> for Lost {
    fn from(reason: Reason) -> Self {
        Self { reason, unanswered: false }
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
    let facts = Facts::new(client.peer.address);
    let ending = match run(context, listener, client, scratch, &facts).await {
        Ok(ending) => ending,
        Err(reason) => fail(context, client, &scratch.request, reason, &facts).await,
    };
    if let (Some(log), Some(started)) = (&context.access_log, started) {
        let took = clock::now().since(started);
        if facts.member.get().is_none() && client.peer.trusted {
            // No head for a member was written, which would have told.
            let chain = &mut Vec::new();
            let trusted = &listener.trusted_proxies;
            facts.client.set(forwarded::write(chain, &scratch.request, &client.peer, trusted));
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
    if head.method() == Method::Connect {
        return Err(Reason::NotImplemented);
    }
    if let (Framing::Length(length), Some(bound)) = (framing, listener.limits.body)
        && length > bound
    {
        return Err(Reason::BodyTooLarge);
    }
    let found = context.router.find(client.listener, head.host(), head.path(), head.method_bytes());
    let id = match found {
        Found::Route(id) => id,
        Found::MethodNotAllowed => return Err(Reason::MethodNotAllowed),
        Found::None => return Err(Reason::NoRoute),
    };
    facts.route.set(Some(id));
    let route = context.config.routes.get(id.index()).ok_or(Reason::Internal)?;
    let ask = Ask {
        context,
        listener,
        route,
        head,
        framing,
        upgrade: wanted_upgrade(head, framing),
        peer: &client.peer,
        stream: &client.stream,
    };
    deliver(&ask, &mut client.received, response, facts).await
}

/// Any protocol but HTTP/2 over plaintext, which would be a way around every rule here.
fn wanted_upgrade(head: &RequestHead, framing: Framing) -> Option<&[u8]> {
    let protocol = head.upgrade()?;
    let h2c = protocol.split(|b| *b == b',').any(|p| p.trim_ascii().eq_ignore_ascii_case(b"h2c"));
    (framing == Framing::None && !h2c).then_some(protocol)
}

/// Finds a member that takes the request, and brings its answer to the client.
async fn deliver(
    ask: &Ask<'_>,
    received: &mut Buffer,
    response: &mut ResponseHead,
    facts: &Facts,
) -> Result<Ending, Reason> {
    let row = &ask.context.row;
    let replayable = facts.whole.get().is_some() && ask.head.method().is_idempotent();
    let mut tried = Tried::default();
    let mut unreached: Option<Reason> = None;
    let mut fresh = false;
    loop {
        let Some(lease) = ask.context.pools.lease(ask.route.pool, &tried) else {
            return Err(unreached.unwrap_or(Reason::NoMember));
        };
        if let Some(reason) = unreached.take() {
            row.error(reason);
            row.add(Counter::UpstreamFailovers, 1);
        }
        facts.member.set(lease.address());
        let connection = match reach(&lease, fresh).await {
            Ok(connection) => connection,
            Err(Failure::NoDescriptors) => return Err(Reason::NoDescriptors),
            Err(failure) => {
                // Nothing was sent, so any request may go to another member.
                unreached = Some(reasons::connect(failure));
                if tried.add(lease.member()) {
                    continue;
                }
                return Err(reasons::connect(failure));
            }
        };
        connection.stream.work_for(Some(ask.stream));
        let mut buffers = Buffers::new();
        match attempt(ask, &lease, &connection, received, response, &mut buffers, facts).await {
            Ok(answered) => {
                return finish(
                    ask, lease, connection, received, response, buffers, facts, answered,
                )
                .await;
            }
            Err(lost) if lost.unanswered && connection.reused && replayable => {
                row.add(Counter::UpstreamRetries, 1);
                row.add(Counter::UpstreamStale, 1);
                fresh = true;
            }
            Err(lost) => {
                if !facts.uploaded.get() {
                    // A request cut short must not look complete to the member.
                    connection.stream.reset_on_drop();
                }
                return Err(lost.reason);
            }
        }
    }
}

async fn reach(lease: &Lease, fresh: bool) -> Result<Connection, Failure> {
    if !fresh && let Some(connection) = lease.reuse() {
        return Ok(connection);
    }
    // Rare, and large: kept out of every connection's memory.
    Box::pin(dial(lease)).await
}

/// A new connection. Where no descriptors are left it waits for one, or for a connection that
/// another exchange gives back, as long as it would wait for the member.
async fn dial(lease: &Lease) -> Result<Connection, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        match lease.dial().await {
            Err(Failure::NoDescriptors) if waited < lease.timeouts().connect => {}
            other => return other,
        }
        sleep(DESCRIPTOR_PAUSE).await;
        waited += DESCRIPTOR_PAUSE;
        if let Some(connection) = lease.reuse() {
            return Ok(connection);
        }
    }
}

/// Sends the request and brings the answer, but for its last bytes, which stay in `buffers.out`.
async fn attempt(
    ask: &Ask<'_>,
    lease: &Lease,
    connection: &Connection,
    received: &mut Buffer,
    response: &mut ResponseHead,
    buffers: &mut Buffers,
    facts: &Facts,
) -> Result<Answered, Lost> {
    let member = lease.address().ok_or(Reason::Internal)?;
    let (upstream, patience) = (&connection.stream, lease.timeouts().response);
    buffers.out.clear();
    facts.uploaded.set(false);
    facts.client.set(request::write(buffers.out.tail(), ask, member));
    let Some(body) = facts.whole.get() else {
        return Box::pin(upload::duplex(
            ask, upstream, patience, received, response, buffers, facts,
        ))
        .await;
    };
    buffers.out.tail().extend_from_slice(received.data().get(..body).unwrap_or_default());
    upstream.arm_write(patience);
    let sent = upstream.send(&mut buffers.out).await;
    upstream.disarm_write();
    match sent {
        Ok(()) => facts.uploaded.set(true),
        // The answer to a request that the member did not read to its end may be on its way.
        Err(Failure::Reset | Failure::Closed) if !connection.reused => {}
        Err(failure) => {
            let unanswered = matches!(failure, Failure::Reset | Failure::Closed);
            return Err(Lost { reason: reasons::before_head(failure), unanswered });
        }
    }
    answer(ask, upstream, patience, response, buffers, facts).await
}

/// Gives the member free, then sends what is left of the answer.
#[allow(clippy::too_many_arguments)]
async fn finish(
    ask: &Ask<'_>,
    lease: Lease,
    connection: Connection,
    received: &mut Buffer,
    response: &ResponseHead,
    mut buffers: Buffers,
    facts: &Facts,
    answered: Answered,
) -> Result<Ending, Reason> {
    received.consume(facts.whole.get().unwrap_or(0));
    if answered == Answered::Upgraded {
        let tunnel = tunnel::run(ask, &connection.stream, received, response, buffers, facts);
        return Box::pin(tunnel).await;
    }
    let Answered::Done { keep_client, keep_upstream } = answered else {
        return Err(Reason::Internal);
    };
    connection.stream.work_for(None);
    if keep_upstream {
        lease.keep(connection);
    } else {
        drop(connection);
    }
    drop(lease);
    drop(std::mem::take(&mut buffers.input));
    buffers.send_out(ask, facts).await?;
    Ok(match (keep_client, facts.uploaded.get()) {
        (true, _) => Ending::KeepAlive,
        // Closing on bytes that nobody read would reset the connection, and the answer with it.
        (false, true) if received.is_empty() && ask.stream.is_quiet() => Ending::Close,
        (false, _) => Ending::Linger,
    })
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
    if reason.status() == 0 {
        return Ending::Close;
    }
    facts.status.set(reason.status());
    client.received.consume(facts.whole.get().unwrap_or(0));
    let keep = facts.whole.get().is_some()
        && !matches!(reason.status(), 400 | 408 | 501)
        && head.wants_keep_alive()
        && !context.is_draining();
    let allow = if reason == Reason::MethodNotAllowed {
        context.router.allowed(client.listener, head.host(), head.path()).join(&b", "[..])
    } else {
        Vec::new()
    };
    let answer = reject::Answer { reason, keep, allow: &allow, head: Some(head) };
    reject::send(context, client, &answer, facts).await
}
