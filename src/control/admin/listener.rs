//! Where the admin interface listens: a TCP address, or a Unix socket that is only its owner's.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

use super::guard::Guard;
use super::predecessor::is_draining;
use crate::config::AdminAddress;
use crate::net;

/// Between two tries while another process has the address.
const RETRY: Duration = Duration::from_millis(200);

/// `server.admin` cannot be had.
#[derive(Debug)]
pub struct AdminBindError {
    /// As configured.
    pub address: AdminAddress,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for AdminBindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        write!(f, "the admin interface cannot listen on {address}: {source}")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(" (another process listens there)"),
            io::ErrorKind::NotFound => f.write_str(" (its directory must exist)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for AdminBindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Before the runtime is there.
#[derive(Debug)]
pub struct AdminListener {
    address: AdminAddress,
    /// `None`: a process that is draining has the address yet.
    bound: Option<Bound>,
}

#[derive(Debug)]
enum Bound {
    Tcp(StdTcpListener, SocketAddr),
    Unix(StdUnixListener, File),
}

/// On the runtime.
pub(super) enum Socket {
    Tcp(TcpListener),
    /// With its file, which goes when the socket goes.
    Unix(UnixListener, #[allow(dead_code, reason = "held for its drop")] File),
}

/// The file of a Unix socket; dropped, it is removed, unless somebody else's is there now.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for File {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // At worst it stays, as after a crash, and the next start replaces it.
            _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Listens on `address`, and says so in the log. Behind a process that is draining it listens as
/// soon as that has ended.
///
/// # Errors
/// Another process listens there, or the system refused.
pub fn bind(address: &AdminAddress) -> Result<AdminListener, AdminBindError> {
    let listener = |bound| AdminListener { address: address.clone(), bound };
    match bind_now(address) {
        Ok(bound) => Ok(listener(Some(bound))),
        Err(source) if source.kind() == io::ErrorKind::AddrInUse && is_draining(address) => {
            tracing::warn!(%address, "the admin interface waits for a process that is draining");
            Ok(listener(None))
        }
        Err(source) => Err(AdminBindError { address: address.clone(), source }),
    }
}

fn bind_now(address: &AdminAddress) -> io::Result<Bound> {
    match address {
        AdminAddress::Tcp(wanted) => {
            let (listener, bound) = bind_tcp(*wanted)?;
            tracing::info!(address = %bound, "admin interface");
            if !bound.ip().to_canonical().is_loopback() {
                tracing::warn!(
                    address = %bound,
                    "server.admin is not loopback: whoever reaches it may read everything and \
                     take members out, as it asks for no password"
                );
            }
            Ok(Bound::Tcp(listener, bound))
        }
        AdminAddress::Unix(path) => {
            let (listener, file) = bind_unix(path)?;
            tracing::info!(%address, "admin interface");
            Ok(Bound::Unix(listener, file))
        }
    }
}

/// Where to connect to what is bound to `ip`: loopback for all addresses.
#[must_use]
pub fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<(StdTcpListener, SocketAddr)> {
    let listener = StdTcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn bind_unix(path: &Path) -> io::Result<(StdUnixListener, File)> {
    clear_stale(path)?;
    let listener = net::listen_private(path)?;
    Ok((listener, File { path: path.to_owned(), identity: identity(path)? }))
}

/// Removes the socket that a dead process left; refuses to touch anything else.
fn clear_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket"));
    }
    match net::dial_unix(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Somebody listens there, if only behind a full backlog.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

impl AdminListener {
    /// The socket, once it can be had, and whom it is for.
    pub(super) async fn open(self) -> io::Result<(Socket, Guard)> {
        let bound = match self.bound {
            Some(bound) => bound,
            None => loop {
                sleep(RETRY).await;
                match bind_now(&self.address) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    other => break other?,
                }
            },
        };
        match bound {
            Bound::Tcp(listener, address) => {
                Ok((Socket::Tcp(TcpListener::from_std(listener)?), Guard::Tcp(address.ip())))
            }
            Bound::Unix(listener, file) => {
                Ok((Socket::Unix(UnixListener::from_std(listener)?, file), Guard::Unix))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream as StdUnixStream;

    use super::*;

    /// A directory of this test's own.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ringway-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_socket_is_its_owners_replaces_a_dead_one_and_respects_a_live_one() {
        let directory = directory("admin-socket");
        let path = directory.join("admin.sock");
        let (listener, file) = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Dead, with its file left behind.
        drop(listener);
        std::mem::forget(file);
        assert!(path.exists());
        let (_listener, file) = bind_unix(&path).unwrap();
        StdUnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_file_that_is_another_process_s_stays() {
        let directory = directory("admin-other");
        let path = directory.join("admin.sock");
        let (_first, file) = bind_unix(&path).unwrap();
        // Kept, so that its number is not given to the next file.
        fs::rename(&path, directory.join("old")).unwrap();
        let (_second, second) = bind_unix(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
