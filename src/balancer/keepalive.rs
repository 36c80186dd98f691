//! Idle connections to one member, on one worker: last in, first out.

use std::collections::VecDeque;
use std::time::Duration;

use super::lease::Connection;
use crate::config::KeepaliveConfig;
use crate::net::TICK;

/// An idle connection and the tick since which it is idle.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u32,
}

/// How long and how often a connection may be used, with times in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wear {
    age: u32,
    exchanges: u32,
}

impl Wear {
    pub(super) fn new(config: &KeepaliveConfig) -> Self {
        Self { age: whole(config.max_age), exchanges: config.max_requests.unwrap_or(u32::MAX) }
    }

    const fn is_old(self, born: u32, now: u32) -> bool {
        now.saturating_sub(born) >= self.age
    }

    /// Whether a connection that was established at `born` has served enough at `now`.
    pub(super) const fn is_over(self, born: u32, exchanges: u32, now: u32) -> bool {
        exchanges >= self.exchanges || self.is_old(born, now)
    }
}

/// The whole ticks of a time.
fn whole(span: Duration) -> u32 {
    u32::try_from(span.as_micros() / TICK.as_micros()).unwrap_or(u32::MAX)
}

/// The idle connections of one member. The newest is used first, so that the surplus of a busy
/// hour grows old and is closed.
#[derive(Debug)]
pub(super) struct Keepalive {
    idle: VecDeque<Idle>,
    bound: usize,
    /// In ticks.
    timeout: u32,
    wear: Wear,
}

impl Keepalive {
    pub(super) fn new(config: &KeepaliveConfig) -> Self {
        Self {
            idle: VecDeque::new(),
            bound: config.idle,
            timeout: whole(config.idle_timeout),
            wear: Wear::new(config),
        }
    }

    /// Whether this connection is not to be kept.
    pub(super) const fn is_worn(&self, connection: &Connection, now: u32) -> bool {
        self.wear.is_over(connection.born, connection.exchanges, now)
    }

    /// Keeps a connection; at the bound the oldest one is closed for it.
    /// Returns by how many the number of idle connections changed.
    pub(super) fn put(&mut self, connection: Connection, now: u32) -> i64 {
        if self.bound == 0 {
            return 0;
        }
        let full = self.idle.len() >= self.bound;
        if full {
            self.idle.pop_front();
        }
        self.idle.push_back(Idle { connection, since: now });
        i64::from(!full)
    }

    /// The newest idle connection.
    pub(super) fn take(&mut self) -> Option<Connection> {
        self.idle.pop_back().map(|idle| idle.connection)
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

    /// Closes those that are too old; says how many.
    pub(super) fn close_old(&mut self, now: u32) -> usize {
        let (before, wear) = (self.idle.len(), self.wear);
        self.idle.retain(|idle| !wear.is_old(idle.connection.born, now));
        before - self.idle.len()
    }

    /// Closes those that the member has closed, or sent something unasked on; says how many.
    pub(super) fn close_dead(&mut self) -> usize {
        let before = self.idle.len();
        self.idle.retain(|idle| idle.connection.stream.is_quiet());
        before - self.idle.len()
    }

    /// Closes all; says how many.
    pub(super) fn close_all(&mut self) -> usize {
        let closed = self.idle.len();
        self.idle.clear();
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_over_by_age_or_by_use() {
        let second = Duration::from_secs(1);
        for (max_requests, born, exchanges, now, over) in [
            (None, 5, u32::MAX - 1, 14, false),
            (None, 5, 1, 15, true),
            (Some(3), 5, 2, 5, false),
            (Some(3), 5, 3, 5, true),
            (Some(1), 0, 1, 0, true),
            // A worker's tick does not go back, but nothing is to break if it did.
            (Some(3), 9, 1, 8, false),
        ] {
            let config =
                KeepaliveConfig { idle: 1, idle_timeout: second, max_age: second, max_requests };
            let wear = Wear::new(&config);
            assert_eq!(wear.is_over(born, exchanges, now), over, "{max_requests:?} {exchanges}");
        }
    }
}
