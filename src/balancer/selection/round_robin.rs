//! Smooth weighted round robin: shares exact over a cycle, and spread over it (5:1:1 gives
//! AABACAA, not AAAAABC).
//!
//! At each turn every eligible member gains its weight; the one with most is chosen and pays the
//! sum of all weights. Members of equal weight, the usual case, simply take turns, which is the same
//! without looking at all of them.

use super::Candidates;
use crate::ids::{MemberId, WorkerId};

#[derive(Debug)]
pub(in super::super) struct RoundRobin {
    /// Per member, what it has gained and not yet paid.
    gained: Vec<i64>,
    /// Whose turn it is among equals.
    next: MemberId,
}

impl RoundRobin {
    /// Each worker begins at another point of the cycle, so that they do not all begin with the
    /// same member.
    pub(super) fn new(weights: &[u16], worker: WorkerId) -> Self {
        let mut state = Self { gained: vec![0; weights.len()], next: MemberId(0) };
        let members =
            || (0u16..).map(MemberId).zip(weights.iter().copied()).filter(|member| member.1 > 0);
        for _ in 0..worker.index() % members().count().max(1) {
            if let Some(chosen) = state.turn(members()) {
                state.next = MemberId(chosen.0 + 1);
            }
        }
        state
    }

    pub(super) fn choose(&mut self, candidates: &Candidates<'_>) -> Option<MemberId> {
        if !candidates.tried.is_empty() {
            return self.peek(candidates);
        }
        if !are_equal(candidates.weights) {
            return self.turn(candidates.eligible());
        }
        let chosen = if candidates.is_eligible(self.next) {
            self.next
        } else {
            candidates.eligible_from(self.next).next()?.0
        };
        let behind = chosen.0.wrapping_add(1);
        let is_last = usize::from(behind) >= candidates.weights.len();
        self.next = MemberId(if is_last { 0 } else { behind });
        Some(chosen)
    }

    /// Who would be next. A request's second attempt takes no turn: else a member that fails every
    /// request would get the first attempt of all of them.
    fn peek(&self, candidates: &Candidates<'_>) -> Option<MemberId> {
        if are_equal(candidates.weights) {
            return candidates.eligible_from(self.next).next().map(|(member, _)| member);
        }
        let gain = |(member, weight): (MemberId, u16)| {
            let gained = self.gained.get(member.index()).copied().unwrap_or(0);
            (member, gained + i64::from(weight))
        };
        candidates.eligible().map(gain).max_by_key(|(_, gained)| *gained).map(|(member, _)| member)
    }

    fn turn(&mut self, eligible: impl Iterator<Item = (MemberId, u16)>) -> Option<MemberId> {
        let mut sum = 0i64;
        let mut best: Option<(MemberId, i64)> = None;
        for (member, weight) in eligible {
            let Some(gained) = self.gained.get_mut(member.index()) else { continue };
            *gained += i64::from(weight);
            sum += i64::from(weight);
            if best.is_none_or(|(_, most)| *gained > most) {
                best = Some((member, *gained));
            }
        }
        let (chosen, _) = best?;
        if let Some(gained) = self.gained.get_mut(chosen.index()) {
            *gained -= sum;
        }
        Some(chosen)
    }
}

