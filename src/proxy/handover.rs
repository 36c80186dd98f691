//! Connections that go from one worker to another: those that were just accepted, where the kernel
//! dealt one worker too many; and those between two requests, where one worker has too much to do.
//! The busier a connection is, the sooner it is between two requests when its worker wants relief.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::context::{Context, Place};
use super::exchange::Client;
use super::forwarded::Peer;
use super::keyed::Seat;
use crate::ids::{ListenerId, WorkerId};
use crate::net::Stream;

/// Sends a connection to another worker; gives it back where that has no room for messages.
pub struct Give(Box<dyn Fn(WorkerId, Newcomer) -> Result<(), Newcomer>>);

impl Give {
    /// A way.
    pub fn new(give: impl Fn(WorkerId, Newcomer) -> Result<(), Newcomer> + 'static) -> Self {
        Self(Box::new(give))
    }

    pub(super) fn send(&self, to: WorkerId, newcomer: Newcomer) -> Result<(), Newcomer> {
        (self.0)(to, newcomer)
    }
}

impl fmt::Debug for Give {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Give")
    }
}

/// A connection on its way to another worker, which has a place for it.
#[derive(Debug)]
pub struct Newcomer {
    socket: OwnedFd,
    listener: ListenerId,
    origin: Origin,
}

/// What is known of the client of a connection that begins on a worker.
#[derive(Debug)]
pub enum Origin {
    /// Nothing was read yet.
    Accepted {
        /// Where it comes from.
        peer: SocketAddr,
        /// The port that it connected to.
        port: u16,
    },
    /// It has been served by another worker, and may ask again.
    Moved(Moved),
}

/// A client that is known already, and its seat among the connections of its address.
#[derive(Debug)]
pub struct Moved(pub(super) Peer, pub(super) Option<Seat>);

impl Newcomer {
    /// The connection on this worker, with its place here; none if the system has no room.
    #[must_use]
    pub fn arrive(mut self, context: &Rc<Context>) -> Option<(Place, Stream, Origin)> {
        // Taken by the worker that it came from. Given back if it cannot be used.
        let place = Place::taken(context, self.listener);
        match &mut self.origin {
            Origin::Accepted { peer, .. } if !place.is_for(peer.ip()) => return None,
            Origin::Accepted { .. } => {}
            Origin::Moved(Moved(_, seat)) => place.sit(seat.take()),
        }
        let stream = Stream::join(self.socket).ok()?;
        Some((place, stream, self.origin))
    }
}

/// Whether a connection that was just accepted went to another worker; else it is given back.
///
/// # Errors
/// The connection: it stays here.
pub fn pass_on(
    context: &Context,
    listener: ListenerId,
    stream: Stream,
    peer: SocketAddr,
    port: u16,
) -> Result<(), Stream> {
    let Some(to) = context.lighter() else { return Err(stream) };
    if !context.take_place_on(to, listener) {
        // Closed at once, and counted.
        return Ok(());
    }
    let origin = Origin::Accepted { peer, port };
    let back = match stream.leave() {
        Err(stream) => Ok(stream),
        Ok(socket) => match context.give(to, Newcomer { socket, listener, origin }) {
            Ok(()) => return Ok(()),
            Err(newcomer) => Stream::join(newcomer.socket),
        },
    };
    context.occupancy.leave(to, listener);
    // Where the loop does not take it back, the client sees the end of it.
    back.map_or(Ok(()), Err)
}

/// Where the connection of `client`, which is between two requests, should go from here.
pub(super) fn wanted(context: &Context, client: &Client) -> Option<WorkerId> {
    // Once only: what makes its worker busy by itself would wander for ever.
    let movable = !client.moved && client.received.is_empty() && !client.stream.is_tls();
    if movable { context.relief() } else { None }
}

/// Sends it there; gives it back if it could not go.
pub(super) fn give(client: Client, place: Place, to: WorkerId) -> Option<(Client, Place)> {
    let Client { stream, peer, listener, .. } = client;
    let context = Rc::clone(place.shared());
    let stay = |stream, peer, place| Some((Client::known(stream, peer, listener), place));
    let socket = match stream.leave() {
        Ok(socket) => socket,
        Err(stream) => return stay(stream, peer, place),
    };
    let seat = place.give_to(to);
    let newcomer = Newcomer { socket, listener, origin: Origin::Moved(Moved(peer, seat)) };
    let back = context.give(to, newcomer).err()?;
    context.occupancy.transfer(to, context.worker, listener);
    let place = Place::taken(&context, listener);
    match (Stream::join(back.socket), back.origin) {
        (Ok(stream), Origin::Moved(Moved(peer, seat))) => {
            place.sit(seat);
            stay(stream, peer, place)
        }
        // Where the loop does not take it back, the client sees the end of it.
        _ => None,
    }
}
