//! Listening sockets: one per worker and address, sharing it by SO_REUSEPORT.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::reactor::{self, Side, Source};
use super::stream::Stream;
use super::{runtime, socket};

/// Connections that may wait to be accepted, per worker and address (the kernel's
/// `net.core.somaxconn` may lower it).
const BACKLOG: i32 = 4096;

/// A bound address: a socket for each worker.
#[derive(Debug)]
pub struct Listening<S = StdTcpListener> {
    /// The address, with the port that the kernel chose if 0 was asked for.
    pub address: SocketAddr,
    /// One socket per worker.
    pub sockets: Vec<S>,
}

/// An address could not be bound.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.source)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(" (another process listens there)"),
            io::ErrorKind::PermissionDenied => {
                f.write_str(" (ports below 1024 need root or CAP_NET_BIND_SERVICE)")
            }
            io::ErrorKind::AddrNotAvailable => f.write_str(" (no interface has this address)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds `address` once per worker.
///
/// # Errors
/// The address is in use (also by another process that shares its port), not ours, or forbidden.
pub fn bind(
    address: SocketAddr,
    workers: usize,
    defer_accept: bool,
) -> Result<Listening, BindError> {
    bind_all(address, workers, defer_accept).map_err(|source| BindError { address, source })
}

fn bind_all(mut address: SocketAddr, workers: usize, defer: bool) -> io::Result<Listening> {
    // SO_REUSEPORT would silently share the port with another ringway: a socket without it finds
    // out whether somebody is there.
    if address.port() != 0 {
        let probe = open(address)?;
        probe.bind(&address.into())?;
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        // Inherited by accepted connections.
        socket.set_tcp_nodelay(true)?;
        if defer {
            defer_accept(&socket)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = StdTcpListener::from(socket);
        address = listener.local_addr()?;
        sockets.push(listener);
    }
    Ok(Listening { address, sockets })
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn defer_accept(socket: &Socket) -> io::Result<()> {
    let seconds: libc::c_int = 5;
    // SAFETY: the option's value is an int, valid during the call.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A worker's end of a listening socket.
#[derive(Debug)]
pub struct Acceptor {
    source: Source,
}

impl Acceptor {
    /// Takes the socket into the calling worker's loop.
    #[must_use]
    pub fn new(listener: StdTcpListener) -> Self {
        Self { source: Source::new(listener.into()) }
    }

    /// Waits until a connection may be accepted. May be dropped at any time.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn ready(&self) -> io::Result<()> {
        reactor::share().await;
        let result = self.source.wait(Side::Read).await;
        runtime::completed();
        result
    }

    /// Accepts a connection if one waits.
    ///
    /// # Errors
    /// No descriptors or memory are left, or the kernel's; not that a client left meanwhile.
    pub fn accept(&self) -> io::Result<Option<(Stream, SocketAddr)>> {
        loop {
            match socket::accept_now(self.source.fd()) {
                Ok((socket, Some(peer))) => {
                    return Ok(Some((Stream::new(Source::new(socket)), peer)));
                }
                Ok((_, None)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.source.exhausted(Side::Read);
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets no new connection begin; those whose handshake is under way can still be accepted.
    /// To be called before the last `accept`s, so that none is reset by the close.
    pub fn refuse_new(&self) {
        // Where filters are forbidden, a connection in the last microseconds may be reset.
        _ = socket::refuse_new_connections(self.source.fd());
    }

    /// Closes: a pending [`Acceptor::ready`] ends; what was not accepted is reset.
    pub fn close(&self) {
        socket::shutdown_both(self.source.fd());
    }
}
