//! Deadlines without timers: a cell per connection and side, and one sweep per worker.
//!
//! Arming a deadline is one store. Every [`TICK`] the sweep looks at all of them and shuts down the
//! socket of those that passed; the pending operation then ends by itself, so no operation is ever
//! dropped half done (a dropped read loses bytes). Timeouts are exact to about one tick.
//!
//! The sweep also notices clients that left while a member is still working on their answer.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::time::Duration;

use super::pace::{Pace, Slow};
use super::{runtime, socket};
use crate::clock;

/// How often deadlines are looked at.
pub const TICK: Duration = Duration::from_millis(100);

const TICKS_PER_SECOND: u64 = 1000 / TICK.as_millis() as u64;

/// Ticks between two looks for clients that left, and for slow ones that go on.
const LOOK_EVERY: u32 = 10;

const NEVER: u32 = u32::MAX;
const NOBODY: RawFd = -1;

/// Why the sweep shut a socket down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A deadline passed.
    TimedOut,
    /// The client that this connection works for left.
    Gone,
    /// The peer stayed behind the pace that is asked of it.
    TooSlow,
}

struct Entry {
    fd: RawFd,
    read: u32,
    write: u32,
    /// What `write` was armed with, in ticks.
    stall: u32,
    /// Bytes that the peer had not taken at the last look, since `write` was armed.
    untaken: Option<u32>,
    cause: Option<Cause>,
    /// The read deadline is for a request that may never come.
    idle: bool,
    /// The socket of the client that this connection works for.
    client: RawFd,
    /// Looks in a row at which that client had closed its side.
    hung_up: u8,
    /// How fast the peer must be, where it is asked.
    pace: Option<Box<Pace>>,
}

impl Entry {
    const UNUSED: Self = Self {
        fd: NOBODY,
        read: NEVER,
        write: NEVER,
        stall: 0,
        untaken: None,
        cause: None,
        idle: false,
        client: NOBODY,
        hung_up: 0,
        pace: None,
    };
}

struct Table {
    now: u32,
    entries: Vec<Entry>,
    free: Vec<u32>,
}

thread_local! {
    static TABLE: RefCell<Table> =
        const { RefCell::new(Table { now: 0, entries: Vec::new(), free: Vec::new() }) };
}

/// A socket's place in the sweep. Must be dropped before the socket is closed.
#[derive(Debug)]
pub(super) struct Deadlines {
    index: u32,
}

/// The ticks after which `span` has surely passed.
#[must_use]
pub fn ticks(span: Duration) -> u32 {
    // In u64, as this is done several times a request and 128-bit division is not cheap.
    let whole = span.as_secs().saturating_mul(TICKS_PER_SECOND);
    let part = span.subsec_nanos().div_ceil(TICK.subsec_nanos());
    // One more: the current tick is already partly over.
    u32::try_from(whole.saturating_add(u64::from(part))).unwrap_or(NEVER).saturating_add(1)
}

fn tick_after(now: u32, span: Duration) -> u32 {
    now.saturating_add(ticks(span)).min(NEVER - 1)
}

impl Deadlines {
    pub(super) fn new(fd: RawFd) -> Self {
        let entry = Entry { fd, ..Entry::UNUSED };
        let index = TABLE.with_borrow_mut(|table| {
            if let Some(index) = table.free.pop() {
                if let Some(slot) = table.entries.get_mut(index as usize) {
                    *slot = entry;
                }
                return index;
            }
            table.entries.push(entry);
            // Bounded by the number of descriptors.
            u32::try_from(table.entries.len() - 1).unwrap_or(NEVER)
        });
        Self { index }
    }

    fn update(&self, change: impl FnOnce(&mut Entry, u32)) {
        TABLE.with_borrow_mut(|table| {
            let now = table.now;
            if let Some(entry) = table.entries.get_mut(self.index as usize) {
                change(entry, now);
            }
        });
    }

