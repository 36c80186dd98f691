//! The algorithms, one file each, over one rule of eligibility. No I/O, no clock.

mod least_connections;
mod round_robin;

use super::inflight::InFlight;
use super::tried::Tried;
use crate::config::Balance;
use crate::ids::{MemberId, WorkerId};
use least_connections::LeastConnections;
use round_robin::RoundRobin;

/// What an algorithm may look at when it chooses.
pub(super) struct Candidates<'a> {
    /// Per member.
    pub(super) weights: &'a [u16],
    /// Over all workers.
    pub(super) in_flight: &'a InFlight,
    /// Not to be chosen again.
    pub(super) tried: &'a Tried,
}

impl Candidates<'_> {
    /// The one rule: who may be chosen at all.
    fn is_eligible(&self, member: MemberId, weight: u16) -> bool {
        weight > 0 && !self.tried.contains(member)
    }

    /// The eligible members with their weights, in order.
    fn eligible(&self) -> impl Iterator<Item = (MemberId, u16)> {
        // A pool has at most 4,096 members.
        let numbered = (0u16..).map(MemberId).zip(self.weights.iter().copied());
        numbered.filter(|(member, weight)| self.is_eligible(*member, *weight))
    }
}

/// A pool's algorithm with its state on one worker.
#[derive(Debug)]
pub(super) enum Selector {
    RoundRobin(RoundRobin),
    LeastConnections(LeastConnections),
}

impl Selector {
    pub(super) fn new(balance: Balance, weights: &[u16], worker: WorkerId) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(weights, worker)),
            // The other algorithms are being built.
            Balance::LeastConnections
            | Balance::LeastTime
            | Balance::RandomTwo
            | Balance::Hash(_) => {
                Self::LeastConnections(LeastConnections::new(weights.len(), worker))
            }
        }
    }

    /// The member to use next; none if nobody is eligible.
    pub(super) fn choose(&mut self, candidates: &Candidates<'_>) -> Option<MemberId> {
        match self {
            Self::RoundRobin(state) => state.choose(candidates),
            Self::LeastConnections(state) => state.choose(candidates),
        }
    }
}
