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

    /// How many are in it.
    pub(in super::super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
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
}
