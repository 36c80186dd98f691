//! What was seen of a member: results of probes, outcomes of requests, and the last of them.

use std::collections::VecDeque;
use std::fmt;

use super::transition::Cause;
use crate::balancer::{Fault, Outcome};
use crate::clock::Instant;
use crate::net::tls::TlsFault;

/// How many of them are kept for each member.
const KEPT: usize = 64;

/// How a probe ended.
pub type ProbeResult = Result<(), ProbeFailure>;

/// Why a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// The member refused the connection.
    Refused,
    /// No connection, with this error of the system.
    Unreachable(i32),
    /// No connection within the probe's timeout.
    ConnectTimeout,
    /// No TLS, for this reason.
    Tls(TlsFault),
    /// No whole answer within the probe's timeout.
    Timeout,
    /// The connection ended before the answer did.
    Closed,
    /// The answer was not valid HTTP.
    BadAnswer,
    /// A status that is not among those expected.
    Status(u16),
    /// The body, or its first 64 KiB, does not have the text expected.
    Body,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connect refused"),
            Self::Unreachable(code) => write!(f, "connect failed (os error {code})"),
            Self::ConnectTimeout => f.write_str("connect timeout"),
            Self::Tls(fault) => write!(f, "{fault}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Closed => f.write_str("closed before the end of its answer"),
            Self::BadAnswer => f.write_str("not HTTP"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Body => f.write_str("body without the text"),
        }
    }
}

/// The outcome of a request, in the words of the configuration.
pub(super) struct Words(pub(super) Outcome);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Outcome::Answered { status, .. } => write!(f, "status {status}"),
            Outcome::Failed(Fault::Connect) => f.write_str("connect"),
            Outcome::Failed(Fault::Reset) => f.write_str("reset"),
            Outcome::Failed(Fault::Timeout) => f.write_str("timeout"),
            Outcome::Failed(Fault::BadAnswer) => f.write_str("bad-answer"),
            Outcome::Connected { .. } => f.write_str("connected"),
            Outcome::Abandoned => f.write_str("abandoned"),
        }
    }
}

/// One thing that was seen of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was reported.
    pub at: Instant,
    /// What it was.
    pub what: What,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A probe.
    Probe(ProbeResult),
    /// A failed request, or the one that tried a member that was out.
    Request {
        /// How it ended.
        outcome: Outcome,
        /// Whether it tried a member that was out.
        trial: bool,
    },
    /// It was much worse than the others.
    Outlier(Cause),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(Ok(())) => f.write_str("succeeded"),
            Self::Probe(Err(failure)) => write!(f, "{failure}"),
            Self::Request { outcome, .. } => write!(f, "{}", Words(*outcome)),
            Self::Outlier(cause) => write!(f, "{cause}"),
        }
    }
}

/// The last 64 things that were seen of a member.
#[derive(Clone, Debug, Default)]
pub struct Evidence(VecDeque<Seen>);

impl Evidence {
    /// Adds one, and forgets the oldest if there are too many.
    pub fn add(&mut self, at: Instant, what: What) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Seen { at, what });
    }

    /// From the oldest to the latest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Seen> + ExactSizeIterator {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_64_are_kept() {
        let mut evidence = Evidence::default();
        for at in 0..100 {
            evidence.add(Instant::from_micros(at), What::Probe(Ok(())));
        }
        let kept: Vec<u64> = evidence.iter().map(|seen| seen.at.as_micros()).collect();
        assert_eq!(kept, (36..100).collect::<Vec<_>>());
    }
}
