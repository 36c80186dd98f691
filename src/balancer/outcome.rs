//! How a member behaved in one exchange: what the balancer learns from.

use std::time::Duration;

use crate::config::FailureSet;
use crate::ids::{MemberId, PoolId};

/// What a member did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection: refused, unreachable, or too late.
    Connect,
    /// It closed the connection before its answer, or in the middle of it.
    Reset,
    /// It was silent for `timeouts.response`.
    Timeout,
    /// Its answer was not HTTP.
    BadAnswer,
}

/// How an exchange with a member ended, as far as the member is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status; `first_byte` after the request had been sent.
    Answered {
        /// The final answer's status.
        status: u16,
        /// From the request sent whole to the answer's head.
        first_byte: Duration,
    },
    /// It took a connection, of whose bytes nothing is known.
    Connected {
        /// From the attempt to the connection.
        took: Duration,
    },
    /// It failed.
    Failed(Fault),
    /// The client left, or failed itself: nothing is learnt.
    Abandoned,
}

impl Outcome {
    /// Whether this is among the failures that `set` names; `None`: nothing is learnt.
    #[must_use]
    pub fn is_failure(self, set: &FailureSet) -> Option<bool> {
        match self {
            Self::Answered { status, .. } => Some(set.statuses.contains(&status)),
            Self::Connected { .. } => Some(false),
            Self::Failed(Fault::Connect) => Some(set.connect),
            Self::Failed(Fault::Reset) => Some(set.reset),
            Self::Failed(Fault::Timeout) => Some(set.timeout),
            Self::Failed(Fault::BadAnswer) => Some(set.bad_answer),
            Self::Abandoned => None,
        }
    }
}

/// What a worker tells the monitor: every failure, and the outcome of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The pool.
    pub pool: PoolId,
    /// Its member.
    pub member: MemberId,
    /// Which of those that have had this place: `Site::epoch`.
    pub epoch: u32,
    /// How the exchange ended.
    pub outcome: Outcome,
    /// The exchange was the one real request by which a member that is out is tried.
    pub trial: bool,
}
