//! Large bodies from socket to socket without a copy: splice(2) through a pipe.
//!
//! Direct, non-blocking calls: io_uring's own splice goes through worker threads. Pipes are kept per
//! worker; a pipe that may still hold bytes is closed instead.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::socket;
use super::stream::{Failure, Stream};

/// Bytes that a pipe holds: what a slow reader of an endless answer costs in the kernel.
pub(super) const PIPE_BYTES: usize = 512 << 10;

/// Pipes that a worker keeps for later.
const KEPT: usize = 16;

/// Rounds without waiting after which others get their turn.
pub(super) const ROUNDS: u32 = 8;

/// From so many bytes on a destination is kept short of them, see [`UNSENT`].
const LONG: u64 = 256 << 10;

/// Bytes of a long body that the kernel holds for the destination beyond those under way, about. It would
/// take megabytes, which are out of the caches of the processor by the time that they leave, and
/// which a slow reader keeps from others.
const UNSENT: u32 = 32 << 10;

/// A pipe of this worker.
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

thread_local! {
    static FREE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

impl Pipe {
    pub(super) fn take() -> io::Result<Self> {
        if let Some(pipe) = FREE.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let mut ends = [-1; 2];
        // SAFETY: room for two descriptors, which become owned below.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us both, and nobody else owns them.
        let (read, write) =
            unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        // Beyond fs.pipe-user-pages-soft it keeps its 64 KiB: slower, not wrong.
        // SAFETY: a call without pointers on a descriptor that we own.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES as libc::c_int) };
        Ok(Self { read, write })
    }

    /// Keeps it for later; it must be empty.
    pub(super) fn keep(self) {
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT {
                free.push(self);
            }
        });
    }
}

/// How a relay went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// All bytes were moved.
    Done,
    /// The source failed before all bytes had been received.
    FromFailed(Failure),
    /// The destination failed; `taken` bytes had been received from the source.
    ToFailed {
        /// Why.
        failure: Failure,
        /// Bytes received from the source.
        taken: u64,
    },
    /// Not begun: the kernel gives no pipe, or not for these sockets.
    Unavailable,
}

/// Moves up to `count` bytes without waiting.
pub(super) fn call(from: RawFd, to: RawFd, count: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: null offsets are what sockets and pipes take; no memory of ours is touched.
    let moved =
        unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), count, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// A destination that the kernel holds little for, while it lives.
pub(super) struct Short<'a>(&'a Stream);

impl<'a> Short<'a> {
    pub(super) fn new(to: &'a Stream) -> Self {
        socket::limit_unsent(to.fd(), Some(UNSENT));
        Self(to)
    }
}

impl Drop for Short<'_> {
    fn drop(&mut self) {
        socket::limit_unsent(self.0.fd(), None);
    }
}

/// Moves `count` bytes. The source must deliver something every `silence`, the destination take
/// something every `stall`; `moved` is told of bytes that reached the destination.
pub async fn splice(
    (from, silence): (&Stream, Duration),
    (to, stall): (&Stream, Duration),
    count: u64,
    mut moved: impl FnMut(u64),
) -> Relayed {
    let able = !from.is_tls() && !to.is_tls();
    let Some(pipe) = able.then(Pipe::take).and_then(Result::ok) else {
        return Relayed::Unavailable;
    };
    let _short = (count >= LONG).then(|| Short::new(to));
    let (mut left, mut inside, mut rounds) = (count, 0usize, 0);
    loop {
        if left > 0 && inside < PIPE_BYTES {
            let wanted = usize::try_from(left).map_or(PIPE_BYTES, |l| l.min(PIPE_BYTES));
            match call(from.fd(), pipe.write.as_raw_fd(), wanted.min(PIPE_BYTES - inside)) {
                Ok(0) if inside == 0 => {
                    return Relayed::FromFailed(from.explain(Failure::Closed));
                }
                Ok(0) => {}
                Ok(got) => {
                    inside += got;
                    left -= got as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if inside == 0 {
                        rounds = 0;
                        from.arm_read(silence);
                        if let Err(failure) = from.readable().await {
                            return Relayed::FromFailed(failure);
                        }
                        from.disarm_read();
                        continue;
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && left == count => {
                    return Relayed::Unavailable;
                }
                // What is in the pipe still goes out; the next round meets the error again.
                Err(_) if inside > 0 => {}
                Err(_) => return Relayed::FromFailed(from.explain(Failure::Reset)),
            }
        }
        match call(pipe.read.as_raw_fd(), to.fd(), inside) {
            Ok(sent) => {
                inside -= sent.min(inside);
                moved(sent as u64);
                rounds += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => rounds = ROUNDS,
            Err(_) => {
                let failure = to.explain(Failure::Reset);
                return Relayed::ToFailed { failure, taken: count - left };
            }
        }
        if left == 0 && inside == 0 {
            pipe.keep();
            return Relayed::Done;
        }
        if rounds >= ROUNDS {
            rounds = 0;
            from.progressed();
            to.arm_write(stall);
            if let Err(failure) = to.writable().await {
                return Relayed::ToFailed { failure, taken: count - left };
            }
            to.disarm_write();
        }
    }
}
