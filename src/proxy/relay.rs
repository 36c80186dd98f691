//! A connection of a listener that reads no requests: a member for it, then bytes both ways.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::access_log;
use super::context::{Context, Place};
use super::deliver::{dial, lease, may_retry};
use super::exchange::Client;
use super::greeting::{self, Ends, Refused};
use super::tunnel::Tunnel;
use super::{forwarded, guard, hash_key, passthrough, reasons};
use crate::balancer::{Attempted, Connection, Fault, Lease, Outcome, Site, Tried, Wish};
use crate::clock::{self, Instant};
use crate::config::{ListenerConfig, Speaks};
use crate::ids::PoolId;
use crate::net::{Buffer, Size, Stream, TICK};
use crate::stats::{Counter, Reason};
use crate::wire::TlsFacts;

/// Serves a connection until it ends.
pub async fn relay(place: Place, stream: Stream, peer: SocketAddr) {
    let context = place.context();
    let Some(listener) = context.listener(place.listener()) else { return };
    let relayed = Relayed::new(context, peer);
    let mut received = Buffer::default();
    let sorted = sort(&place, listener, &stream, &mut received, &relayed).await;
    let ended = match sorted {
        Ok(Some(pool)) => carry(context, listener, &stream, pool, received, &relayed).await,
        Ok(None) => {
            passthrough::turn_away(listener, &stream).await;
            Err(Reason::NoPassthrough.into())
        }
        Err(refused) => Err(refused),
    };
    relayed.end(&place, &stream, ended);
}

/// What became of a connection before its requests.
pub(super) enum Greeted {
    /// It goes on; who it is from, if a header of the PROXY protocol said so.
    Here(Option<Ends>),
    /// It was relayed, or refused.
    Over,
}

/// Reads what comes before the requests, or the TLS, of a client, and relays it if its TLS passes
/// through. Else what it sent is left in `Client::received`.
pub(super) async fn greet(
    place: &Place,
    listener: &ListenerConfig,
    client: &mut Client,
) -> Greeted {
    let context = place.context();
    let peer = SocketAddr::new(client.peer.address, client.peer.source_port);
    let Client { stream, received, .. } = client;
    let (stream, relayed) = (&*stream, Relayed::new(context, peer));
    match sort(place, listener, stream, received, &relayed).await {
        Ok(Some(pool)) => {
            let received = std::mem::take(received);
            let ended = carry(context, listener, stream, pool, received, &relayed).await;
            relayed.end(place, stream, ended);
            Greeted::Over
        }
        // Who terminates TLS knows best what is wrong with it.
        Ok(None) | Err(Refused::For(Reason::BadHello)) => {
            if listener.tls.is_none() {
                context.row.add(Counter::BytesIn, received.len() as u64);
            }
            Greeted::Here(relayed.ends())
        }
        Err(refused) => {
            // Nothing was promised yet: a close will do.
            relayed.note(place, Err(refused));
            Greeted::Over
        }
    }
}

/// What has become of a connection so far.
struct Relayed {
    /// Where somebody wants to know how long it takes.
    begun: Option<Instant>,
    client: Cell<SocketAddr>,
    /// Where it connected to, if a header of the PROXY protocol said so.
    destination: Cell<Option<SocketAddr>>,
    /// The name that it asked for, where its TLS passes through.
    name: RefCell<Vec<u8>>,
    pool: Cell<Option<PoolId>>,
    site: RefCell<Option<Rc<Site>>>,
    /// Bytes of the client that the member took.
    received: Cell<u64>,
    /// Bytes of the member that the client took.
    sent: Cell<u64>,
}

