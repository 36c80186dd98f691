//! Sockets that are waited for: what is known of each, and who waits.
//!
//! The kernel tells of changes, and each is told once. So a side that became ready is taken to be so
//! until a direct call found nothing more to do; a side that is not watched may be anything.
//!
//! The first wait for a socket asks for one change, later ones for all that follow: a connection that
//! serves one request has nothing to take back when it is closed.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::poller::{Poller, Watch};
use super::{REACTOR, give_way};
use crate::net::socket;

/// A direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Side {
    /// Something can be received: bytes, the end, or an error.
    Read,
    /// Something can be sent.
    Write,
}

/// A socket of this thread. Closed when it is dropped; who waits for it then waits for ever.
#[derive(Debug)]
pub(in crate::net) struct Source {
    fd: OwnedFd,
    index: u32,
}

/// Which socket, which side, and whose: the number that the kernel gives back with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub(super) u64);

const GENERATIONS: u32 = (1 << 30) - 1;
const WRITE: u64 = 1 << 62;

impl Key {
    /// What is no socket: for the poller's own use.
    pub(super) const TIMER: Self = Self(u64::MAX);
    pub(super) const NOBODY: Self = Self(u64::MAX - 1);

    fn new(index: u32, generation: u32, side: Side) -> Self {
        let side = if side == Side::Write { WRITE } else { 0 };
        Self(side | u64::from(generation) << 32 | u64::from(index))
    }

    /// The key of the same socket's receiving side.
    pub(super) const fn as_read(self) -> Self {
        Self(self.0 & !WRITE)
    }

    const fn index(self) -> usize {
        self.0 as u32 as usize
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & GENERATIONS
    }

    pub(super) const fn side(self) -> Side {
        if self.0 & WRITE == 0 { Side::Read } else { Side::Write }
    }
}

/// What is known of one direction.
#[derive(Debug, Default)]
struct Known {
    /// A call may find something to do.
    ready: bool,
    /// It ended, failed, or has something out of band: fewer bytes than there was room for do not
    /// mean that there is nothing more.
    over: bool,
    watch: Watch,
    /// Somebody waits, by `waker`, which stays for the next time.
    waiting: bool,
    waker: Option<Waker>,
}

/// What is known of one socket.
#[derive(Debug, Default)]
struct Entry {
    /// How many sockets had this place before.
    generation: u32,
    /// It was waited for before.
    known: bool,
    read: Known,
    write: Known,
}

impl Entry {
    const fn side(&mut self, side: Side) -> &mut Known {
        match side {
            Side::Read => &mut self.read,
            Side::Write => &mut self.write,
        }
    }
}

/// The sockets of a thread.
#[derive(Debug)]
pub(super) struct Sources {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// The kernel refused to watch for all changes that follow (Linux before 5.13).
    one_by_one: bool,
}

/// What a change says.
const READ_EVENTS: i32 = (libc::POLLIN | libc::POLLRDHUP | libc::POLLPRI) as i32;
const FINAL_EVENTS: i32 = (libc::POLLRDHUP | libc::POLLPRI | libc::POLLHUP | libc::POLLERR) as i32;

impl Side {
    /// What the kernel is to watch for; that it ended or failed is always told.
    pub(super) const fn events(self) -> u32 {
        match self {
            Self::Read => READ_EVENTS as u32,
            Self::Write => libc::POLLOUT as u32,
        }
    }
}

impl Sources {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), one_by_one: false }
    }

    /// A loop begins: what an earlier one watched is not watched any more.
    pub(super) fn forget_watches(&mut self) {
        for entry in &mut self.entries {
            (entry.read.watch, entry.write.watch) = (Watch::No, Watch::No);
        }
        self.one_by_one = false;
    }

    fn add(&mut self) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            // Bounded by the number of descriptors.
            (self.entries.len() - 1) as u32
        });
        if let Some(entry) = self.entries.get_mut(index as usize) {
            // Perhaps there is something already: a call tells more cheaply than the kernel's watch.
            entry.read.ready = true;
        }
        index
    }

    fn get(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize)
    }

    /// Takes what the kernel says: `events` as of poll(2), or an error below 0; `more` follow.
    pub(super) fn deliver(&mut self, key: Key, events: i32, more: bool) {
        if events == -libc::EINVAL {
            self.one_by_one = true;
        }
        let Some(entry) = self.entries.get_mut(key.index()) else { return };
        if entry.generation != key.generation() {
            // Of a socket that is closed.
            return;
        }
        let known = entry.side(key.side());
        known.ready = true;
        // What failed is asked for again, and then tells by itself.
        known.over |= events < 0 || events & FINAL_EVENTS != 0;
        if !more {
            known.watch = Watch::No;
        }
        if std::mem::replace(&mut known.waiting, false)
            && let Some(waker) = &known.waker
        {
            waker.wake_by_ref();
        }
    }

    /// As [`Sources::deliver`], for both sides.
    pub(super) fn deliver_both(&mut self, index_and_generation: Key, events: i32) {
        let Key(bits) = index_and_generation;
        let ended = (libc::POLLHUP | libc::POLLERR) as i32;
        if events & (READ_EVENTS | ended) != 0 {
            self.deliver(Key(bits), events, true);
        }
        if events & (libc::POLLOUT as i32 | ended) != 0 {
            self.deliver(Key(bits | WRITE), events, true);
        }
    }
}

