//! Of two members that chance picks by weight, the less loaded: nearly as even as looking at all of
//! them, at a cost that hardly grows with their number, and without the herds that form when many
//! workers look at the same counts.

use super::Candidates;
use super::draw::Draw;
use super::load::Load;
use crate::ids::MemberId;
use crate::rng::Rng;

#[derive(Debug)]
pub(in super::super) struct RandomTwo {
    draw: Draw,
}

impl RandomTwo {
    pub(super) fn new(weights: &[u16]) -> Self {
        Self { draw: Draw::new(weights) }
    }

    pub(super) fn choose(&self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<MemberId> {
        let (first, second) = self.draw.two(candidates, rng)?;
        let Some(second) = second else { return Some(first) };
        let ours = Load::connections(candidates, first);
        let theirs = Load::connections(candidates, second);
        // Two free members: the order of drawing decides, which followed the weights. To compare
        // weights once more would leave a light member of a quiet pool with nothing.
        let free = ours.cost == 1 && theirs.cost == 1;
        Some(if free || ours.cmp(theirs).is_le() { first } else { second })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::tests::{Setup, assert_shares};
    use super::*;
    use crate::rng::Rng;

    /// Shares of 40,000 choices, of which the last `open` are always in flight.
    fn shares(setup: &Setup, open: usize) -> Vec<usize> {
        let state = RandomTwo::new(&setup.weights);
        let (mut rng, mut running) = (Rng::new(5), VecDeque::new());
        let mut counts = vec![0; setup.weights.len()];
        for _ in 0..40_000 {
            let member = state.choose(&setup.candidates(0), &mut rng).expect("somebody");
            counts[member.index()] += 1;
            setup.enter(member.0, 1);
            running.push_back(member);
            if running.len() > open {
                setup.leave(running.pop_front().expect("not empty").0);
            }
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights_quiet_and_busy() {
        let weights = [4, 2, 1, 1, 0];
        for (open, tolerance) in [(0, 0.05), (400, 0.1)] {
            assert_shares(&shares(&Setup::new(&weights), open), &weights, tolerance);
        }
    }

    proptest! {
        #[test]
        fn is_the_less_loaded_of_the_two_drawn(
            members in proptest::collection::vec((0u16..10, 0u32..20), 1..40), seed: u64,
        ) {
            let setup = Setup::loaded(&members);
            let draw = Draw::new(&setup.weights);
            let drawn = draw.two(&setup.candidates(0), &mut Rng::new(seed));
            let state = RandomTwo::new(&setup.weights);
            let chosen = state.choose(&setup.candidates(0), &mut Rng::new(seed));
            let score = |m: MemberId| {
                let (weight, load) = members[m.index()];
                f64::from(load + 1) / f64::from(weight)
            };
            match drawn {
                Some((first, Some(second))) => {
                    let free = members[first.index()].1 + members[second.index()].1 == 0;
                    let stay = free || score(first) <= score(second);
                    prop_assert_eq!(chosen, Some(if stay { first } else { second }));
                }
                Some((only, None)) => prop_assert_eq!(chosen, Some(only)),
                None => prop_assert_eq!(chosen, None),
            }
        }
    }
}