    pub(super) fn arm_read(&self, span: Duration) {
        self.update(|entry, now| {
            entry.read = tick_after(now, span);
            entry.hung_up = 0;
            if let Some(pace) = &mut entry.pace {
                pace.await_sending(now);
            }
        });
    }

    pub(super) fn arm_idle(&self, span: Duration) {
        self.update(|entry, now| {
            entry.read = tick_after(now, span);
            entry.idle = true;
        });
    }

    pub(super) fn disarm_read(&self) {
        self.update(|entry, now| {
            entry.read = NEVER;
            entry.idle = false;
            if let Some(pace) = &mut entry.pace {
                pace.end_sending(now);
            }
        });
    }

    pub(super) fn arm_write(&self, span: Duration) {
        self.update(|entry, now| {
            entry.write = tick_after(now, span);
            entry.stall = ticks(span);
            entry.untaken = None;
            if let Some(pace) = &mut entry.pace {
                pace.await_taking(now);
            }
        });
    }

    pub(super) fn disarm_write(&self) {
        self.update(|entry, now| {
            entry.write = NEVER;
            if let Some(pace) = &mut entry.pace {
                pace.end_taking(now);
            }
        });
    }

    /// What is asked of the peer from now on.
    pub(super) fn ask_pace(&self, pace: Option<Box<Pace>>) {
        self.update(|entry, _| entry.pace = pace);
    }

    pub(super) fn work_for(&self, client: Option<RawFd>) {
        self.update(|entry, _| {
            entry.client = client.unwrap_or(NOBODY);
            entry.hung_up = 0;
        });
    }

    pub(super) fn progressed(&self) {
        self.update(|entry, _| entry.hung_up = 0);
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        TABLE.with_borrow(|table| table.entries.get(self.index as usize).and_then(|e| e.cause))
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        // While the thread ends there is no table any more.
        _ = TABLE.try_with(|table| {
            let mut table = table.borrow_mut();
            if let Some(entry) = table.entries.get_mut(self.index as usize) {
                *entry = Entry::UNUSED;
                table.free.push(self.index);
            }
        });
    }
}

/// Every connection that does not wait for a request will be reset rather than ended when it is
/// closed: what it carries is incomplete, and the peer must see that.
pub fn reset_busy() {
    TABLE.with_borrow(|table| {
        for entry in table.entries.iter().filter(|entry| !entry.idle && entry.fd != NOBODY) {
            socket::reset_on_close(entry.fd);
        }
    });
}

/// Lets connections that wait for a request wait for `span` at the most.
pub fn hurry_idle(span: Duration) {
    TABLE.with_borrow_mut(|table| {
        let latest = tick_after(table.now, span);
        for entry in table.entries.iter_mut().filter(|entry| entry.idle) {
            entry.read = entry.read.min(latest);
        }
    });
}

/// Ticks since the worker's sweep began.
pub(super) fn now() -> u32 {
    TABLE.with_borrow(|table| table.now)
}

#[cfg(test)]
pub(super) fn set_now(tick: u32) {
    TABLE.with_borrow_mut(|table| table.now = tick);
}

fn expire(table: &mut Table) {
    let now = table.now;
    for entry in &mut table.entries {
        let (read, write) = (entry.read < now, entry.write < now);
        if write {
            socket::shutdown_both(entry.fd);
        } else if read {
            // An answer can still be sent.
            socket::shutdown_read(entry.fd);
        }
        if read || write {
            entry.read = NEVER;
            entry.cause = Some(Cause::TimedOut);
        }
        if write {
            // Not when only receiving is over: something may still be stuck in sending.
            entry.write = NEVER;
        }
    }
}

/// A socket becomes writable only when much of its buffer is free, which takes a slow reader longer
/// than any timeout. As long as it takes something, it has not stalled.
fn notice_slow_readers(table: &mut Table) {
    for entry in table.entries.iter_mut().filter(|entry| entry.write != NEVER) {
        let untaken = socket::untaken(entry.fd);
        if entry.untaken.zip(untaken).is_some_and(|(before, now)| now < before) {
            entry.write = table.now.saturating_add(entry.stall).min(NEVER - 1);
        }
        entry.untaken = untaken;
    }
}

