//! Consistent hashing with a Maglev table: a key meets the same member on every core, host and
//! restart, in one look-up however many members there are.
//!
//! Members are known by the text of their address, so their order in the file does not matter.
//! The table has the same size for every pool: else a member more or less could move every key. Who
//! is not eligible keeps its slots, and only its keys go on, each to a slot of its own: they spread
//! over the others by weight, and come back with it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Candidates;
use super::key::{hash_key, scale};
use crate::ids::MemberId;
use crate::rng::mix;

/// Slots of the table. Prime, so that every step but 0 leads through all of them; 16 for each
/// member of the largest pool. 128 KiB.
const SLOTS: usize = 65_537;
/// Slots that a key looks at before all members are: a tenth of a pool left costs that for 1 key in
/// 29.
const LOOKS_MOST: u64 = 32;
/// No member: larger than any identifier of one.
const FREE: u16 = u16::MAX;

#[derive(Debug, Default)]
pub(in super::super) struct Hash {
    table: Vec<u16>,
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// Hash of its address.
    identity: u64,
    /// As configured: the table was built for it.
    weight: u16,
}

impl Hash {
    /// For members with these addresses and weights; who has no weight is not in it.
    pub(in super::super) fn new<A: ToString>(addresses: &[A], weights: &[u16]) -> Self {
        let identity = |address: &A| hash_key(address.to_string().as_bytes());
        let members: Vec<Member> = addresses
            .iter()
            .zip(weights)
            .map(|(address, weight)| Member { identity: identity(address), weight: *weight })
            .collect();
        Self { table: build(&members), members }
    }

    pub(super) fn choose(&self, candidates: &Candidates<'_>) -> Option<MemberId> {
        for look in 0..LOOKS_MOST {
            let hash = mix(candidates.key ^ mix(look));
            let member = self.table.get(scale(hash, SLOTS as u64) as usize)?;
            let member = MemberId(*member);
            if candidates.is_eligible(member) && self.accepts(candidates, member, hash) {
                return Some(member);
            }
        }
        self.rendezvous(candidates)
    }

    /// In a slow start a member takes its keys back one after the other.
    fn accepts(&self, candidates: &Candidates<'_>, member: MemberId, hash: u64) -> bool {
        let now = candidates.weight(member);
        self.members.get(member.index()).is_some_and(|Member { identity, weight }| {
            now >= *weight || scale(mix(hash ^ identity), u64::from(*weight)) < u64::from(now)
        })
    }

    /// The same properties by looking at all members, when few are left: each draws a time from the
    /// key, shorter the heavier it is; the shortest wins.
    fn rendezvous(&self, candidates: &Candidates<'_>) -> Option<MemberId> {
        let time = |(member, weight): (MemberId, u16)| {
            let identity = self.members.get(member.index())?.identity;
            // In (0, 1], so that the logarithm is finite.
            let part = ((mix(candidates.key ^ identity) >> 11) + 1) as f64 / (1u64 << 53) as f64;
            Some((-part.ln() / f64::from(weight), identity, member))
        };
        let shortest = candidates
            .eligible()
            .filter_map(time)
            .min_by(|ours, theirs| ours.0.total_cmp(&theirs.0).then(ours.1.cmp(&theirs.1)));
        shortest.map(|(_, _, member)| member)
    }
}

/// A member's walk through the slots while the table is filled.
struct Walk {
    member: u16,
    at: usize,
    step: usize,
    /// Between two of its turns, in time of the filling.
    pause: u64,
}

/// Fills the table: members take turns, the heavier the more often, and at each turn take the next
/// free slot of their walk. How often one has its turn does not depend on the others, so that one
/// more or less disturbs them little.
fn build(members: &[Member]) -> Vec<u16> {
    let mut table = vec![FREE; SLOTS];
    let mut order: Vec<(u64, u16, u16)> = (0u16..)
        .zip(members)
        .filter(|(_, member)| member.weight > 0)
        .map(|(position, member)| (member.identity, position, member.weight))
        .collect();
    order.sort_unstable();
    let mut walks: Vec<Walk> = order
        .iter()
        .map(|(identity, position, weight)| Walk {
            member: *position,
            at: scale(mix(*identity), SLOTS as u64) as usize,
            step: 1 + scale(mix(!identity), SLOTS as u64 - 1) as usize,
            pause: (1 << 40) / u64::from(*weight),
        })
        .collect();
    let mut turns: BinaryHeap<Reverse<(u64, usize)>> =
        (0..walks.len()).map(|walk| Reverse((0, walk))).collect();
    for _ in 0..SLOTS {
        let Some(Reverse((time, walk))) = turns.pop() else { break };
        let Some(state) = walks.get_mut(walk) else { break };
        state.take_next(&mut table);
        turns.push(Reverse((time + state.pause, walk)));
    }
    table
}

