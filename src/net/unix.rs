//! Unix sockets outside of workers: listening ones that only their owner may use, and the way to one.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A non-blocking socket that listens at `path`, with the mode 0600 from its first moment on: the
/// file gets the mode of the socket that is bound to it.
///
/// # Errors
/// There is a file already, or the system refused.
pub fn listen_private(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// Connects to `path` without waiting for a place in its backlog; what comes of it is a blocking
/// socket.
///
/// # Errors
/// Nobody listens there (`ConnectionRefused`, `NotFound`), nobody accepts (`WouldBlock`), or the
/// system refused.
pub fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}
