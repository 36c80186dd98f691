//! The members that an exchange has tried already.

use crate::ids::MemberId;

/// How many members one exchange tries at the most.
const MOST: usize = 8;

/// A short list of members, without allocation.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    members: [MemberId; MOST],
    count: u8,
}

impl Default for Tried {
    fn default() -> Self {
        Self { members: [MemberId(0); MOST], count: 0 }
    }
}

impl Tried {
    /// Notes a member; false if the list is full: give up.
    #[must_use]
    pub fn add(&mut self, member: MemberId) -> bool {
        let Some(slot) = self.members.get_mut(usize::from(self.count)) else { return false };
        *slot = member;
        self.count += 1;
        usize::from(self.count) < MOST
    }

    /// Whether nobody was tried yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The members, each once.
    pub fn iter(&self) -> impl Iterator<Item = MemberId> {
        self.members.iter().take(usize::from(self.count)).copied()
    }

    /// Whether this member was tried.
    #[must_use]
    pub fn contains(&self, member: MemberId) -> bool {
        self.iter().any(|tried| tried == member)
    }
}
