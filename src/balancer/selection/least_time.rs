//! Least time: the member with the least latency x (in flight + 1) / weight, which is about how long
//! one more request would take. Latency is what all workers saw lately ([`LatencyView`]).
//!
//! One choice in [`EXPLORE_EVERY`] is by weight alone: every member is measured anew as long as there
//! are requests, so a slow one that recovered is found out. Small pools are looked at whole; of
//! larger ones two members that chance picks.
//!
//! [`LatencyView`]: super::super::LatencyView

use super::Candidates;
use super::draw::Draw;
use super::load::{Load, Search};
use crate::ids::{MemberId, WorkerId};
use crate::rng::Rng;

/// The floor under every member: 1.6 % of its share by weight.
const EXPLORE_EVERY: u64 = 64;
/// Members up to which all are compared.
const SCAN_MOST: usize = 8;

#[derive(Debug)]
pub(in super::super) struct LeastTime {
    draw: Draw,
    search: Search,
}

impl LeastTime {
    pub(super) fn new(weights: &[u16], worker: WorkerId) -> Self {
        Self { draw: Draw::new(weights), search: Search::new(weights, worker) }
    }

    pub(super) fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        rng: &mut Rng,
    ) -> Option<MemberId> {
        if rng.below(EXPLORE_EVERY) == 0 {
            return self.draw.one(candidates, rng);
        }
        if candidates.weights.len() > SCAN_MOST {
            return self.better_of_two(candidates, rng);
        }
        self.search.least(candidates, Load::time)
    }

    fn better_of_two(&self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<MemberId> {
        let (first, second) = self.draw.two(candidates, rng)?;
        let Some(second) = second else { return Some(first) };
        let stay = Load::time(candidates, first).cmp(Load::time(candidates, second)).is_le();
        Some(if stay { first } else { second })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::tests::Setup;
    use super::*;
    use crate::clock::Instant;
    use crate::rng::Rng;

    const START: Instant = Instant::from_micros(1_000_000);

    /// Members by weight, load, and latency in microseconds (0: no sample), as one worker sees them.
    fn measured(members: &[(u16, u32, u64)]) -> Setup {
        let loaded: Vec<(u16, u32)> = members.iter().map(|member| (member.0, member.1)).collect();
        let mut setup = Setup::loaded(&loaded);
        for (member, (_, _, micros)) in (0u16..).map(MemberId).zip(members) {
            if *micros > 0 {
                setup.latency.record(member, Duration::from_micros(*micros));
            }
        }
        setup.latency.tick(START);
        setup
    }

    #[test]
    fn a_new_member_is_tried_at_once_but_not_flooded() {
        let setup = measured(&[(1, 0, 2000), (1, 0, 9000), (1, 0, 0)]);
        let mut state = LeastTime::new(&setup.weights, WorkerId(0));
        let mut rng = Rng::new(1);
        let mut entered = [0u32; 3];
        for _ in 0..40 {
            let member = state.choose(&setup.candidates(0), &mut rng).expect("somebody");
            setup.enter(member.0, 1);
            entered[member.index()] += 1;
        }
        assert!(entered[2].abs_diff(entered[0]) <= 3, "as much as the best: {entered:?}");
        assert!(entered[1] > 0 && entered[1] < entered[0] / 2, "{entered:?}");
    }

    #[test]
    fn everybody_gets_the_floor_by_weight_however_slow() {
        let mut members = vec![(1, 0, 1000); 7];
        members.push((3, 0, 60_000_000));
        for more in [0, 20] {
            members.extend(std::iter::repeat_n((1, 0, 1000), more));
            let setup = measured(&members);
            let mut state = LeastTime::new(&setup.weights, WorkerId(0));
            let mut rng = Rng::new(9);
            let mut choose = || state.choose(&setup.candidates(0), &mut rng).expect("somebody");
            let slow = (0..100_000).filter(|_| choose() == MemberId(7)).count() as f64;
            let floor = 100_000.0 / EXPLORE_EVERY as f64 * 3.0 / (10 + more) as f64;
            assert!((0.8..1.2).contains(&(slow / floor)), "{slow}, the floor is {floor}");
        }
    }

    proptest! {
        #[test]
        fn of_a_small_pool_the_least_of_the_naive_score_is_chosen(
            members in proptest::collection::vec((0u16..10, 0u32..20, 1u64..60_000_000), 1..=SCAN_MOST),
            forbidden in 0u16..10, tried in 0u16..10, seed: u64,
        ) {
            let mut setup = measured(&members);
            setup.forbid(forbidden);
            setup.try_once(tried);
            let mut rng = Rng::new(seed);
            prop_assume!(rng.clone().below(EXPLORE_EVERY) != 0);
            let mut state = LeastTime::new(&setup.weights, WorkerId(0));
            let chosen = state.choose(&setup.candidates(0), &mut rng);
            let score = |m: usize| {
                let micros = setup.latency.view().micros(MemberId(m as u16));
                f64::from(micros) * f64::from(members[m].1 + 1) / f64::from(members[m].0)
            };
            let out = [usize::from(forbidden), usize::from(tried)];
            let able = (0..members.len()).filter(|m| members[*m].0 > 0 && !out.contains(m));
            let least = able.map(score).fold(f64::INFINITY, f64::min);
            match chosen {
                Some(member) => prop_assert!((score(member.index()) / least - 1.0).abs() < 1e-9),
                None => prop_assert!(least.is_infinite()),
            }
        }
    }
}
