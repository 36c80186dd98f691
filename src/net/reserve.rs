//! Descriptors that connections leave: whoever asks why there are no more (the admin interface), and
//! files that answers are in, still get some.
//!
//! A new descriptor has the lowest number that is free. So one from [`KEPT_FROM`] on says that all
//! below are taken.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// How many; of few descriptors an eighth.
const RESERVE: usize = 32;
const PART: usize = 8;

/// The first number that is kept back.
static KEPT_FROM: AtomicI32 = AtomicI32::new(RawFd::MAX);

/// One of these was taken. Until there is a lower one again, it is looked for before each accept: what is
/// not accepted can wait in its queue, what is accepted cannot be given back.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Keeps some of `limit` descriptors back.
pub(super) fn keep_back(limit: usize) {
    let kept_from = RawFd::try_from(limit - RESERVE.min(limit / PART)).unwrap_or(RawFd::MAX);
    KEPT_FROM.store(kept_from, Ordering::Relaxed);
}

fn is_kept(fd: RawFd) -> bool {
    fd >= KEPT_FROM.load(Ordering::Relaxed)
}

/// Before a connection is accepted, which is `fd`'s to do.
///
/// # Errors
/// `EMFILE`: none is left but what is kept back.
pub(super) fn may_accept(fd: RawFd) -> io::Result<()> {
    if !SHORT.load(Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the copy is new, and nobody else owns it.
    let lowest = unsafe {
        let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(copy)
    };
    admit(&lowest)?;
    SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// A connection was accepted as `fd`.
pub(super) fn accepted(fd: &impl AsRawFd) {
    if is_kept(fd.as_raw_fd()) {
        SHORT.store(true, Ordering::Relaxed);
    }
}

/// Whether a connection may have this descriptor.
///
/// # Errors
/// `EMFILE`: it is one of those that are kept back.
pub(super) fn admit(fd: &impl AsRawFd) -> io::Result<()> {
    if is_kept(fd.as_raw_fd()) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    Ok(())
}
