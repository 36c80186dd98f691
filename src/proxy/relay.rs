//! A connection of a listener that reads no requests: a member for it, then bytes both ways.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use super::access_log;
use super::context::{Context, Place};
use super::deliver::{DESCRIPTOR_PAUSE, may_retry};
use super::greeting::{self, Ends, Refused};
use super::tunnel::Tunnel;
use super::{forwarded, hash_key, passthrough, reasons};
use crate::balancer::{Attempted, Connection, Fault, Lease, LeaseError, Outcome, Tried};
use crate::clock;
use crate::config::{ListenerConfig, ProxyVersion};
use crate::ids::{ListenerId, PoolId};
use crate::net::{Buffer, Either, Failure, Size, Stream, TICK, race, sleep};
use crate::stats::{Counter, Reason};
use crate::wire::TlsFacts;

/// Serves a connection until it ends.
pub async fn relay(place: Place, stream: Stream, peer: SocketAddr) {
    let context = place.context();
    let Some(listener) = context.listener(place.listener()) else { return };
    let started = context.access_log.as_ref().map(|_| clock::now());
    let relayed = Relayed::new(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let ended = match run(context, place.listener(), listener, &stream, &relayed).await {
        Err(Refused::Silent) => return,
        Err(Refused::For(reason)) => Err(reason),
        Ok(()) => Ok(()),
    };
    if let Err(reason) = ended {
        context.row.error(reason);
        let quiet = matches!(reason, Reason::TunnelIdle | Reason::NoPassthrough);
        if relayed.received.get() + relayed.sent.get() == 0 && !quiet {
            // Nothing of what it asked for was done, and it must not look as if it was.
            stream.reset_on_drop();
        }
    }
    if let (Some(log), Some(started)) = (&context.access_log, started) {
        let line = access_log::Relayed {
            listener: place.listener(),
            client: relayed.client.get().ip(),
            pool: relayed.pool.get(),
            member: relayed.member.get(),
            server_name: &relayed.name.borrow(),
            received: relayed.received.get(),
            sent: relayed.sent.get(),
            reason: ended.err(),
            took: clock::now().since(started),
        };
        access_log::relayed(context, log, &line);
    }
}

/// What has become of a connection so far.
struct Relayed {
    client: Cell<SocketAddr>,
    /// Where it connected to, if a header of the PROXY protocol said so.
    destination: Cell<Option<SocketAddr>>,
    /// The name that it asked for, where its TLS passes through.
    name: RefCell<Vec<u8>>,
    pool: Cell<Option<PoolId>>,
    member: Cell<Option<SocketAddr>>,
    /// Bytes of the client that the member took.
    received: Cell<u64>,
    /// Bytes of the member that the client took.
    sent: Cell<u64>,
}

impl Relayed {
    fn new(client: SocketAddr) -> Self {
        Self {
            client: Cell::new(client),
            destination: Cell::default(),
            name: RefCell::default(),
            pool: Cell::default(),
            member: Cell::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }
}

async fn run(
    context: &Context,
    id: ListenerId,
    listener: &ListenerConfig,
    stream: &Stream,
    relayed: &Relayed,
) -> Result<(), Refused> {
    let mut received = Buffer::default();
    if listener.proxy_protocol.is_some() {
        // Rare, and large: kept out of every connection's memory.
        let peer = relayed.client.get();
        let ends = Box::pin(greeting::receive(listener, stream, peer, &mut received)).await?;
        if let Some(ends) = ends {
            relayed.client.set(ends.client);
            relayed.destination.set(Some(ends.destination));
        }
    }
    let sorted = match context.passthrough.get(id.index()) {
        Some(Some(passed)) => {
            Box::pin(passed.sort(listener, stream, &mut received, &relayed.name)).await?
        }
        _ => listener.pools().next(),
    };
    let Some(pool) = sorted else {
        passthrough::turn_away(listener, stream).await;
        return Err(Reason::NoPassthrough.into());
    };
    relayed.pool.set(Some(pool));
    let address = relayed.client.get().ip();
    // Rare, and large: kept out of every connection's memory.
    let reached = Box::pin(reach(context, pool, stream, address, relayed)).await;
    let (lease, connection) = reached?;
    context.row.add(Counter::Relays, 1);
    let tunnel = Tunnel {
        client: stream,
        upstream: &connection.stream,
        idle: listener.timeouts.tunnel,
        write: listener.timeouts.write,
        patience: lease.timeouts().response,
        row: &context.row,
        received: Cell::default(),
        sent: Cell::default(),
    };
    if let Some(version) = lease.announces() {
        announce(version, stream, &tunnel, relayed).await?;
    }
    let ended = tunnel.run(received, Buffer::default()).await;
    relayed.received.set(tunnel.received.get());
    relayed.sent.set(tunnel.sent.get());
    Ok(ended?)
}

/// Sends the member the header that it expects. It goes into an empty socket, and does not wait.
async fn announce(
    version: ProxyVersion,
    stream: &Stream,
    tunnel: &Tunnel<'_>,
    relayed: &Relayed,
) -> Result<(), Reason> {
    let client = relayed.client.get();
    let destination = relayed.destination.get().or_else(|| forwarded::local(stream));
    let ends = Ends { client, destination: destination.ok_or(Reason::ClientGone)? };
    let mut out = Buffer::take(Size::Small);
    {
        let name = relayed.name.borrow();
        let tls = TlsFacts { server_name: &name, ..TlsFacts::default() };
        greeting::announce(out.tail(), version, ends, (!name.is_empty()).then_some(&tls));
    }
    let sent = tunnel.upstream.send_within(&mut out, tunnel.patience).await;
    sent.map_err(|_| Reason::TunnelReset)
}

/// Finds a member that takes the connection. As nothing of it has been sent, it may be any of them.
async fn reach(
    context: &Context,
    pool: PoolId,
    stream: &Stream,
    client: IpAddr,
    relayed: &Relayed,
) -> Result<(Lease, Connection), Reason> {
    let pools = &context.pools;
    let key = pools.hashes_by(pool).map_or(0, |_| hash_key::of_address(client));
    let measures = pools.measures(pool);
    let (since, mut tried, mut attempts) = (Stream::tick(), Tried::default(), 0);
    let mut lost = None;
    pools.count_request(pool);
    loop {
        let mut lease = match lease(context, pool, stream, key, &tried).await {
            Ok(lease) => lease,
            // What the last one did says more than that nobody is left.
            Err(Reason::NoMember) => return Err(lost.unwrap_or(Reason::NoMember)),
            Err(reason) => return Err(reason),
        };
        if let Some(reason) = lost {
            context.row.error(reason);
            context.row.add(Counter::UpstreamFailovers, 1);
        }
        relayed.member.set(lease.address());
        attempts += 1;
        let begun = measures.then(clock::now);
        let failure = match dial(&lease).await {
            Ok(connection) => {
                let took = begun.map_or(Duration::ZERO, |begun| clock::now().since(begun));
                lease.settle(Outcome::Connected { took });
                return Ok((lease, connection));
            }
            Err(failure) => failure,
        };
        let reason = reasons::connect(failure);
        let outcome = reasons::outcome(reason, 0);
        let room = tried.add(lease.member());
        lease.finish(outcome);
        let attempted = Attempted {
            outcome,
            unsent: matches!(outcome, Outcome::Failed(Fault::Connect)),
            idempotent: false,
            replayable: true,
            attempts,
            age: TICK * Stream::tick().saturating_sub(since),
        };
        if !room || !may_retry(context, pool, &attempted) {
            return Err(reason);
        }
        lost = Some(reason);
    }
}

/// Waits for a member if there must be waiting, unless the client leaves.
async fn lease(
    context: &Context,
    pool: PoolId,
    stream: &Stream,
    key: u64,
    tried: &Tried,
) -> Result<Lease, Reason> {
    let leased = pin!(context.pools.lease(pool, key, tried));
    // Not looked at where there is a member at once. A client that has ended its side before it
    // sent anything is taken as gone.
    let left = pin!(stream.ended());
    match race(leased, left).await {
        Either::First(Ok(lease)) => Ok(lease),
        Either::First(Err(LeaseError::Nobody)) => Err(Reason::NoMember),
        Either::First(Err(LeaseError::QueueFull)) => Err(Reason::QueueFull),
        Either::First(Err(LeaseError::QueueTimeout)) => Err(Reason::QueueTimeout),
        Either::Second(()) => Err(Reason::ClientGone),
    }
}

/// A new connection. Where no descriptors are left it waits for one, as long as it would wait for
/// the member.
async fn dial(lease: &Lease) -> Result<Connection, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        match lease.dial().await {
            Err(Failure::NoDescriptors) if waited < lease.timeouts().connect => {}
            other => return other,
        }
        sleep(DESCRIPTOR_PAUSE).await;
        waited += DESCRIPTOR_PAUSE;
    }
}
