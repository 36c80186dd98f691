//! Idle connections to one member, on one worker: last in, first out.

use std::collections::VecDeque;

use crate::net::Stream;

/// An idle connection and the tick since which it is idle.
#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: u32,
}

/// The idle connections of one member. The newest is used first, so that the surplus of a busy
/// hour grows old and is closed.
#[derive(Debug)]
pub(super) struct Keepalive {
    idle: VecDeque<Idle>,
    bound: usize,
    /// In ticks.
    timeout: u32,
}

impl Keepalive {
    pub(super) const fn new(bound: usize, timeout: u32) -> Self {
        Self { idle: VecDeque::new(), bound, timeout }
    }

    /// Keeps a connection; at the bound the oldest one is closed for it.
    /// Returns by how many the number of idle connections changed.
    pub(super) fn put(&mut self, stream: Stream, now: u32) -> i64 {
        if self.bound == 0 {
            return 0;
        }
        let full = self.idle.len() >= self.bound;
        if full {
            self.idle.pop_front();
        }
        self.idle.push_back(Idle { stream, since: now });
        i64::from(!full)
    }

    /// The newest idle connection.
    pub(super) fn take(&mut self) -> Option<Stream> {
        self.idle.pop_back().map(|idle| idle.stream)
    }

    /// Closes those that are idle for too long; says how many.
    pub(super) fn close_expired(&mut self, now: u32) -> usize {
        let before = self.idle.len();
        while let Some(oldest) = self.idle.front()
            && now.saturating_sub(oldest.since) > self.timeout
        {
            self.idle.pop_front();
        }
        before - self.idle.len()
    }

    /// Closes those that the member has closed, or sent something unasked on; says how many.
    pub(super) fn close_dead(&mut self) -> usize {
        let before = self.idle.len();
        self.idle.retain(|idle| idle.stream.is_quiet());
        before - self.idle.len()
    }

    /// Closes all; says how many.
    pub(super) fn close_all(&mut self) -> usize {
        let closed = self.idle.len();
        self.idle.clear();
        closed
    }
}
