//! How fast a peer must be: what the sweep keeps of a connection whose peer must not trickle. Pure.
//!
//! Only time counts in which the peer is waited for. What was fast before is no credit for later.

use std::time::Duration;

use super::deadline::TICK;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// The tick since which the peer is waited for.
    since: Option<u32>,
    /// Ticks that it was waited for since the last look.
    waited: u32,
    /// Bytes that had gone this way at the last look.
    seen: Option<u64>,
    /// Milliseconds that it is behind.
    behind: u64,
}

impl Way {
    fn begin(&mut self, now: u32) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: u32) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(now.saturating_sub(since));
        }
    }

    /// Whether it was waited for since the last look.
    const fn counts(&self) -> bool {
        self.since.is_some() || self.waited > 0
    }

    /// Takes in that so many bytes have gone this way so far.
    fn look(&mut self, now: u32, bytes: u64, rate: u64) {
        if self.since.is_some() {
            self.end(now);
            self.begin(now);
        }
        let waited = u64::from(std::mem::take(&mut self.waited));
        let Some(before) = self.seen.replace(bytes) else { return };
        let due = bytes.saturating_sub(before).saturating_mul(1000) / rate.max(1);
        let waited = waited.saturating_mul(TICK.as_millis() as u64);
        self.behind = (self.behind + waited).saturating_sub(due);
    }
}

/// Which of a peer's directions is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slow {
    /// What it sends.
    Sending,
    /// What it takes.
    Taking,
}

/// What is asked of a peer, and how it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes a second.
    rate: u64,
    /// Milliseconds that it may be behind.
    grace: u64,
    sending: Way,
    taking: Way,
}

impl Pace {
    pub(super) fn new(rate: u32, grace: Duration) -> Self {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        Self { rate: u64::from(rate), grace, sending: Way::default(), taking: Way::default() }
    }

    /// From now on something is to be received.
    pub(super) fn await_sending(&mut self, now: u32) {
        self.sending.begin(now);
    }

    /// It was, or is not any more.
    pub(super) fn end_sending(&mut self, now: u32) {
        self.sending.end(now);
    }

    /// From now on something is to be taken.
    pub(super) fn await_taking(&mut self, now: u32) {
        self.taking.begin(now);
    }

    /// It was, or is not any more.
    pub(super) fn end_taking(&mut self, now: u32) {
        self.taking.end(now);
    }

    /// Whether there is something to look at.
    pub(super) const fn counts(&self) -> bool {
        self.sending.counts() || self.taking.counts()
    }

    /// Takes in what the peer has sent and taken so far; whether that is too slow.
    pub(super) fn look(&mut self, now: u32, sent: u64, taken: u64) -> Option<Slow> {
        self.sending.look(now, sent, self.rate);
        self.taking.look(now, taken, self.rate);
        if self.taking.behind > self.grace {
            Some(Slow::Taking)
        } else if self.sending.behind > self.grace {
            Some(Slow::Sending)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 bytes a second, two seconds.
    fn pace() -> Pace {
        Pace::new(1000, Duration::from_secs(2))
    }

    /// Looks once a second at a peer that is waited for all the time; the second in which it is too slow.
    fn slow_after(bytes_a_second: &[u64]) -> Option<usize> {
        let (mut pace, mut total) = (pace(), 0);
        pace.await_sending(0);
        assert_eq!(pace.look(0, total, 0), None);
        for (second, bytes) in (1u32..).zip(bytes_a_second) {
            total += bytes;
            if pace.look(second * 10, total, 0) == Some(Slow::Sending) {
                return Some(second as usize);
            }
        }
        None
    }

    #[test]
    fn who_is_slower_for_so_long_is_too_slow() {
        assert_eq!(slow_after(&[1000; 50]), None);
        assert_eq!(slow_after(&[0; 50]), Some(3));
        // One byte now and then.
        assert_eq!(slow_after(&[1; 50]), Some(3));
        // Half as fast: half a second behind every second.
        assert_eq!(slow_after(&[500; 50]), Some(5));
        // It makes up for it.
        assert_eq!(slow_after(&[0, 0, 5000, 0, 0, 5000, 0, 0]), None);
        // What was fast before is no credit.
        assert_eq!(slow_after(&[1_000_000, 0, 0, 0]), Some(4));
    }

    #[test]
    fn only_waiting_counts() {
        let mut pace = pace();
        pace.look(0, 0, 0);
        for second in 1..50 {
            // 200 ms of each second.
            pace.await_sending(second * 10 - 2);
            pace.end_sending(second * 10);
            assert!(pace.counts());
            let slow = pace.look(second * 10, 0, 0);
            assert_eq!(slow.is_some(), second > 10, "{second}");
        }
        // Nobody was waited for.
        let mut idle = self::pace();
        assert!(!idle.counts());
        for second in 0..50 {
            assert_eq!(idle.look(second * 10, 0, 0), None);
        }
    }

    #[test]
    fn the_two_ways_are_apart() {
        let mut pace = pace();
        pace.await_taking(0);
        pace.await_sending(0);
        pace.look(0, 0, 0);
        for second in 1..3 {
            assert_eq!(pace.look(second * 10, u64::from(second) * 1000, 0), None);
        }
        assert_eq!(pace.look(30, 3000, 0), Some(Slow::Taking));
    }
}