impl Source {
    /// Takes a socket, whose direct calls must not wait, into this thread.
    pub(in crate::net) fn new(fd: OwnedFd) -> Self {
        let index = REACTOR.with(|reactor| reactor.sources.borrow_mut().add());
        Self { fd, index }
    }

    /// The same socket for another loop; this one is to be dropped next.
    pub(in crate::net) fn copy_out(&self) -> io::Result<OwnedFd> {
        let copy = self.fd.try_clone()?;
        REACTOR.with(|reactor| reactor.poller.borrow_mut().unregister(self.fd()));
        // Asked for anew if it is used after all.
        _ = self.with(|entry| {
            for known in [&mut entry.read, &mut entry.write] {
                if known.watch == Watch::Both {
                    (known.watch, known.ready) = (Watch::No, true);
                }
            }
        });
        Ok(copy)
    }

    pub(in crate::net) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        REACTOR.with(|reactor| reactor.sources.borrow_mut().get(self.index).map(look))
    }

    /// Whether a call may find something to receive.
    pub(in crate::net) fn may_read(&self) -> bool {
        self.with(|entry| entry.read.ready).unwrap_or(true)
    }

    /// Whether the kernel would have told of something to receive, and has not.
    pub(in crate::net) fn is_told_quiet(&self) -> bool {
        self.with(|entry| entry.read.watch != Watch::No && !entry.read.ready).unwrap_or(false)
    }

    /// A call found nothing to do: `EAGAIN`.
    pub(in crate::net) fn exhausted(&self, side: Side) {
        _ = self.with(|entry| {
            let known = entry.side(side);
            (known.ready, known.over) = (false, false);
        });
    }

    /// There is hardly something to receive yet: the kernel is to say so, if it has not been asked.
    pub(in crate::net) fn look_later(&self) {
        _ = self.with(|entry| {
            // What it has told already it does not tell again.
            if entry.read.watch == Watch::No {
                entry.read.ready = false;
            }
        });
    }

    /// A call on a stream left room for more, so there is no more unless it is told.
    pub(in crate::net) fn drained(&self) {
        _ = self.with(|entry| entry.read.ready = entry.read.over);
    }

    /// Waits until a call may find something to do. May be dropped at any time.
    pub(in crate::net) const fn wait(&self, side: Side) -> Wait<'_> {
        Wait { source: self, side }
    }

    /// Waits until there is something to receive, and then there is. May be dropped at any time.
    pub(in crate::net) async fn readable(&self) -> io::Result<()> {
        loop {
            if self.may_read() {
                // A change may be of what a call has taken meanwhile.
                if socket::is_ready(self.fd(), Side::Read.events()) {
                    return Ok(());
                }
                self.exhausted(Side::Read);
            }
            self.wait(Side::Read).await?;
        }
    }

    /// Waits until something can be sent, and lets others run in any case. May be dropped at any
    /// time.
    pub(in crate::net) async fn writable(&self) -> io::Result<()> {
        if self.with(|entry| entry.write.ready).unwrap_or(false) {
            if socket::is_ready(self.fd(), Side::Write.events()) {
                give_way().await;
                return Ok(());
            }
            self.exhausted(Side::Write);
        }
        self.wait(Side::Write).await
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // While the thread ends there is no table any more, nor a loop that watches.
        _ = REACTOR.try_with(|reactor| {
            let mut sources = reactor.sources.borrow_mut();
            let Some(entry) = sources.get(self.index) else { return };
            let (read, write) = (entry.read.watch, entry.write.watch);
            let generation = entry.generation;
            // A later change of this socket finds another generation, and nobody.
            let next = generation.wrapping_add(1) & GENERATIONS;
            *entry = Entry { generation: next, ..Entry::default() };
            sources.free.push(self.index);
            let mut poller = reactor.poller.borrow_mut();
            for (side, watch) in [(Side::Read, read), (Side::Write, write)] {
                // The kernel keeps what it watches open until it is told to let go.
                if watch != Watch::No {
                    poller.forget(Key::new(self.index, generation, side));
                }
            }
        });
    }
}

/// A wait under way.
#[derive(Debug)]
pub(in crate::net) struct Wait<'a> {
    source: &'a Source,
    side: Side,
}

impl Future for Wait<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (index, side) = (self.source.index, self.side);
        REACTOR.with(|reactor| {
            let mut sources = reactor.sources.borrow_mut();
            let one_by_one = sources.one_by_one;
            let Some(entry) = sources.get(index) else { return Poll::Pending };
            let generation = entry.generation;
            let lasting = std::mem::replace(&mut entry.known, true) && !one_by_one;
            let known = entry.side(side);
            if known.ready {
                return Poll::Ready(Ok(()));
            }
            if !known.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                known.waker = Some(context.waker().clone());
            }
            known.waiting = true;
            if known.watch == Watch::No {
                let mut poller = reactor.poller.borrow_mut();
                let key = Key::new(index, generation, side);
                known.watch = match watch(&mut poller, self.source.fd(), key, lasting) {
                    Ok(watch) => watch,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if known.watch == Watch::Both {
                    (entry.read.watch, entry.write.watch) = (Watch::Both, Watch::Both);
                }
            }
            Poll::Pending
        })
    }
}

/// Sending is waited for rarely, and each time by itself.
fn watch(poller: &mut Poller, fd: RawFd, key: Key, lasting: bool) -> io::Result<Watch> {
    poller.watch(fd, key, lasting && key.side() == Side::Read)
}
