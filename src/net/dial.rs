//! Connecting to a server, over TCP or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use monoio::net::TcpStream;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::runtime;
use super::stream::{Failure, Stream};

/// Between two attempts at a Unix socket whose backlog is full: nothing tells when it has room.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Connects to `address` within `timeout`.
///
/// # Errors
/// [`Failure::TimedOut`], [`Failure::Refused`], [`Failure::NoDescriptors`] or the system's error.
pub async fn dial(address: &Address, timeout: Duration) -> Result<Stream, Failure> {
    match address {
        Address::Ip(address) => dial_ip(*address, timeout).await,
        Address::Unix(path) => dial_unix(path, timeout).await,
    }
}

/// A connection to nobody, and what stands for the other end: as long as that is there, it is open, takes
/// some bytes, and brings none.
///
/// # Errors
/// No descriptors are left.
pub fn nobody() -> io::Result<(Stream, OwnedFd)> {
    let (own, other) = std::os::unix::net::UnixStream::pair()?;
    own.set_nonblocking(true)?;
    // Only the descriptor counts: no call that is made on it is one of TCP's own.
    let own = std::net::TcpStream::from(OwnedFd::from(own));
    Ok((Stream::new_nonblocking(TcpStream::from_std(own)?), OwnedFd::from(other)))
}

async fn dial_ip(address: SocketAddr, timeout: Duration) -> Result<Stream, Failure> {
    // A connect is the one operation that may be dropped: no bytes are lost, and with the
    // runtime's `async-cancel` the descriptor is closed.
    #[allow(clippy::disallowed_methods)]
    let connected = monoio::time::timeout(timeout, TcpStream::connect_addr(address)).await;
    runtime::completed();
    let stream = connected.map_err(|_| Failure::TimedOut)?.map_err(|error| Failure::of(&error))?;
    // Fails only on a dead socket, which the first operation reports.
    _ = stream.set_nodelay(true);
    Ok(Stream::new(stream))
}

/// A connection to a Unix socket is there at once, or not at all.
async fn dial_unix(path: &Path, timeout: Duration) -> Result<Stream, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        match connect_unix(path) {
            Ok(stream) => return Ok(stream),
            // The backlog is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                return Err(Failure::Refused);
            }
            Err(error) => return Err(Failure::of(&error)),
        }
        if waited >= timeout {
            return Err(Failure::TimedOut);
        }
        runtime::sleep(BACKLOG_PAUSE).await;
        waited += BACKLOG_PAUSE;
    }
}

fn connect_unix(path: &Path) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    // Only the descriptor counts: no call that is made on it is one of TCP's own.
    let stream = std::net::TcpStream::from(OwnedFd::from(socket));
    Ok(Stream::new_nonblocking(TcpStream::from_std(stream)?))
}
