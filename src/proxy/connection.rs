//! One client's connection: heads in, exchanges, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use super::context::{Context, Place, Scratch};
use super::exchange::{Client, Ending, Facts, exchange};
use super::forwarded::Peer;
use super::greeting::{self, Refused};
use super::{access_log, reject};
use crate::config::ListenerConfig;
use crate::http::{HeadLimits, ParseError, Parsed};
use crate::net::{Buffer, Failure, Size, Stream};
use crate::stats::{Counter, Reason};

/// How long a client may go on sending what nobody will read, so that it gets to see its answer:
/// closing at once would reset the connection and could take the answer along.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read and dropped in that time.
const LINGER_BYTES: usize = 1 << 20;

/// How long an idle connection may still send a request once the worker drains.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub async fn serve(place: Place, stream: Stream, peer: SocketAddr, port: u16) {
    let context = place.context();
    let Some(listener) = context.listener(place.listener()) else { return };
    let mut received = Buffer::default();
    let mut ends = None;
    if listener.proxy_protocol.is_some() {
        // Rare, and large: kept out of every connection's memory.
        match Box::pin(greeting::receive(listener, &stream, peer, &mut received)).await {
            Ok(said) => ends = said,
            Err(refused) => return refuse(&place, peer, refused),
        }
        context.row.add(Counter::BytesIn, received.len() as u64);
    }
    let (from, to) = ends.map_or((peer, None), |ends| (ends.client, Some(ends.destination)));
    let peer = Peer::new(from, port, to, &listener.trusted_proxies);
    let mut client = Client { stream, peer, listener: place.listener(), received };
    let mut first = true;
    loop {
        let timeouts = &listener.timeouts;
        let mut patience = if first { timeouts.head } else { timeouts.idle };
        if context.is_draining() {
            // A request may be on its way: the last answer did not say that it should not.
            patience = patience.min(DRAIN_PATIENCE);
        }
        if !await_request(context, &mut client, patience).await {
            return;
        }
        let mut scratch = context.take_scratch();
        let ending = match read_head(context, listener, &mut client, &mut scratch).await {
            Ok(()) => exchange(context, listener, &mut client, &mut scratch).await,
            Err(reason) => reject::head(context, &client, reason).await,
        };
        context.keep_scratch(scratch);
        match ending {
            Ending::KeepAlive => {}
            Ending::Close => return,
            Ending::Linger => return linger(&client.stream).await,
            Ending::Reset => return client.stream.reset_on_drop(),
        }
        if client.received.is_empty() {
            // A buffer that grew for a body goes back while the connection idles.
            client.received = Buffer::default();
        }
        first = false;
    }
}

/// Counts and logs a connection that gets no further than its greeting.
fn refuse(place: &Place, peer: SocketAddr, refused: Refused) {
    let Refused::For(reason) = refused else { return };
    let context = place.context();
    context.row.error(reason);
    let facts = Facts::new(peer.ip().to_canonical());
    facts.reason.set(Some(reason));
    access_log::refused(context, place.listener(), &facts);
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
                if armed {
                    client.stream.disarm_read();
                }
                return Ok(());
            }
            Ok(Parsed::Partial) => {}
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
        505 => Reason::UnsupportedVersion,
        _ => Reason::BadHead,
    }
}

/// Lets the client see its answer before the connection goes: ends our side, and drops what it
/// still sends for a while.
async fn linger(stream: &Stream) {
    stream.finish();
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
