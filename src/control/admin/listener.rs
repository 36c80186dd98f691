//! Where the admin interface listens: a TCP address, or a Unix socket that is only its owner's.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use super::guard::Guard;
use crate::config::AdminAddress;
use crate::net;

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

/// Bound, before the runtime is there.
#[derive(Debug)]
pub struct AdminListener(Bound);

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

/// Listens on `address`, and says so in the log.
///
/// # Errors
/// Another process listens there, or the system refused.
pub fn bind(address: &AdminAddress) -> Result<AdminListener, AdminBindError> {
    let error = |source| AdminBindError { address: address.clone(), source };
    match address {
        AdminAddress::Tcp(wanted) => {
            let (listener, bound) = bind_tcp(*wanted).map_err(error)?;
            tracing::info!(address = %bound, "admin interface");
            if !bound.ip().to_canonical().is_loopback() {
                tracing::warn!(
                    address = %bound,
                    "server.admin is not loopback: whoever reaches it may read everything and \
                     take members out, as it asks for no password"
                );
            }
            Ok(AdminListener(Bound::Tcp(listener, bound)))
        }
        AdminAddress::Unix(path) => {
            let (listener, file) = bind_unix(path).map_err(error)?;
            tracing::info!(%address, "admin interface");
            Ok(AdminListener(Bound::Unix(listener, file)))
        }
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
    match net::is_served(path)? {
        true => Err(io::ErrorKind::AddrInUse.into()),
        false => fs::remove_file(path),
    }
}

impl AdminListener {
    pub(super) const fn guard(&self) -> Guard {
        match &self.0 {
            Bound::Tcp(_, address) => Guard::Tcp(address.ip()),
            Bound::Unix(..) => Guard::Unix,
        }
    }

    pub(super) fn open(self) -> io::Result<Socket> {
        Ok(match self.0 {
            Bound::Tcp(listener, _) => Socket::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener, file) => Socket::Unix(UnixListener::from_std(listener)?, file),
        })
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
