//! Connecting to a server, over TCP or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Address;
use super::pair::{Either, race};
use super::reactor::{self, Side, Source};
use super::stream::{Failure, Stream};
use super::{reserve, runtime, socket};

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
    let stream = Stream::new(Source::new(own.into()));
    stream.reads_in_pieces();
    Ok((stream, OwnedFd::from(other)))
}

async fn dial_ip(address: SocketAddr, timeout: Duration) -> Result<Stream, Failure> {
    let socket = connect_ip(address).map_err(|error| Failure::of(&error))?;
    let source = Source::new(socket);
    {
        // Dropped half done, the connection ends with its descriptor.
        let connected = pin!(source.wait(Side::Write));
        let timeout = pin!(reactor::sleep(timeout));
        match race(connected, timeout).await {
            Either::First(result) => result.map_err(|error| Failure::of(&error))?,
            Either::Second(()) => return Err(Failure::TimedOut),
        }
    }
    runtime::completed();
    match socket::error(source.fd()) {
        Ok(None) => {
            // A look would find nothing so soon, mostly.
            source.look_later();
            Ok(Stream::new(source))
        }
        Ok(Some(error)) | Err(error) => Err(Failure::of(&error)),
    }
}

/// Begins to connect.
fn connect_ip(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    reserve::admit(&socket)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
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
        reactor::sleep(BACKLOG_PAUSE).await;
        waited += BACKLOG_PAUSE;
    }
}

fn connect_unix(path: &Path) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    reserve::admit(&socket)?;
    socket.connect(&SockAddr::unix(path)?)?;
    let stream = Stream::new(Source::new(socket.into()));
    stream.reads_in_pieces();
    Ok(stream)
}