/// A peer that stays behind for too long is shut off: from sending, so that it can still be answered,
/// or altogether.
fn notice_trickles(table: &mut Table) {
    let now = table.now;
    for entry in &mut table.entries {
        let Some(pace) = entry.pace.as_mut().filter(|pace| pace.counts()) else { continue };
        let Some((sent, taken)) = socket::progress(entry.fd) else { continue };
        let Some(slow) = pace.look(now, sent, taken) else { continue };
        match slow {
            Slow::Sending => socket::shutdown_read(entry.fd),
            Slow::Taking => socket::shutdown_both(entry.fd),
        }
        entry.pace = None;
        entry.cause = Some(Cause::TooSlow);
    }
}

/// A client that reset its connection is gone at once; one that only closed its side may be
/// waiting for the answer (`printf ... | nc`), so it gets until the second look at which nothing
/// of an answer is on its way to it. (What is sent to one that is gone comes back as a reset.)
fn notice_hangups(table: &mut Table) {
    let mut polled: Vec<socket::Polled> = table
        .entries
        .iter()
        .filter(|entry| entry.client != NOBODY)
        .map(|entry| socket::Polled::new(entry.client))
        .collect();
    if polled.is_empty() || !socket::poll_now(&mut polled) {
        return;
    }
    let waiting = table.entries.iter_mut().filter(|entry| entry.client != NOBODY);
    for (entry, polled) in waiting.zip(&polled) {
        let waits = || socket::untaken(entry.client).is_some_and(|bytes| bytes > 0);
        if !polled.hung_up() || (!polled.broken() && waits()) {
            entry.hung_up = 0;
            continue;
        }
        entry.hung_up = entry.hung_up.saturating_add(1);
        if polled.broken() || entry.hung_up >= 2 {
            entry.cause = Some(Cause::Gone);
            entry.client = NOBODY;
            socket::shutdown_both(entry.fd);
        }
    }
}

/// Looks at all deadlines of this worker every [`TICK`]; calls `each` after each look with the
/// number of the tick, until it breaks.
pub async fn sweep(mut each: impl FnMut(u32) -> ControlFlow<()>) {
    let start = clock::coarse();
    let mut looked = 0;
    loop {
        runtime::sleep(TICK).await;
        let elapsed = clock::coarse().since(start).as_micros() / TICK.as_micros();
        let now = u32::try_from(elapsed).unwrap_or(NEVER - 1);
        TABLE.with_borrow_mut(|table| {
            table.now = now;
            if now >= looked + LOOK_EVERY {
                looked = now;
                notice_slow_readers(table);
                notice_hangups(table);
                notice_trickles(table);
            }
            expire(table);
        });
        if each(now).is_break() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        for (now, millis, expected) in [(0, 0, 1), (0, 1, 2), (5, 100, 7), (5, 101, 8)] {
            assert_eq!(tick_after(now, Duration::from_millis(millis)), expected);
        }
        assert_eq!(tick_after(7, Duration::MAX), NEVER - 1);
    }

    #[test]
    fn places_are_used_again() {
        let first = Deadlines::new(NOBODY);
        let index = first.index;
        first.arm_read(Duration::ZERO);
        drop(first);
        let second = Deadlines::new(NOBODY);
        assert_eq!(second.index, index);
        TABLE.with_borrow_mut(|table| {
            table.now = 100;
            expire(table);
        });
        assert_eq!(second.cause(), None);
        second.arm_write(Duration::from_millis(100));
        TABLE.with_borrow_mut(|table| {
            table.now = 103;
            expire(table);
        });
        assert_eq!(second.cause(), Some(Cause::TimedOut));
    }
}
