//! Datagrams: a bound socket per worker and address for any client, and a socket per flow that is
//! connected to a member. Waiting is the loop's business; receiving and sending are direct calls.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::buffer::Buffer;
use super::deadline::Deadlines;
use super::listen::{BindError, Listening};
use super::reactor::{self, Side, Source};
use super::stream::Failure;
use super::{packet, runtime, socket};

/// Binds `address` once per worker.
///
/// # Errors
/// The address is in use (also by another process that shares its port), not ours, or forbidden.
pub fn bind_datagrams(
    address: SocketAddr,
    workers: usize,
) -> Result<Listening<StdUdpSocket>, BindError> {
    bind_all(address, workers).map_err(|source| BindError { address, source })
}

fn bind_all(mut address: SocketAddr, workers: usize) -> io::Result<Listening<StdUdpSocket>> {
    // SO_REUSEPORT would silently share the port with another ringway: a socket without it finds
    // out whether somebody is there.
    if address.port() != 0 {
        open(address)?.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        if address.ip().is_unspecified() {
            // Answers must come from the address that was asked.
            packet::tell_local_address(socket.as_raw_fd(), address.is_ipv6())?;
        }
        socket.bind(&address.into())?;
        let bound = StdUdpSocket::from(socket);
        address = bound.local_addr()?;
        sockets.push(bound);
    }
    Ok(Listening { address, sockets })
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Waits until `source` may have something, or an error.
async fn ready(source: &Source) -> io::Result<()> {
    reactor::share().await;
    let result = source.wait(Side::Read).await;
    runtime::completed();
    result
}

/// `None` where a call on `source` would have to wait.
fn unless_waiting<T>(source: &Source, side: Side, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            source.exhausted(side);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Where a datagram came from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The client.
    pub client: SocketAddr,
    /// The address of ours that it sent to, where there are several.
    pub local: Option<IpAddr>,
}

/// A worker's end of a bound socket.
#[derive(Debug)]
pub struct Datagrams {
    source: Source,
}

impl Datagrams {
    /// Takes the socket into the calling worker's loop.
    #[must_use]
    pub fn new(socket: StdUdpSocket) -> Self {
        Self { source: Source::new(socket.into()) }
    }

    /// Waits until a datagram may be received. May be dropped at any time.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn ready(&self) -> io::Result<()> {
        ready(&self.source).await
    }

    /// Receives a datagram into the empty `buffer`, if one waits.
    ///
    /// # Errors
    /// The kernel's.
    pub fn recv(&self, buffer: &mut Buffer) -> io::Result<Option<Envelope>> {
        unless_waiting(&self.source, Side::Read, packet::receive(self.source.fd(), buffer))
    }

    /// Sends a datagram; false: there is no room for it now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(&self, bytes: &[u8], envelope: &Envelope) -> io::Result<bool> {
        let sent = packet::send(self.source.fd(), bytes, envelope);
        Ok(unless_waiting(&self.source, Side::Write, sent)?.is_some())
    }

    /// A pending [`Datagrams::ready`] ends.
    pub fn close(&self) {
        socket::shutdown_both(self.source.fd());
    }
}

/// A socket connected to a member: the way of one flow.
#[derive(Debug)]
pub struct Correspondent {
    // Dropped first: the sweep must forget the descriptor before it is closed.
    deadlines: Deadlines,
    source: Source,
    closed: Cell<bool>,
}

impl Correspondent {
    /// Towards the member at `address`. Nothing is sent.
    ///
    /// # Errors
    /// The address cannot be reached, or no descriptors are left.
    pub fn new(address: SocketAddr) -> Result<Self, Failure> {
        let connect = || {
            let socket = open(address)?;
            socket.connect(&SockAddr::from(address))?;
            Ok(Source::new(socket.into()))
        };
        let source = connect().map_err(|error: io::Error| Failure::of(&error))?;
        let deadlines = Deadlines::new(source.fd());
        Ok(Self { deadlines, source, closed: Cell::new(false) })
    }

    fn fd(&self) -> RawFd {
        self.source.fd()
    }

    /// There must be a datagram either way within `span` from now.
    pub fn arm(&self, span: Duration) {
        self.deadlines.arm_idle(span);
    }

    /// Waits until something may be received, or an error.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] when the deadline passed, [`Failure::Closed`] after
    /// [`Correspondent::close`].
    pub async fn ready(&self) -> Result<(), Failure> {
        let result = ready(&self.source).await;
        if self.closed.get() {
            return Err(Failure::Closed);
        }
        if self.deadlines.cause().is_some() {
            return Err(Failure::TimedOut);
        }
        result.map_err(|error| Failure::of(&error))
    }

    /// Receives a datagram into the empty `buffer`; false: none waits.
    ///
    /// # Errors
    /// [`Failure::Refused`] where nobody listens; the kernel's.
    pub fn recv(&self, buffer: &mut Buffer) -> Result<bool, Failure> {
        let received = packet::receive_plain(self.fd(), buffer);
        let received = unless_waiting(&self.source, Side::Read, received);
        received.map(|datagram| datagram.is_some()).map_err(|error| Failure::of(&error))
    }

    /// Sends a datagram; false: there is no room for it now.
    ///
    /// # Errors
    /// As [`Correspondent::recv`], of an earlier datagram.
    pub fn send(&self, bytes: &[u8]) -> Result<bool, Failure> {
        let sent =
            unless_waiting(&self.source, Side::Write, SockRef::from(&self.source).send(bytes));
        sent.map(|sent| sent.is_some()).map_err(|error| Failure::of(&error))
    }

    /// A pending [`Correspondent::ready`] ends.
    pub fn close(&self) {
        self.closed.set(true);
        socket::shutdown_both(self.fd());
    }
}
