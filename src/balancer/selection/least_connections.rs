//! Weighted least connections: the member with the fewest exchanges in flight per weight, counted
//! over all workers. Ties go round.

use std::cmp::Ordering;

use super::Candidates;
use crate::ids::{MemberId, WorkerId};

#[derive(Debug)]
pub(in super::super) struct LeastConnections {
    /// Where the search begins: one behind the member chosen last.
    start: u16,
}

impl LeastConnections {
    /// Each worker begins with another member.
    pub(super) fn new(members: usize, worker: WorkerId) -> Self {
        let start = worker.index() % members.max(1);
        Self { start: u16::try_from(start).unwrap_or(0) }
    }

    pub(super) fn choose(&mut self, candidates: &Candidates<'_>) -> Option<MemberId> {
        let mut best: Option<Loaded> = None;
        for (member, weight) in candidates.eligible() {
            let load = Loaded {
                member,
                weight,
                in_flight: candidates.in_flight.total(member),
                wraps: member.0 < self.start,
            };
            if best.as_ref().is_none_or(|best| load.is_better(best)) {
                best = Some(load);
            }
        }
        let chosen = best?.member;
        self.start = chosen.0.wrapping_add(1);
        Some(chosen)
    }
}

struct Loaded {
    member: MemberId,
    weight: u16,
    in_flight: u32,
    /// Comes after the others when the search begins at `start`.
    wraps: bool,
}

impl Loaded {
    /// Compares (in flight + 1) / weight, so that a free heavy member comes before a free light
    /// one, without dividing.
    fn is_better(&self, other: &Self) -> bool {
        let ours = (u64::from(self.in_flight) + 1) * u64::from(other.weight);
        let theirs = (u64::from(other.in_flight) + 1) * u64::from(self.weight);
        match ours.cmp(&theirs) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => !self.wraps && other.wraps,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::{InFlight, Tried};
    use super::*;

    #[test]
    fn a_busy_member_is_passed_over_until_it_is_the_least_loaded() {
        let in_flight = InFlight::new(2, 2);
        let tried = Tried::default();
        let candidates = Candidates { weights: &[1, 1], in_flight: &in_flight, tried: &tried };
        let mut state = LeastConnections::new(2, WorkerId(0));
        // Another worker's exchanges count.
        for _ in 0..3 {
            in_flight.enter(WorkerId(1), MemberId(0));
        }
        for _ in 0..3 {
            assert_eq!(state.choose(&candidates), Some(MemberId(1)));
            in_flight.enter(WorkerId(0), MemberId(1));
        }
        let next = [state.choose(&candidates), state.choose(&candidates)];
        assert_eq!(next, [Some(MemberId(0)), Some(MemberId(1))], "ties go round");
    }

    proptest! {
        #[test]
        fn chooses_a_minimum_of_the_naive_score(
            members in proptest::collection::vec((0u16..10, 0u32..20), 1..10), tried in 0u16..10,
        ) {
            let weights: Vec<u16> = members.iter().map(|m| m.0).collect();
            let in_flight = InFlight::new(1, members.len());
            for (member, (_, load)) in members.iter().enumerate() {
                for _ in 0..*load {
                    in_flight.enter(WorkerId(0), MemberId(member as u16));
                }
            }
            let mut list = Tried::default();
            prop_assert!(list.add(MemberId(tried)));
            let candidates = Candidates { weights: &weights, in_flight: &in_flight, tried: &list };
            let chosen = LeastConnections::new(members.len(), WorkerId(0)).choose(&candidates);
            let score = |m: usize| f64::from(members[m].1 + 1) / f64::from(members[m].0);
            let able = (0..members.len()).filter(|m| members[*m].0 > 0 && *m != usize::from(tried));
            let least = able.map(score).fold(f64::INFINITY, f64::min);
            match chosen {
                Some(member) => prop_assert!((score(member.index()) - least).abs() < 1e-9),
                None => prop_assert!(least.is_infinite()),
            }
        }
    }
}
