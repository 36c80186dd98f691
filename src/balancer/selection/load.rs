//! Comparing members by cost per weight, without dividing.

use super::Candidates;
use crate::ids::{MemberId, WorkerId};

/// What one more exchange on a member costs, over its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// At most 2^47, or it counts as that.
    pub(super) cost: u64,
    pub(super) weight: u16,
}

impl Load {
    /// (in flight + 1) / weight: with the one to come, so that a free heavy member comes before a
    /// free light one.
    pub(super) fn connections(candidates: &Candidates<'_>, member: MemberId) -> Self {
        let cost = u64::from(candidates.in_flight.total(member)) + 1;
        Self { cost, weight: candidates.weight(member) }
    }

    /// The same times the member's latency.
    pub(super) fn time(candidates: &Candidates<'_>, member: MemberId) -> Self {
        let Self { cost, weight } = Self::connections(candidates, member);
        Self { cost: cost.saturating_mul(u64::from(candidates.latency.micros(member))), weight }
    }

    pub(super) fn cmp(self, other: Self) -> std::cmp::Ordering {
        let most = 1 << 47;
        let ours = self.cost.min(most) * u64::from(other.weight);
        let theirs = other.cost.min(most) * u64::from(self.weight);
        ours.cmp(&theirs)
    }
}

/// Members of a pool up to which every search looks at all of them, unless it meets a free one.
const EXACT_MOST: usize = 64;
/// Of a larger pool all members are looked at once in so many searches. Those between take the first
/// one that has at most one exchange more than the least loaded had.
const WHOLE_EVERY: u32 = 64;

/// A search for the least loaded member, which begins one behind the member that it found last.
#[derive(Debug)]
pub(super) struct Search {
    start: MemberId,
    /// No member's load can be less: free, and of the greatest weight.
    floor: Load,
    /// What is good enough; none in a small pool.
    mark: Option<Load>,
    /// Searches until the mark is too old.
    left: u32,
    is_large: bool,
}

impl Search {
    /// Each worker begins with another member, so that they do not all meet on one.
    pub(super) fn new(weights: &[u16], worker: WorkerId) -> Self {
        let start = worker.index() % weights.len().max(1);
        let heaviest = weights.iter().copied().max().unwrap_or(0);
        Self {
            start: MemberId(u16::try_from(start).unwrap_or(0)),
            floor: Load { cost: 1, weight: heaviest },
            mark: None,
            left: 0,
            is_large: weights.len() > EXACT_MOST,
        }
    }

    /// The eligible member with the least load; equal ones take turns. Ends at the first one that
    /// nothing can beat, or that is good enough.
    pub(super) fn least(
        &mut self,
        candidates: &Candidates<'_>,
        load: impl Fn(&Candidates<'_>, MemberId) -> Load,
    ) -> Option<MemberId> {
        let enough = self.mark.filter(|_| self.left > 0).unwrap_or(self.floor);
        self.left = self.left.saturating_sub(1);
        let mut best: Option<(MemberId, Load)> = None;
        let mut whole = true;
        for (member, _) in candidates.eligible_from(self.start) {
            let ours = load(candidates, member);
            if best.is_none_or(|(_, theirs)| ours.cmp(theirs).is_lt()) {
                best = Some((member, ours));
                if ours.cmp(enough).is_le() || ours.cmp(self.floor).is_le() {
                    whole = false;
                    break;
                }
            }
        }
        let (chosen, least) = best?;
        if whole && self.is_large {
            self.mark = Some(Load { cost: least.cost.saturating_add(1), ..least });
            self.left = WHOLE_EVERY;
        }
        self.start = MemberId(chosen.0.wrapping_add(1));
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::super::tests::Setup;
    use super::*;
    use crate::rng::Rng;

    /// 600 exchanges over 200 members that are all busy; one ends by chance, another begins.
    #[test]
    fn a_large_busy_pool_stays_even_without_looking_at_every_member() {
        let setup = Setup::loaded(&[(1, 0); 200]);
        let (mut search, mut rng) = (Search::new(&setup.weights, WorkerId(0)), Rng::new(7));
        let (mut load, mut open) = ([0u32; 200], Vec::new());
        let (looks, mut excess) = (Cell::new(0), 0);
        let count = |candidates: &Candidates<'_>, member| {
            looks.set(looks.get() + 1);
            Load::connections(candidates, member)
        };
        for round in 0..5000 {
            if round >= 600 {
                let ended: MemberId = open.swap_remove(rng.below(600) as usize);
                load[ended.index()] -= 1;
                setup.leave(ended.0);
            }
            let least = *load.iter().min().expect("members");
            let chosen = search.least(&setup.candidates(0), count).expect("somebody");
            excess += load[chosen.index()] - least;
            load[chosen.index()] += 1;
            setup.enter(chosen.0, 1);
            open.push(chosen);
        }
        assert!(looks.get() < 5000 * 25, "{} looks at members", looks.get());
        assert!(excess < 5000, "{excess} exchanges more than on the least loaded");
        assert!(load.iter().max() <= Some(&5), "{load:?}");
    }

    #[test]
    fn loads_compare_as_quotients_and_do_not_overflow() {
        let load = |cost, weight| Load { cost, weight };
        for (ours, theirs, expected) in [
            (load(1, 1), load(1, 2), Ordering::Greater),
            (load(2, 2), load(1, 1), Ordering::Equal),
            (load(2, 3), load(1, 1), Ordering::Less),
            (load(u64::MAX, u16::MAX), load(u64::MAX, 1), Ordering::Less),
            (load(u64::MAX, 1), load(1, 1), Ordering::Greater),
        ] {
            assert_eq!(ours.cmp(theirs), expected, "{ours:?} {theirs:?}");
            assert_eq!(theirs.cmp(ours), expected.reverse(), "{theirs:?} {ours:?}");
        }
    }
}