/// Whether all weights but the zeros are equal. Without branches: 1,000 take some tens of
/// nanoseconds.
fn are_equal(weights: &[u16]) -> bool {
    let most = weights.iter().fold(0, |most, weight| most.max(*weight));
    // Zeros wrap and are never the least.
    let least = weights.iter().fold(u16::MAX, |least, weight| least.min(weight.wrapping_sub(1)));
    most.wrapping_sub(1) == least
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Setup;
    use super::*;

    fn sequence(weights: &[u16], worker: u16, turns: usize) -> Vec<u16> {
        let setup = Setup::new(weights);
        let mut state = RoundRobin::new(weights, WorkerId(worker));
        let chosen = (0..turns).filter_map(|_| state.choose(&setup.candidates(0)));
        chosen.map(|member| member.0).collect()
    }

    #[test]
    fn heavy_members_do_not_come_in_runs() {
        assert_eq!(sequence(&[5, 1, 1], 0, 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(sequence(&[1, 1], 1, 3), [1, 0, 1]);
        assert_eq!(sequence(&[0, 1], 0, 2), [1, 1]);
        assert_eq!(sequence(&[0, 0], 3, 2), [0u16; 0]);
    }

    #[test]
    fn tried_members_are_passed_over() {
        let mut setup = Setup::new(&[1, 1, 1]);
        let mut state = RoundRobin::new(&[1, 1, 1], WorkerId(0));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let member = state.choose(&setup.candidates(0)).expect("one is left");
            setup.try_once(member.0);
            seen.push(member.0);
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
        assert_eq!(state.choose(&setup.candidates(0)), None);
    }

    #[test]
    fn a_second_attempt_takes_no_turn() {
        for weights in [&[1, 1][..], &[2, 2, 1][..]] {
            let sum: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
            let mut state = RoundRobin::new(weights, WorkerId(0));
            let mut first = vec![0; weights.len()];
            for _ in 0..sum {
                let mut setup = Setup::new(weights);
                let member = state.choose(&setup.candidates(0)).expect("somebody");
                first[member.index()] += 1;
                // Member 0 fails them all.
                if member == MemberId(0) {
                    setup.try_once(0);
                    let second = state.choose(&setup.candidates(0)).expect("somebody else");
                    assert_ne!(second, MemberId(0));
                }
            }
            assert_eq!(first, weights, "first attempts keep to the weights");
        }
    }

    #[test]
    fn the_others_share_by_weight_while_one_is_out() {
        let mut setup = Setup::new(&[3, 2, 1]);
        let mut state = RoundRobin::new(&[3, 2, 1], WorkerId(0));
        setup.forbid(1);
        let mut counts = [0; 3];
        for _ in 0..8 {
            counts[state.choose(&setup.candidates(0)).expect("two are left").index()] += 1;
        }
        assert_eq!(counts, [6, 0, 2]);
    }

    #[test]
    fn equal_members_take_turns_whoever_is_out() {
        for (weights, expected) in [
            (&[][..], true),
            (&[0, 0], true),
            (&[3], true),
            (&[0, 2, 2, 0], true),
            (&[u16::MAX, u16::MAX], true),
            (&[u16::MAX, 0], true),
            (&[1, 2], false),
            (&[2, 0, 1], false),
        ] {
            assert_eq!(are_equal(weights), expected, "{weights:?}");
        }
        assert_eq!(sequence(&[7, 0, 7, 7], 2, 5), [3, 0, 2, 3, 0]);
        let mut setup = Setup::new(&[1; 4]);
        let mut state = RoundRobin::new(&[1; 4], WorkerId(0));
        let mut turns = |setup: &Setup, count: usize| -> Vec<u16> {
            let chosen = (0..count).filter_map(|_| state.choose(&setup.candidates(0)));
            chosen.map(|member| member.0).collect()
        };
        assert_eq!(turns(&setup, 2), [0, 1]);
        setup.forbid(2);
        assert_eq!(turns(&setup, 4), [3, 0, 1, 3]);
    }

    /// The same rule by its definition: recompute every member's credit from all turns so far.
    fn naive(weights: &[u16], turns: usize) -> Vec<u16> {
        let sum: i64 = weights.iter().map(|w| i64::from(*w)).sum();
        let mut chosen: Vec<u16> = Vec::new();
        for turn in 1..=turns {
            let credit = |m: usize| {
                let paid = chosen.iter().filter(|c| usize::from(**c) == m).count();
                i64::from(weights[m]) * turn as i64 - sum * paid as i64
            };
            let members = (0..weights.len()).filter(|m| weights[*m] > 0);
            // The first of the highest: max_by_key would give the last.
            let best = members.rev().max_by_key(|m| credit(*m)).expect("a weight above 0");
            chosen.push(best as u16);
        }
        chosen
    }

    fn weights() -> impl Strategy<Value = Vec<u16>> {
        let equal = (0u16..20, 1usize..8).prop_map(|(weight, count)| vec![weight; count]);
        prop_oneof![3 => proptest::collection::vec(0u16..20, 1..8), 1 => equal]
    }

    proptest! {
        #[test]
        fn equals_its_naive_twin_and_shares_are_exact(
            weights in weights(), worker in 0u16..5,
        ) {
            let cycle: usize = weights.iter().map(|w| usize::from(*w)).sum();
            prop_assume!(cycle > 0);
            prop_assert_eq!(sequence(&weights, 0, 2 * cycle), naive(&weights, 2 * cycle));
            let later = sequence(&weights, worker, cycle);
            for (member, weight) in weights.iter().enumerate() {
                let share = later.iter().filter(|c| usize::from(**c) == member).count();
                prop_assert_eq!(share, usize::from(*weight));
            }
        }
    }
}
