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

/// A search for the least loaded member, which begins one behind the member that it found last.
#[derive(Debug)]
pub(super) struct Search {
    start: MemberId,
    /// No member's load can be less: free, and of the greatest weight.
    floor: Load,
}

impl Search {
    /// Each worker begins with another member, so that they do not all meet on one.
    pub(super) fn new(weights: &[u16], worker: WorkerId) -> Self {
        let start = worker.index() % weights.len().max(1);
        let heaviest = weights.iter().copied().max().unwrap_or(0);
        Self {
            start: MemberId(u16::try_from(start).unwrap_or(0)),
            floor: Load { cost: 1, weight: heaviest },
        }
    }

    /// The eligible member with the least load; equal ones take turns. Ends at the first one that
    /// nothing can beat.
    pub(super) fn least(
        &mut self,
        candidates: &Candidates<'_>,
        load: impl Fn(&Candidates<'_>, MemberId) -> Load,
    ) -> Option<MemberId> {
        let mut best: Option<(MemberId, Load)> = None;
        for (member, _) in candidates.eligible_from(self.start) {
            let ours = load(candidates, member);
            if best.is_none_or(|(_, theirs)| ours.cmp(theirs).is_lt()) {
                best = Some((member, ours));
                if ours.cmp(self.floor).is_le() {
                    break;
                }
            }
        }
        let (chosen, _) = best?;
        self.start = MemberId(chosen.0.wrapping_add(1));
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

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
