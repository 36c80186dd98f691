//! A set of members, as bits: who may serve now. Filled anew as often as the caller likes; its
//! memory is kept.

use crate::ids::MemberId;

const BITS: usize = u64::BITS as usize;

/// A set of the members of one pool.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Allowed {
    words: Vec<u64>,
}

impl Allowed {
    /// Nobody, of so many members.
    pub(in super::super) fn new(members: usize) -> Self {
        Self { words: vec![0; members.div_ceil(BITS)] }
    }

    /// Nobody.
    pub(in super::super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds a member. One that the set was not made for is not added.
    pub(in super::super) fn set(&mut self, member: MemberId) {
        if let Some(word) = self.words.get_mut(member.index() / BITS) {
            *word |= 1 << (member.index() % BITS);
        }
    }

    /// Whether the member is in it.
    pub(in super::super) fn contains(&self, member: MemberId) -> bool {
        let word = self.words.get(member.index() / BITS).copied().unwrap_or(0);
        word >> (member.index() % BITS) & 1 == 1
    }

    /// Its members in order, from `start` on and going round.
    pub(super) fn starting_at(&self, start: MemberId) -> impl Iterator<Item = MemberId> {
        let first = start.index() / BITS;
        // Beyond the end: from the first one on.
        let (first, bit) =
            if first < self.words.len() { (first, start.index() % BITS) } else { (0, 0) };
        let behind = u64::MAX << bit;
        // The word of `start` comes twice: its upper part first, its lower part last.
        let to_end = (first..self.words.len()).chain(0..=first);
        let masks = std::iter::once(behind).chain(std::iter::repeat(u64::MAX));
        let laps = to_end.zip(masks).enumerate().map(move |(step, (word, mask))| {
            let last = step > 0 && word == first;
            (word, if last { !behind } else { mask })
        });
        laps.flat_map(|(index, mask)| {
            let word = self.words.get(index).copied().unwrap_or(0) & mask;
            bits(word).map(move |bit| MemberId((index * BITS) as u16 + bit))
        })
    }

    /// How many are in it.
    pub(in super::super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// Positions of the bits that are set, lowest first.
fn bits(word: u64) -> impl Iterator<Item = u16> {
    let some = |word: u64| (word != 0).then_some(word);
    let rest = std::iter::successors(some(word), move |word| some(word & (word - 1)));
    rest.map(|word| word.trailing_zeros() as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_do_not_mix_and_strangers_stay_out() {
        let mut set = Allowed::new(65);
        for member in [0, 63, 64, 128] {
            set.set(MemberId(member));
        }
        for (member, expected) in
            [(0, true), (1, false), (63, true), (64, true), (127, false), (128, false)]
        {
            assert_eq!(set.contains(MemberId(member)), expected, "member {member}");
        }
        assert_eq!(set.count(), 3);
        set.clear();
        assert_eq!(set.count(), 0);
        assert!(!set.contains(MemberId(64)));
    }

    proptest! {
        #[test]
        fn members_come_in_order_and_go_round(
            members in proptest::collection::btree_set(0u16..200, 0..60), start in 0u16..300,
        ) {
            let mut set = Allowed::new(200);
            members.iter().for_each(|member| set.set(MemberId(*member)));
            let start_in = if start < 256 { start } else { 0 };
            let expected = members.range(start_in..).chain(members.range(..start_in)).copied();
            let found: Vec<u16> = set.starting_at(MemberId(start)).map(|member| member.0).collect();
            prop_assert_eq!(found, expected.collect::<Vec<u16>>());
            prop_assert_eq!(set.count(), members.len());
        }
    }
}
