//! The algorithms, one file each, over one rule of eligibility. No I/O, no clock; a choice allocates
//! nothing.
//!
//! Must not know why a member may not be chosen (health, a maximum, a backup whose turn has not
//! come): the caller says so with a bit in [`Allowed`].

mod allowed;
mod draw;
mod hash;
mod key;
mod least_connections;
mod least_time;
#[cfg(test)]
mod least_time_play;
mod load;
mod random_two;
mod round_robin;
#[cfg(test)]
mod tests;
mod workbench;

use std::sync::Arc;

use super::inflight::InFlight;
use super::latency::LatencyView;
use super::tried::Tried;
use crate::config::Balance;
use crate::ids::{MemberId, WorkerId};
use crate::rng::Rng;
pub(super) use allowed::Allowed;
pub(super) use hash::Hash;
pub use key::hash_key;
use least_connections::LeastConnections;
use least_time::LeastTime;
use random_two::RandomTwo;
use round_robin::RoundRobin;
pub use workbench::Workbench;

/// What an algorithm may look at when it chooses.
pub(super) struct Candidates<'a> {
    /// Per member, now: never above what [`Selector::new`] was given; 0: never chosen.
    pub(super) weights: &'a [u16],
    /// Over all workers.
    pub(super) in_flight: &'a InFlight,
    /// Over all workers.
    pub(super) latency: &'a LatencyView,
    /// Not to be chosen again.
    pub(super) tried: &'a Tried,
    /// Who may serve now.
    pub(super) allowed: &'a Allowed,
    /// [`hash_key`] of the request's key; 0 if the algorithm needs none.
    pub(super) key: u64,
}

impl Candidates<'_> {
    /// The one rule: who may be chosen at all.
    fn is_eligible(&self, member: MemberId) -> bool {
        self.weight(member) > 0 && self.allowed.contains(member) && !self.tried.contains(member)
    }

    fn weight(&self, member: MemberId) -> u16 {
        self.weights.get(member.index()).copied().unwrap_or(0)
    }

    /// The eligible members with their weights, from `start` on and going round.
    fn eligible_from(&self, start: MemberId) -> impl Iterator<Item = (MemberId, u16)> {
        let eligible = self.allowed.starting_at(start).filter(|member| self.is_eligible(*member));
        eligible.map(|member| (member, self.weight(member)))
    }

    /// The same from the first one on.
    fn eligible(&self) -> impl Iterator<Item = (MemberId, u16)> {
        self.eligible_from(MemberId(0))
    }
}

/// A pool's algorithm with its state on one worker.
#[derive(Debug)]
pub(super) enum Selector {
    RoundRobin(RoundRobin),
    LeastConnections(LeastConnections),
    LeastTime(LeastTime),
    RandomTwo(RandomTwo),
    Hash(Arc<Hash>),
}

impl Selector {
    /// For members with these configured weights; a pool that hashes has its table, which was built
    /// for them.
    pub(super) fn new(
        balance: &Balance,
        table: Option<&Arc<Hash>>,
        weights: &[u16],
        worker: WorkerId,
    ) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(weights, worker)),
            Balance::LeastConnections => {
                Self::LeastConnections(LeastConnections::new(weights, worker))
            }
            Balance::LeastTime => Self::LeastTime(LeastTime::new(weights, worker)),
            Balance::RandomTwo => Self::RandomTwo(RandomTwo::new(weights)),
            Balance::Hash(_) => Self::Hash(table.map_or_else(Arc::default, Arc::clone)),
        }
    }

    /// The member to use next; none if nobody is eligible.
    pub(super) fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        rng: &mut Rng,
    ) -> Option<MemberId> {
        match self {
            Self::RoundRobin(state) => state.choose(candidates),
            Self::LeastConnections(state) => state.choose(candidates),
            Self::LeastTime(state) => state.choose(candidates, rng),
            Self::RandomTwo(state) => state.choose(candidates, rng),
            Self::Hash(state) => state.choose(candidates),
        }
    }
}
