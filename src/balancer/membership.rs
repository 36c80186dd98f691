//! Who is at which place of a pool: what the control thread says and every worker reads.
//!
//! A place is a `MemberId`. What is written as an address has one and keeps it; what a name resolves
//! to comes and goes. The same place with another address is another member: its epoch says so.

use std::sync::Arc;

use super::selection::Hash;
use super::sticky::Sticky;
use crate::ids::MemberId;
use crate::net::Address;

/// A member as it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where it listens.
    pub address: Address,
    /// What it may be called in `Host`.
    pub host: Box<str>,
    /// How many others had its place before.
    pub epoch: u32,
}

/// The members of one pool at one moment. Nothing in it changes.
#[derive(Debug, Default)]
pub struct Membership {
    /// By place; `None`: vacant.
    pub(super) sites: Vec<Option<Site>>,
    /// By place; in steps if the pool starts slowly. Vacant: 0, so that nobody chooses it.
    pub(super) weights: Vec<u16>,
    /// By place.
    pub(super) backups: Vec<bool>,
    /// For pools that hash. Built here once, since that takes milliseconds.
    pub(super) table: Option<Arc<Hash>>,
    /// For pools whose clients stay.
    pub(super) sticky: Option<Arc<Sticky>>,
}

impl Membership {
    /// Who is at a place.
    #[must_use]
    pub fn site(&self, member: MemberId) -> Option<&Site> {
        self.sites.get(member.index())?.as_ref()
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
