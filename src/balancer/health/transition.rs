//! A change of a member's state: from what to what, and why. What the log and an operator see.

use std::fmt;
use std::time::Duration;

use super::evidence::{ProbeResult, Words};
use crate::balancer::Outcome;
use crate::clock::Instant;

/// A state on one of the three axes: probes, real requests, the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Probes succeed.
    Healthy,
    /// Probes fail, too few in a row to matter yet.
    Failing,
    /// Out: too many probes in a row failed.
    Unhealthy,
    /// Still out: probes succeed, too few in a row yet.
    Recovering,
    /// Requests are served well enough.
    In,
    /// Out: too many requests failed.
    Ejected,
    /// One real request may try it.
    Trial,
    /// The operator has nothing against it.
    Ready,
    /// The operator wants no new requests there.
    Drain,
    /// The operator took it out.
    Maintenance,
}

impl Phase {
    /// Its word in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
            Self::Recovering => "recovering",
            Self::In => "in",
            Self::Ejected => "ejected",
            Self::Trial => "trial",
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
        }
    }

    /// Whether a member in this state is out.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Recovering | Self::Ejected | Self::Maintenance)
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// The state before.
    pub from: Phase,
    /// The state now.
    pub to: Phase,
    /// Why.
    pub cause: Cause,
}

impl Transition {
    /// Whether it took the member out, or back out after a trial: no step on the way back in.
    #[must_use]
    pub const fn takes_out(&self) -> bool {
        matches!(self.from, Phase::Trial) && matches!(self.to, Phase::Ejected)
            || self.to.is_out() && !self.from.is_out()
    }
}

/// Why a state changed, with what shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Probes.
    Probes {
        /// How many in a row ended alike.
        in_a_row: u32,
        /// The last one.
        last: ProbeResult,
    },
    /// Requests failed.
    Requests {
        /// How many.
        failures: u32,
        /// In which time.
        within: Duration,
        /// The last one.
        last: Outcome,
    },
    /// More of its requests failed than of the others'.
    FailureShare {
        /// How many failed.
        failures: u32,
        /// Of how many.
        requests: u32,
        /// In which time.
        within: Duration,
        /// The median of the others' shares, in parts of 10,000.
        others: u32,
    },
    /// Its answers took longer than the others'.
    Slow {
        /// Its median, in microseconds.
        took: u32,
        /// The median of the others'.
        others: u32,
        /// In how many intervals in a row.
        intervals: u32,
        /// How long an interval is.
        every: Duration,
    },
    /// The time out is over: so long it was.
    OutFor(Duration),
    /// The one real request that tried the member succeeded or failed.
    Trial {
        /// How it ended.
        outcome: Outcome,
        /// Whether that is a failure.
        failed: bool,
    },
    /// An operator said so.
    Operator,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probes { in_a_row, last } => {
                match in_a_row {
                    1 => f.write_str("a probe ")?,
                    _ => write!(f, "{in_a_row} probes in a row ")?,
                }
                match last {
                    Ok(()) => f.write_str("succeeded"),
                    Err(failure) => write!(f, "failed: {failure}"),
                }
            }
            Self::Requests { failures: 1, last, .. } => {
                write!(f, "a request failed: {}", Words(*last))
            }
            Self::Requests { failures, within, last } => {
                write!(f, "{failures} requests within {within:?} failed: {}", Words(*last))
            }
            Self::FailureShare { failures, requests, within, others } => write!(
                f,
                "{failures} of {requests} requests within {within:?} failed ({}), {} of the others' (median)",
                Share(u64::from(*failures) * 10_000 / u64::from(*requests).max(1)),
                Share(u64::from(*others)),
            ),
            Self::Slow { took, others, intervals, every } => write!(
                f,
                "answers took {:?} in {intervals} intervals of {every:?}, those of the others {:?} (medians)",
                Duration::from_micros(u64::from(*took)),
                Duration::from_micros(u64::from(*others)),
            ),
            Self::OutFor(span) => write!(f, "out for {span:?}"),
            Self::Trial { outcome, failed: true } => {
                write!(f, "the request that tried it failed: {}", Words(*outcome))
            }
            Self::Trial { outcome, failed: false } => {
                write!(f, "the request that tried it succeeded: {}", Words(*outcome))
            }
            Self::Operator => f.write_str("an operator said so"),
        }
    }
}

/// Parts of 10,000 as percents.
struct Share(u64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 100, self.0 % 100 / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::ProbeFailure;
    use super::*;
    use crate::balancer::Fault;

    #[test]
    fn causes_in_words() {
        let (reset, within) = (Outcome::Failed(Fault::Reset), Duration::from_secs(10));
        let answered = Outcome::Answered { status: 204, first_byte: Duration::ZERO };
        let probes = |in_a_row, last| Cause::Probes { in_a_row, last };
        let requests = |failures| Cause::Requests { failures, within, last: reset };
        let cases = [
            (probes(3, Err(ProbeFailure::Refused)), "3 probes in a row failed: connect refused"),
            (probes(1, Err(ProbeFailure::Status(503))), "a probe failed: status 503"),
            (probes(2, Ok(())), "2 probes in a row succeeded"),
            (requests(5), "5 requests within 10s failed: reset"),
            (requests(1), "a request failed: reset"),
            (Cause::OutFor(Duration::from_millis(1500)), "out for 1.5s"),
            (
                Cause::FailureShare { failures: 37, requests: 120, within, others: 51 },
                "37 of 120 requests within 10s failed (30.8 %), 0.5 % of the others' (median)",
            ),
            (
                Cause::Slow { took: 950_000, others: 61_500, intervals: 3, every: within },
                "answers took 950ms in 3 intervals of 10s, those of the others 61.5ms (medians)",
            ),
            (
                Cause::Trial { outcome: reset, failed: true },
                "the request that tried it failed: reset",
            ),
            (
                Cause::Trial { outcome: answered, failed: false },
                "the request that tried it succeeded: status 204",
            ),
            (Cause::Operator, "an operator said so"),
        ];
        for (cause, words) in cases {
            assert_eq!(cause.to_string(), words);
        }
    }
}
