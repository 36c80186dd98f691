//! How long a member may be silent.

use std::cell::Cell;
use std::time::Duration;

use super::exchange::{Ask, Facts};
use crate::balancer::Lease;
use crate::net::{Stream, TICK};

/// How long a member may say and take nothing: what the route says, else its pool.
pub(super) fn silence(ask: &Ask<'_>, lease: &Lease) -> Duration {
    ask.route.timeouts.response.unwrap_or_else(|| lease.timeouts().response)
}

/// For one attempt.
#[derive(Debug)]
pub(super) struct Patience {
    /// See [`silence`].
    pub(super) silence: Duration,
    /// `retry.try_timeout`, if the request could still go to another member.
    attempt: Option<Duration>,
    /// The tick since which the head is waited for.
    since: Cell<Option<u32>>,
}

impl Patience {
    pub(super) const fn new(silence: Duration, attempt: Option<Duration>) -> Self {
        Self { silence, attempt, since: Cell::new(None) }
    }

    /// As long as the request may be sent again.
    fn attempt(&self, facts: &Facts) -> Option<Duration> {
        self.attempt.filter(|span| facts.replayable.get() && *span < self.silence)
    }

    /// For a piece of the request that the member is to take.
    pub(super) fn to_send(&self, facts: &Facts) -> Duration {
        self.attempt(facts).unwrap_or(self.silence)
    }

    /// The request was sent: its answer's head is waited for, from the first call on.
    pub(super) fn await_head(&self, upstream: &Stream, facts: &Facts) {
        let Some(span) = self.attempt(facts) else { return upstream.arm_read(self.silence) };
        let now = Stream::tick();
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        upstream.arm_read(span.saturating_sub(TICK * now.saturating_sub(since)));
    }
}
