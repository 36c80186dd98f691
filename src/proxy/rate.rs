//! A token bucket per key, exact over all workers: the generic cell rate algorithm on one number a key,
//! the time at which its bucket is full again. Pure: time is a parameter.

use std::hash::Hasher;
use std::time::Duration;

use super::keyed::{Keyed, Step};
use crate::clock::Instant;

/// What a request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It may come.
    Now {
        /// Requests that may come at once behind it.
        left: u64,
        /// How long ago it would have to have come to be due by the rate alone.
        early: Duration,
        /// Until the bucket is full again.
        full: Duration,
    },
    /// It may not.
    After(Duration),
}

/// Where it was counted, with what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) due: Due,
    /// There was no room for its key: it shares a bucket with others.
    pub(super) shared: bool,
}

/// The buckets of one rule.
#[derive(Debug)]
pub(super) struct Buckets {
    /// Between two requests, in nanoseconds; rounded up, so that never more come than are meant.
    interval: u64,
    /// How early a request may come.
    tolerance: u64,
    table: Keyed,
}

impl Buckets {
    /// `count` in each `period`, `burst` of them at once, for so many keys at a time. No request may
    /// come earlier than `earliest` before it is due.
    pub(super) fn new(
        (count, period): (u64, Duration),
        burst: u64,
        earliest: Duration,
        keys: usize,
    ) -> Self {
        let interval = nanos(period).div_ceil(count.max(1)).max(1);
        let tolerance = interval.saturating_mul(burst.saturating_sub(1)).min(nanos(earliest));
        Self { interval, tolerance, table: Keyed::new(keys) }
    }

    /// The hash of what `write` puts in.
    pub(super) fn key(&self, write: impl FnOnce(&mut dyn Hasher)) -> u64 {
        self.table.hash(write)
    }

    /// Takes a token of `key`'s bucket, if there is one.
    pub(super) fn take(&self, key: u64, now: Instant) -> Taken {
        let now = now.as_micros().saturating_mul(1000);
        let counted =
            self.table.change(key, |full_at| full_at <= now, |full_at| self.step(full_at, now));
        match counted {
            Some(counted) => Taken { due: counted.result, shared: counted.seat.is_spare() },
            // There is always a set.
            None => Taken { due: Due::After(Duration::from_nanos(self.interval)), shared: true },
        }
    }

    fn step(&self, full_at: u64, now: u64) -> Step<Due> {
        // What was saved up before does not count: a bucket is full at the most.
        let full_at = full_at.max(now);
        let early = full_at - now;
        if early > self.tolerance {
            let after = Duration::from_nanos(early - self.tolerance);
            return Step { next: None, result: Due::After(after) };
        }
        let next = full_at.saturating_add(self.interval);
        let due = Due::Now {
            left: (self.tolerance - early) / self.interval,
            early: Duration::from_nanos(early),
            full: Duration::from_nanos(next - now),
        };
        Step { next: Some(next), result: due }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// For benches: one rule.
#[derive(Debug)]
pub struct Workbench(Buckets);

impl Workbench {
    /// A rule that refuses hardly anybody, for so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self(Buckets::new((1_000_000, Duration::from_secs(1)), 1_000_000, Duration::MAX, keys))
    }

    /// Whether a request of a client may come.
    #[must_use]
    pub fn take(&self, client: u32, now: Instant) -> bool {
        let key = self.0.key(|hasher| hasher.write_u32(client));
        matches!(self.0.take(key, now).due, Due::Now { .. })
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
