//! Weighted least connections: the member with the fewest exchanges in flight per weight, counted
//! over all workers. Ties go round.

use super::Candidates;
use super::load::{Load, Search};
use crate::ids::{MemberId, WorkerId};

#[derive(Debug)]
pub(in super::super) struct LeastConnections {
    search: Search,
}

impl LeastConnections {
    pub(super) fn new(weights: &[u16], worker: WorkerId) -> Self {
        Self { search: Search::new(weights, worker) }
    }

    pub(super) fn choose(&mut self, candidates: &Candidates<'_>) -> Option<MemberId> {
        self.search.least(candidates, Load::connections)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Setup;
    use super::*;

    #[test]
    fn a_busy_member_is_passed_over_until_it_is_the_least_loaded() {
        let setup = Setup::new(&[1, 1]);
        let mut state = LeastConnections::new(&[1, 1], WorkerId(0));
        // Another worker's exchanges count.
        setup.enter_elsewhere(0, 3);
        for _ in 0..3 {
            assert_eq!(state.choose(&setup.candidates(0)), Some(MemberId(1)));
            setup.enter(1, 1);
        }
        let next = [state.choose(&setup.candidates(0)), state.choose(&setup.candidates(0))];
        assert_eq!(next, [Some(MemberId(0)), Some(MemberId(1))], "ties go round");
    }

    proptest! {
        #[test]
        fn chooses_a_minimum_of_the_naive_score(
            members in proptest::collection::vec((0u16..10, 0u32..20), 1..10),
            forbidden in 0u16..10, tried in 0u16..10, worker in 0u16..20,
        ) {
            let mut setup = Setup::loaded(&members);
            setup.forbid(forbidden);
            setup.try_once(tried);
            let mut state = LeastConnections::new(&setup.weights, WorkerId(worker));
            let chosen = state.choose(&setup.candidates(0));
            let score = |m: usize| f64::from(members[m].1 + 1) / f64::from(members[m].0);
            let out = [usize::from(forbidden), usize::from(tried)];
            let able = (0..members.len()).filter(|m| members[*m].0 > 0 && !out.contains(m));
            let least = able.map(score).fold(f64::INFINITY, f64::min);
            match chosen {
                Some(member) => prop_assert!((score(member.index()) - least).abs() < 1e-9),
                None => prop_assert!(least.is_infinite()),
            }
        }
    }
}