impl Relayed {
    fn new(context: &Context, peer: SocketAddr) -> Self {
        Self {
            begun: context.access_log.as_ref().map(|_| clock::now()),
            client: Cell::new(SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            destination: Cell::default(),
            name: RefCell::default(),
            pool: Cell::default(),
            site: RefCell::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }
}

impl Relayed {
    fn ends(&self) -> Option<Ends> {
        let (client, destination) = (self.client.get(), self.destination.get());
        destination.map(|destination| Ends { client, destination })
    }

    /// Counts and logs how it ended, and lets the client see it.
    fn end(&self, place: &Place, stream: &Stream, ended: Result<(), Refused>) {
        self.note(place, ended);
        let quiet = matches!(
            ended,
            Ok(())
                | Err(Refused::Silent)
                | Err(Refused::For(Reason::TunnelIdle | Reason::NoPassthrough))
        );
        if self.received.get() + self.sent.get() == 0 && !quiet {
            // Nothing of what it asked for was done, and it must not look as if it was.
            stream.reset_on_drop();
        }
    }

    /// Counts and logs how it ended.
    fn note(&self, place: &Place, ended: Result<(), Refused>) {
        let context = place.context();
        let reason = match ended {
            Err(Refused::Silent) => return,
            Err(Refused::For(reason)) => Some(reason),
            Ok(()) => None,
        };
        if let Some(reason) = reason {
            context.row.error(reason);
        }
        if let (Some(log), Some(begun)) = (&context.access_log, self.begun) {
            let line = access_log::Relayed {
                listener: place.listener(),
                client: self.client.get().ip(),
                pool: self.pool.get(),
                member: self.site.borrow().as_ref().map(|site| site.address.clone()),
                server_name: &self.name.borrow(),
                received: self.received.get(),
                sent: self.sent.get(),
                reason,
                took: clock::now().since(begun),
            };
            access_log::relayed(context, log, &line);
        }
    }
}

/// Reads the header of the PROXY protocol and the name that the client asks for, where they are
/// due; the pool that the connection is relayed to, if it is to be.
async fn sort(
    place: &Place,
    listener: &ListenerConfig,
    stream: &Stream,
    received: &mut Buffer,
    relayed: &Relayed,
) -> Result<Option<PoolId>, Refused> {
    if listener.proxy_protocol.is_some() {
        // Rare, and large: kept out of every connection's memory.
        let peer = relayed.client.get();
        let ends = Box::pin(greeting::receive(listener, stream, peer, received)).await?;
        if let Some(ends) = ends {
            relayed.client.set(ends.client);
            relayed.destination.set(Some(ends.destination));
        }
        place.admit(listener, relayed.client.get().ip())?;
    }
    let (context, id) = (place.context(), place.listener());
    let Some(passed) = context.passes(id) else { return Ok(listener.pools().next()) };
    let pool = Box::pin(passed.sort(listener, stream, received, &relayed.name)).await?;
    if pool.is_some() && listener.speaks() == Speaks::Http {
        // Its listener did not know yet that there would be no request to answer.
        guard::admits(context, id, relayed.client.get().ip(), true)?;
    }
    Ok(pool)
}

/// Relays a connection, of which `received` has come already.
async fn carry(
    context: &Context,
    listener: &ListenerConfig,
    stream: &Stream,
    pool: PoolId,
    received: Buffer,
    relayed: &Relayed,
) -> Result<(), Refused> {
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
    let ended = tunnel.run(received, Buffer::default()).await;
    relayed.received.set(tunnel.received.get());
    relayed.sent.set(tunnel.sent.get());
    Ok(ended?)
}

/// The header that the member expects in front of the connection.
fn header(lease: &Lease, stream: &Stream, relayed: &Relayed) -> Buffer {
    let Some(version) = lease.announces() else { return Buffer::default() };
    let client = relayed.client.get();
    let destination = relayed.destination.get().or_else(|| forwarded::local(stream));
    let mut out = Buffer::take(Size::Small);
    let name = relayed.name.borrow();
    let tls = TlsFacts { server_name: &name, ..TlsFacts::default() };
    // A client that is gone has no address of ours any more; what is sent for it does not matter.
    let ends = Ends { client, destination: destination.unwrap_or(client) };
    greeting::announce(out.tail(), version, ends, (!name.is_empty()).then_some(&tls));
    out
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
    let wish = Wish { key, member: None };
    let measures = pools.measures(pool);
    let (since, mut tried, mut attempts) = (Stream::tick(), Tried::default(), 0);
    let mut lost = None;
    pools.count_request(pool);
    loop {
        // A client that has ended its side before it sent anything is taken as gone.
        let mut lease = match lease(context, pool, stream, wish, &tried).await {
            Ok(lease) => lease,
            // What the last one did says more than that nobody is left.
            Err(reason @ (Reason::NoMember | Reason::NoAddress)) => {
                return Err(lost.unwrap_or(reason));
            }
            Err(reason) => return Err(reason),
        };
        if let Some(reason) = lost {
            context.row.error(reason);
            context.row.add(Counter::UpstreamFailovers, 1);
        }
        relayed.site.replace(Some(Rc::clone(lease.site())));
        attempts += 1;
        let begun = measures.then(clock::now);
        // Idle connections of the pool are those of requests.
        let failure = match dial(&lease, header(&lease, stream, relayed).data(), || None).await {
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
        if !room || may_retry(context, pool, &attempted).is_err() {
            return Err(reason);
        }
        lost = Some(reason);
    }
}
