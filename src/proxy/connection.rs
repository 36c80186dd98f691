//! One client's connection: heads in, exchanges, and how it ends.

use std::time::Duration;

use super::context::{Context, Place, Scratch};
use super::exchange::{Client, Ending, exchange};
use super::forwarded::{Peer, TlsVersion};
use super::greeting::Ends;
use super::handover::{self, Moved, Origin};
use super::relay::{self, Greeted};
use super::{reasons, reject};
use crate::config::ListenerConfig;
use crate::http::{HeadLimits, ParseError, Parsed};
use crate::ids::WorkerId;
use crate::net::tls::TlsAcceptor;
use crate::net::{Buffer, Failure, Size, Stream};
use crate::stats::{Counter, Reason};

/// How long a client may go on sending what nobody will read, so that it gets to see its answer:
/// closing at once would reset the connection and could take the answer along.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read and dropped in that time.
const LINGER_BYTES: usize = 1 << 20;

/// How TLS begins: a record of the handshake, of a version 3.x.
const CLIENT_HELLO: [u8; 2] = [22, 3];

/// How long an idle connection may still send a request once the worker drains.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// A client with its place among the connections, which is given back behind it.
struct Served {
    client: Client,
    place: Place,
}

/// Serves a connection until it ends.
// No `async fn`: its arguments would stand in the memory of every idle connection once more.
pub fn serve(place: Place, stream: Stream, origin: Origin) -> impl Future<Output = ()> {
    let client = match origin {
        Origin::Moved(Moved(peer, _)) => Client::known(stream, peer, place.listener()),
        Origin::Accepted { peer, port } => {
            let listener = place.context().listener(place.listener());
            Client::new(stream, Peer::new(peer, port, None, listener), place.listener())
        }
    };
    let mut served = Served { client, place };
    async move {
        loop {
            let Served { client, place } = &mut served;
            let Some(to) = converse(client, place).await else { return };
            let Served { client, place } = served;
            match handover::give(client, place, to) {
                Some((client, place)) => served = Served { client, place },
                None => return,
            }
        }
    }
}

/// Serves a client; says to which worker it should go, if it is not over.
async fn converse(client: &mut Client, place: &Place) -> Option<WorkerId> {
    let context = place.context();
    let listener = context.listener(place.listener())?;
    if !client.moved && !begin(context, listener, client, place).await {
        return None;
    }
    let mut first = !client.moved;
    loop {
        let timeouts = &listener.timeouts;
        let mut patience = if first { timeouts.head } else { timeouts.idle };
        if context.is_draining() {
            // A request may be on its way: the last answer did not say that it should not.
            patience = patience.min(DRAIN_PATIENCE);
        }
        if !await_request(context, client, patience).await {
            return None;
        }
        let mut scratch = context.take_scratch();
        let ending = match read_head(context, listener, client, &mut scratch).await {
            Ok(()) => exchange(context, listener, client, &mut scratch).await,
            Err(reason) => reject::head(context, client, reason).await,
        };
        context.keep_scratch(scratch);
        match ending {
            Ending::KeepAlive => {}
            Ending::Close => client.stream.say_end().await,
            Ending::Linger => linger(&client.stream).await,
            Ending::Reset => client.stream.reset_on_drop(),
        }
        if ending != Ending::KeepAlive {
            return None;
        }
        if client.received.is_empty() {
            // A buffer that grew for a body goes back while the connection idles.
            client.received = Buffer::default();
        }
        if let Some(to) = handover::wanted(context, client) {
            return Some(to);
        }
        first = false;
    }
}

/// What comes before the first request; false if there will be none.
async fn begin(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    place: &Place,
) -> bool {
    if listener.proxy_protocol.is_some() || listener.passthrough.is_some() {
        // Rare, and large: kept out of every connection's memory.
        match Box::pin(relay::greet(place, listener, client)).await {
            Greeted::Here(None) => {}
            Greeted::Here(Some(Ends { client: from, destination })) => {
                let port = destination.port();
                client.peer = Peer::new(from, port, Some(destination), Some(listener));
            }
            Greeted::Over => return false,
        }
    }
    match context.acceptor(client.listener) {
        Some(acceptor) => Box::pin(secure(context, listener, client, acceptor)).await,
        None => true,
    }
}

