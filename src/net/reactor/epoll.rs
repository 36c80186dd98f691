//! Changes by epoll, where io_uring is refused. Each socket is registered once, edge-triggered.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::source::{Key, Side, Sources};
use crate::clock::{self, Instant};

/// Changes that are taken at a time.
const BATCH: usize = 256;

pub(super) struct Epoll {
    fd: OwnedFd,
    events: Box<[libc::epoll_event; BATCH]>,
}

impl fmt::Debug for Epoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoll").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a call without pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave it to us, and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, events: Box::new([libc::epoll_event { events: 0, u64: 0 }; BATCH]) })
    }

    /// Registers a socket for both sides, under the key of its receiving one.
    pub(super) fn watch(&self, fd: RawFd, key: Key) -> io::Result<()> {
        let events = Side::Read.events() | Side::Write.events() | libc::EPOLLET as u32;
        let mut event = libc::epoll_event { events, u64: key.as_read().0 };
        let add = libc::EPOLL_CTL_ADD;
        // SAFETY: `event` is valid during the call, which copies it.
        if unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), add, fd, &raw mut event) } == 0 {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    }

    /// Takes that back.
    pub(super) fn unregister(&self, fd: RawFd) {
        // Fails where it was never registered.
        // SAFETY: a call whose pointer is not used.
        unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
        };
    }

    pub(super) fn turn(
        &mut self,
        wait: bool,
        timer: Option<Instant>,
        sources: &mut Sources,
    ) -> io::Result<bool> {
        let patience = match timer {
            _ if !wait => 0,
            None => -1,
            Some(deadline) => {
                let left = deadline.since(clock::now());
                // Up, so that nobody is woken early.
                left.as_micros().div_ceil(1000).try_into().unwrap_or(libc::c_int::MAX)
            }
        };
        let (at, room) = (self.events.as_mut_ptr(), BATCH as libc::c_int);
        // SAFETY: `at` points at `room` events that are writable during the call.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), at, room, patience) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(true) } else { Err(error) };
        }
        for event in self.events.iter().take(usize::try_from(count).unwrap_or(0)) {
            let (events, key) = (event.events, event.u64);
            sources.deliver_both(Key(key), events.cast_signed());
        }
        Ok(timer.is_some_and(|deadline| deadline <= clock::now()))
    }
}
