//! Who tells of changes: a ring, or an epoll instance.

use std::io;
use std::os::fd::RawFd;

use super::epoll::Epoll;
use super::ring::Ring;
use super::source::{Key, Sources};
use crate::clock::Instant;
use crate::net::driver::Driver;

/// What the kernel watches one side of a socket for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing.
    #[default]
    No,
    /// The next change.
    Once,
    /// All changes.
    Lasting,
    /// All changes of both sides, until the socket is closed.
    Both,
}

/// Who tells of changes.
#[derive(Debug)]
pub(super) enum Poller {
    /// Nobody: no loop runs.
    None,
    Ring(Box<Ring>),
    Epoll(Epoll),
}

impl Poller {
    pub(super) fn new(driver: Driver) -> io::Result<Self> {
        match driver {
            Driver::IoUring(flags) => Ok(Self::Ring(Box::new(Ring::new(flags)?))),
            Driver::Epoll => Epoll::new().map(Self::Epoll),
        }
    }

    /// Watches one side of `fd`, which is told at once if it is ready already.
    pub(super) fn watch(&mut self, fd: RawFd, key: Key, lasting: bool) -> io::Result<Watch> {
        match self {
            Self::None => Ok(Watch::No),
            Self::Ring(ring) => {
                ring.watch(fd, key, lasting);
                Ok(if lasting { Watch::Lasting } else { Watch::Once })
            }
            Self::Epoll(epoll) => epoll.watch(fd, key).map(|()| Watch::Both),
        }
    }

    /// Watches it no longer. The descriptor is about to be closed.
    pub(super) fn forget(&mut self, key: Key) {
        // An epoll instance forgets by itself.
        if let Self::Ring(ring) = self {
            ring.forget(key);
        }
    }

    /// The socket stays open elsewhere, where an epoll instance would go on watching it.
    pub(super) fn unregister(&self, fd: RawFd) {
        if let Self::Epoll(epoll) = self {
            epoll.unregister(fd);
        }
    }

    /// Delivers what happened, and waits for it until `timer` if told so; whether that may have
    /// passed.
    pub(super) fn turn(
        &mut self,
        wait: bool,
        timer: Option<Instant>,
        sources: &mut Sources,
    ) -> io::Result<bool> {
        match self {
            Self::None => Ok(false),
            Self::Ring(ring) => ring.turn(wait, timer, sources),
            Self::Epoll(epoll) => epoll.turn(wait, timer, sources),
        }
    }
}