/// Begins TLS; false if there is none, and the connection is over.
async fn secure(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    acceptor: &TlsAcceptor,
) -> bool {
    let first = std::mem::take(&mut client.received);
    match client.stream.accept_tls(acceptor, first, listener.timeouts.head).await {
        Ok(shaken) => {
            context.row.add(Counter::TlsHandshakes, 1);
            context.row.add(Counter::TlsResumed, u64::from(shaken.resumed));
            let version = if shaken.modern { TlsVersion::V13 } else { TlsVersion::V12 };
            client.peer.tls = Some(version);
            client.peer.identity = shaken.identity;
            true
        }
        Err(refused) => {
            let reason = reasons::refusal(refused.refusal);
            tracing::debug!(client = %client.peer.address, code = reason.code(), "{refused}");
            match reason {
                Reason::TlsPlainHttp => _ = reject::head(context, client, reason).await,
                _ => context.row.error(reason),
            }
            if !matches!(reason, Reason::TlsGone | Reason::TlsTimeout) {
                // So that it gets to see what it was told.
                linger(&client.stream).await;
            }
            false
        }
    }
}

/// Waits for the first byte of the next request; false if there will be none.
async fn await_request(context: &Context, client: &mut Client, idle: Duration) -> bool {
    if !client.received.is_empty() {
        return true;
    }
    client.received = Buffer::take(Size::Small);
    client.stream.arm_idle(idle);
    let result = client.stream.recv(&mut client.received).await;
    client.stream.disarm_read();
    match result {
        Ok(count) => {
            context.row.add(Counter::BytesIn, count as u64);
            true
        }
        // Between two requests a connection may end in any way.
        Err(_) => false,
    }
}

/// Reads until the head is whole. An error is what the client did wrong; it is not yet counted.
async fn read_head(
    context: &Context,
    listener: &ListenerConfig,
    client: &mut Client,
    scratch: &mut Scratch,
) -> Result<(), Reason> {
    let limits = HeadLimits { bytes: listener.limits.head, fields: listener.limits.headers };
    scratch.request.clear();
    let mut armed = false;
    loop {
        match scratch.request.parse(client.received.data(), &limits) {
            Ok(Parsed::Complete(length)) => {
                client.received.consume(length);
                if listener.merge_slashes {
                    scratch.request.merge_slashes().map_err(reason_of)?;
                }
                if armed {
                    client.stream.disarm_read();
                }
                return Ok(());
            }
            Ok(Parsed::Partial) => {}
            Err(_) if client.received.data().starts_with(&CLIENT_HELLO) => {
                return Err(Reason::HttpsOnHttp);
            }
            Err(error) => return Err(reason_of(error)),
        }
        if client.received.room() == 0 {
            client.received.compact();
            let size = client.received.capacity();
            if client.received.room() == 0 {
                // The parser refuses a head beyond its limit, so this ends.
                client.received.grow(size.saturating_mul(4).min(limits.bytes.max(size) + size));
            }
        }
        if !armed {
            client.stream.arm_read(listener.timeouts.head);
            armed = true;
        }
        match client.stream.recv(&mut client.received).await {
            Ok(count) => context.row.add(Counter::BytesIn, count as u64),
            Err(Failure::TimedOut) => return Err(Reason::HeadTimeout),
            Err(_) => return Err(Reason::ClientGone),
        }
    }
}

fn reason_of(error: ParseError) -> Reason {
    match error.status() {
        414 => Reason::TargetTooLong,
        431 => Reason::HeadTooLarge,
        501 => Reason::NotImplemented,
        505 => Reason::UnsupportedVersion,
        _ => Reason::BadHead,
    }
}

/// Lets the client see its answer before the connection goes: ends our side, and drops what it
/// still sends for a while.
async fn linger(stream: &Stream) {
    stream.finish().await;
    stream.arm_read(LINGER);
    let mut dropped = 0;
    let mut buffer = Buffer::take(Size::Medium);
    while dropped < LINGER_BYTES {
        buffer.clear();
        match stream.recv(&mut buffer).await {
            Ok(count) => dropped += count,
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// The greater part of what an idle connection costs: what is rare or large belongs in a box.
    #[test]
    fn the_task_of_a_connection_is_small() {
        let size = size_of_future(serve);
        assert!(size <= 2200, "{size} bytes");
    }
}