impl Walk {
    /// Takes the next free slot. There must be one.
    fn take_next(&mut self, table: &mut [u16]) {
        for _ in 0..SLOTS {
            let slot = table.get_mut(self.at);
            self.at = (self.at + self.step) % SLOTS;
            if let Some(slot) = slot.filter(|slot| **slot == FREE) {
                *slot = self.member;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::super::tests::{Setup, addresses, assert_shares};
    use super::*;

    const KEYS: u64 = 20_000;

    fn key(number: u64) -> u64 {
        hash_key(format!("/item/{number}").as_bytes())
    }

    /// The address that each key meets.
    fn choices(hash: &Hash, setup: &Setup) -> Vec<SocketAddr> {
        let choose = |number| hash.choose(&setup.candidates(key(number))).expect("somebody");
        (0..KEYS).map(|number| setup.addresses[choose(number).index()]).collect()
    }

    fn pool(addresses: &[SocketAddr], weights: &[u16]) -> (Hash, Setup) {
        let mut setup = Setup::new(weights);
        setup.addresses = addresses.to_vec();
        (Hash::new(addresses, weights), setup)
    }

    fn moved(before: &[SocketAddr], after: &[SocketAddr]) -> usize {
        before.iter().zip(after).filter(|(before, after)| before != after).count()
    }

    #[test]
    fn choices_are_the_same_on_every_host_and_in_every_version() {
        let (hash, setup) = pool(&addresses(5), &[1, 1, 2, 1, 1]);
        let choose = |number| hash.choose(&setup.candidates(key(number))).map(|member| member.0);
        let chosen: Vec<u16> = (0..12).filter_map(choose).collect();
        assert_eq!(chosen, [1, 1, 3, 0, 2, 0, 4, 3, 2, 2, 0, 2]);
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let (mut addresses, mut weights) = (addresses(7), [1, 2, 3, 4, 5, 6, 7]);
        let (hash, setup) = pool(&addresses, &weights);
        let before = choices(&hash, &setup);
        addresses.reverse();
        weights.reverse();
        let (hash, setup) = pool(&addresses, &weights);
        assert_eq!(moved(&before, &choices(&hash, &setup)), 0);
    }

    #[test]
    fn slots_follow_the_weights() {
        for (weights, tolerance) in [
            (vec![1, 1, 1], 0.001),
            (vec![1, 2, 3, 0, 100], 0.01),
            (vec![1; 1000], 0.02),
            (vec![u16::MAX, 1], 1.1),
        ] {
            let hash = Hash::new(&addresses(weights.len()), &weights);
            let mut slots = vec![0; weights.len()];
            hash.table.iter().for_each(|member| slots[usize::from(*member)] += 1);
            assert_shares(&slots, &weights, tolerance);
            assert!(
                slots.iter().zip(&weights).all(|(slots, weight)| (*slots > 0) == (*weight > 0))
            );
        }
    }

    #[test]
    fn keys_of_a_member_that_is_out_spread_by_weight_and_nobody_elses_move() {
        let weights = [1, 1, 2, 4, 4];
        let (hash, mut setup) = pool(&addresses(5), &weights);
        let before = choices(&hash, &setup);
        let gone = setup.addresses[3];
        setup.forbid(3);
        let after = choices(&hash, &setup);
        let mut inherited = [0; 5];
        for (before, after) in before.iter().zip(&after) {
            if *before == gone {
                let heir = setup.addresses.iter().position(|address| address == after);
                inherited[heir.expect("a member")] += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert_shares(&inherited, &[1, 1, 2, 0, 4], 0.1);
    }

    #[test]
    fn few_that_are_left_share_by_weight() {
        let mut weights = vec![1; 400];
        weights[7] = 2;
        let (hash, mut setup) = pool(&addresses(400), &weights);
        (0..400).filter(|member| ![7, 200, 399].contains(member)).for_each(|m| setup.forbid(m));
        let before = choices(&hash, &setup);
        let mut counts = vec![0; 400];
        for address in &before {
            counts[setup.addresses.iter().position(|other| other == address).expect("one")] += 1;
        }
        assert_shares(&[counts[7], counts[200], counts[399]], &[2, 1, 1], 0.05);
        setup.forbid(200);
        let after = choices(&hash, &setup);
        assert_eq!(moved(&before, &after), counts[200], "only those of the one that left");
    }

    #[test]
    fn a_slow_start_takes_keys_back_one_after_the_other() {
        let (hash, mut setup) = pool(&addresses(4), &[100; 4]);
        let all = choices(&hash, &setup);
        let own = setup.addresses[2];
        let mut before = 0;
        for percent in [0u16, 1, 10, 50, 99, 100] {
            setup.weights[2] = percent;
            let now = choices(&hash, &setup);
            for (all, now) in all.iter().zip(&now) {
                assert!(all == now || *all == own || *now == own, "somebody else's key moved");
            }
            let share = now.iter().filter(|address| **address == own).count();
            assert!(share > before || percent == 0, "{share} at {percent} %");
            let expected = KEYS as f64 * f64::from(percent) / f64::from(300 + percent);
            let off = (share as f64 - expected).abs();
            assert!(off <= expected * 0.1 + 20.0, "{share} at {percent} %, not {expected}");
            before = share;
        }
        assert_eq!(moved(&all, &choices(&hash, &setup)), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_member_that_leaves_the_file_moves_little_more_than_its_keys(
            weights in proptest::collection::vec(1u16..10, 2..60), leaver: prop::sample::Index,
        ) {
            let mut weights = weights;
            let mut addresses = addresses(weights.len());
            let (hash, setup) = pool(&addresses, &weights);
            let before = choices(&hash, &setup);
            let leaver = leaver.index(weights.len());
            let gone = addresses.remove(leaver);
            weights.remove(leaver);
            let (hash, setup) = pool(&addresses, &weights);
            let after = choices(&hash, &setup);
            let own = before.iter().filter(|address| **address == gone).count();
            let others = moved(&before, &after) - own;
            prop_assert!(others as u64 <= KEYS / 50, "{} besides {} of its own", others, own);
        }
    }

    #[test]
    fn a_member_that_leaves_the_file_disturbs_less_than_a_hundredth_of_the_others_keys() {
        for count in [3usize, 10, 60, 1000] {
            let all = addresses(count);
            let before = Hash::new(&all, &vec![1; count]);
            let after = Hash::new(&all[..count - 1], &vec![1; count - 1]);
            let others =
                before.table.iter().zip(&after.table).filter(|(before, after)| {
                    usize::from(**before) != count - 1 && before != after
                });
            let share = others.count() as f64 / SLOTS as f64;
            assert!(share < 0.01, "{share} of all slots, with {count} members");
        }
    }
}
