//! Drawing members by weight: in time that hardly grows with their number, as long as most of them
//! are eligible.
//!
//! The configured weights are summed up once. A weight that is lower now (slow start), or a member
//! that is not eligible, is met by drawing again, which leaves the shares of the others exact.

use super::Candidates;
use crate::ids::MemberId;
use crate::rng::Rng;

/// Draws before all members are looked at: half of a pool out costs that once in 65,536 choices.
const DRAWS_MOST: usize = 16;

#[derive(Debug)]
pub(super) struct Draw {
    /// Sums of the configured weights up to and with each member. At most 4,096 x 65,535.
    sums: Vec<u32>,
}

impl Draw {
    pub(super) fn new(weights: &[u16]) -> Self {
        let sums = weights.iter().scan(0u32, |sum, weight| {
            *sum = sum.saturating_add(u32::from(*weight));
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// An eligible member by weight.
    pub(super) fn one(&self, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<MemberId> {
        self.other_than(None, candidates, rng)
    }

    /// Two of them by weight, in the order of drawing; the second is none if only one is eligible.
    pub(super) fn two(
        &self,
        candidates: &Candidates<'_>,
        rng: &mut Rng,
    ) -> Option<(MemberId, Option<MemberId>)> {
        let first = self.one(candidates, rng)?;
        Some((first, self.other_than(Some(first), candidates, rng)))
    }

    fn other_than(
        &self,
        not: Option<MemberId>,
        candidates: &Candidates<'_>,
        rng: &mut Rng,
    ) -> Option<MemberId> {
        for _ in 0..DRAWS_MOST {
            let (member, within) = self.draw(rng)?;
            let accepted = within < u32::from(candidates.weight(member));
            if accepted && Some(member) != not && candidates.is_eligible(member) {
                return Some(member);
            }
        }
        scan(not, candidates, rng)
    }

    /// A member by configured weight, and a number below that weight, as probable as any other.
    fn draw(&self, rng: &mut Rng) -> Option<(MemberId, u32)> {
        let all = *self.sums.last()?;
        // Below a u32, so it is one.
        let at = rng.below(u64::from(all)) as u32;
        let member = self.sums.partition_point(|sum| *sum <= at);
        let before = member.checked_sub(1).and_then(|member| self.sums.get(member));
        let member = MemberId(u16::try_from(member).ok()?);
        Some((member, at - before.copied().unwrap_or(0)))
    }
}

/// The same by looking at all.
fn scan(not: Option<MemberId>, candidates: &Candidates<'_>, rng: &mut Rng) -> Option<MemberId> {
    let others = || candidates.eligible().filter(|(member, _)| Some(*member) != not);
    let mut at = rng.below(others().map(|(_, weight)| u64::from(weight)).sum());
    for (member, weight) in others() {
        match at.checked_sub(u64::from(weight)) {
            Some(rest) => at = rest,
            None => return Some(member),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Setup, assert_shares};
    use super::*;

    const DRAWS: usize = 40_000;

    fn counts(setup: &Setup, draw: impl Fn(&mut Rng) -> Option<MemberId>) -> Vec<usize> {
        let mut rng = Rng::new(1);
        let mut counts = vec![0; setup.weights.len()];
        for _ in 0..DRAWS {
            counts[draw(&mut rng).expect("somebody is eligible").index()] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights_now_among_the_eligible() {
        let mut setup = Setup::new(&[10, 20, 0, 40, 30]);
        let draw = Draw::new(&setup.weights);
        setup.weights[1] = 5; // slow start
        setup.forbid(4);
        let expected = [10, 5, 0, 40, 0];
        let drawn = counts(&setup, |rng| draw.one(&setup.candidates(0), rng));
        assert_shares(&drawn, &expected, 0.05);
        let scanned = counts(&setup, |rng| scan(None, &setup.candidates(0), rng));
        assert_shares(&scanned, &expected, 0.05);
        let others =
            counts(&setup, |rng| draw.other_than(Some(MemberId(3)), &setup.candidates(0), rng));
        assert_shares(&others, &[10, 5, 0, 0, 0], 0.05);
    }

    #[test]
    fn two_are_distinct_and_one_is_alone() {
        let mut setup = Setup::new(&[1, 60_000, 1]);
        let draw = Draw::new(&setup.weights);
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            let (first, second) = draw.two(&setup.candidates(0), &mut rng).expect("two");
            assert_ne!(Some(first), second);
            assert!(second.is_some());
        }
        setup.forbid(0);
        setup.forbid(2);
        let only = Some((MemberId(1), None));
        assert_eq!(draw.two(&setup.candidates(0), &mut rng), only);
        setup.forbid(1);
        assert_eq!(draw.two(&setup.candidates(0), &mut rng), None);
        assert_eq!(Draw::new(&[]).two(&setup.candidates(0), &mut rng), None);
    }
}
