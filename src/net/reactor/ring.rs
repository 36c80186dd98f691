//! Changes by io_uring: its poll operations, most of which stay for as long as the socket is open.
//!
//! No operation has a pointer to anything but the ring's own timeout, so nothing that is dropped
//! elsewhere can still be in use by the kernel.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::RawFd;

use io_uring::types::{Fd, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::source::{Key, Sources};
use crate::clock::{self, Instant};
use crate::net::driver::RingFlags;

/// Submission queue entries of a ring: a full queue is submitted early, nothing is lost.
/// Few under test, so that it happens.
const ENTRIES: u32 = if cfg!(test) { 8 } else { 1024 };

/// Completion queue entries: what comes beyond them the kernel keeps, at some cost.
const COMPLETIONS: u32 = if cfg!(test) { 16 } else { 4096 };

pub(super) struct Ring {
    // Dropped first: the kernel reads `timeout` no more.
    ring: IoUring,
    /// What found no room in the submission queue, in order.
    backlog: VecDeque<squeue::Entry>,
    timeout: Box<Timespec>,
    /// When the timeouts fire that are set, the next one last.
    timers: Vec<Instant>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("timers", &self.timers).finish_non_exhaustive()
    }
}

impl RingFlags {
    /// How a ring with these flags is built.
    pub(in crate::net) fn builder(self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self {
            Self::Deferred => {
                builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag()
            }
            Self::Cooperative => builder.setup_coop_taskrun().setup_taskrun_flag(),
            Self::Plain => &mut builder,
        };
        builder
    }
}

impl Ring {
    pub(super) fn new(flags: RingFlags) -> io::Result<Self> {
        let ring = flags.builder().setup_cqsize(COMPLETIONS).build(ENTRIES)?;
        let timeout = Box::new(Timespec::new());
        Ok(Self { ring, backlog: VecDeque::new(), timeout, timers: Vec::new() })
    }

    fn push(&mut self, entry: squeue::Entry) {
        if !self.backlog.is_empty() || !self.try_push(&entry) {
            self.backlog.push_back(entry);
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: a poll and its cancellation have no pointers; that of a timeout is to `self.timeout`,
        // which lives as long as the ring.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// By the time that the kernel sees it, `fd` may be another socket's number: then `forget` stands
    /// behind it in the queue, and what happens meanwhile has a key that nobody has any more.
    pub(super) fn watch(&mut self, fd: RawFd, key: Key, lasting: bool) {
        // All that comes is called urgent, too, by what wakes a poll that stays: who asks for that never
        // learns that a receive has left nothing behind. See `Stream::reads_in_pieces`.
        let events = key.side().events() & !(libc::POLLPRI as u32);
        let poll = opcode::PollAdd::new(Fd(fd), events).multi(lasting);
        self.push(poll.build().user_data(key.0));
    }

    /// Not by the operation that removes polls: it does nothing where a change is just on its way.
    pub(super) fn forget(&mut self, key: Key) {
        self.push(opcode::AsyncCancel::new(key.0).build().user_data(Key::NOBODY.0));
    }

    /// Sets a timeout if those that are set are too late. An early one does no harm.
    fn set_timer(&mut self, deadline: Instant) {
        if self.timers.last().is_some_and(|set| *set <= deadline) {
            return;
        }
        let left = deadline.since(clock::now());
        *self.timeout = Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos());
        let timeout = opcode::Timeout::new(&raw const *self.timeout).build();
        self.push(timeout.user_data(Key::TIMER.0));
        self.timers.push(deadline);
    }

    pub(super) fn turn(
        &mut self,
        wait: bool,
        timer: Option<Instant>,
        sources: &mut Sources,
    ) -> io::Result<bool> {
        if let Some(deadline) = timer {
            self.set_timer(deadline);
        }
        self.submit(wait)?;
        let mut fired = false;
        for completion in self.ring.completion() {
            match Key(completion.user_data()) {
                Key::NOBODY => {}
                Key::TIMER => fired = true,
                key => {
                    let more = cqueue::more(completion.flags());
                    sources.deliver(key, completion.result(), more);
                }
            }
        }
        if fired {
            self.timers.pop();
            let now = clock::now();
            while self.timers.pop_if(|set| *set <= now).is_some() {}
        }
        Ok(fired)
    }

    /// Hands over what is to be watched, and waits for a completion if told so.
    fn submit(&mut self, wait: bool) -> io::Result<()> {
        loop {
            while let Some(entry) = self.backlog.pop_front() {
                if !self.try_push(&entry) {
                    self.backlog.push_front(entry);
                    break;
                }
            }
            let whole = self.backlog.is_empty();
            let wait = wait && whole && self.ring.completion().is_empty();
            if !wait && whole {
                let queue = self.ring.submission();
                if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() {
                    return Ok(());
                }
            }
            match self.ring.submit_and_wait(usize::from(wait)) {
                Ok(_) if whole => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    return match error.raw_os_error() {
                        // What is complete makes room, or memory comes back.
                        Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
    }
}
