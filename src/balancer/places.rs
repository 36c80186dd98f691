//! Which address has which place of a pool. Owned by the control thread; no I/O, no clock.
//!
//! Every member of the file has a fixed number of places, and each place is a `MemberId` for good.
//! When a name gets another answer, who stays keeps the place, who left leaves it vacant, and who
//! came takes the place that is vacant for the longest time: by then nobody is left there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use super::membership::{Membership, Site};
use super::selection::Hash;
use super::sticky::Sticky;
use crate::clock::Instant;
use crate::config::{Balance, MemberAddress, PoolConfig, StickyConfig};
use crate::ids::MemberId;
use crate::net::Address;

/// Steps in which a slow start raises a weight.
const STEPS: u16 = 100;

/// An address to which a name resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it may be called in `Host`.
    pub host: Box<str>,
    /// Its share beside the others; 0 counts as 1.
    pub weight: u16,
    /// It serves only when the others do not.
    pub backup: bool,
}

/// What an answer changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who is there no more.
    pub left: Vec<(MemberId, Address)>,
    /// Who is new.
    pub came: Vec<(MemberId, Address)>,
    /// Whose weight or rank is another one.
    pub weighed: Vec<MemberId>,
    /// Addresses for which there is no place.
    pub homeless: usize,
}

impl Changes {
    /// Whether nobody needs to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty() && self.came.is_empty() && self.weighed.is_empty()
    }
}

#[derive(Debug)]
struct Place {
    site: Option<Site>,
    weight: u16,
    backup: bool,
    /// How many have had it.
    epochs: u32,
    /// `None`: nobody has had it yet.
    vacant_since: Option<Instant>,
}

/// A member of the file.
#[derive(Debug)]
struct Entry {
    places: Range<usize>,
    weight: u16,
    backup: bool,
}

/// The places of one pool.
#[derive(Debug)]
pub struct Places {
    entries: Vec<Entry>,
    places: Vec<Place>,
    hashes: bool,
    /// Of pools whose clients stay, with the pool's name.
    sticky: Option<(StickyConfig, String)>,
    slow_start: bool,
}

impl Places {
    /// At the start: members by name are not known yet.
    #[must_use]
    pub fn new(config: &PoolConfig) -> Self {
        let (mut entries, mut places) = (Vec::new(), Vec::new());
        for member in &config.members {
            let first = places.len();
            let fixed = match &member.address {
                MemberAddress::Ip(ip) => Some((Address::Ip(*ip), ip.to_string())),
                MemberAddress::Unix(path) => {
                    Some((Address::Unix(path.as_path().into()), "localhost".to_owned()))
                }
                MemberAddress::Name { .. } | MemberAddress::Srv(_) => None,
            };
            let site = fixed.map(|(address, host)| Site { address, host: host.into(), epoch: 0 });
            places.extend((0..member.places).map(|_| Place {
                site: site.clone(),
                weight: member.weight,
                backup: member.backup,
                epochs: u32::from(site.is_some()),
                vacant_since: None,
            }));
            let places = first..places.len();
            entries.push(Entry { places, weight: member.weight, backup: member.backup });
        }
        let hashes = matches!(config.balance, Balance::Hash(_));
        let sticky = config.sticky.clone().map(|sticky| (sticky, config.name.clone()));
        Self { entries, places, hashes, sticky, slow_start: !config.slow_start.is_zero() }
    }

    /// Who is at a place.
    #[must_use]
    pub fn site(&self, member: MemberId) -> Option<&Site> {
        self.places.get(member.index())?.site.as_ref()
    }

    /// The weight of who is there, before it is counted in steps.
    #[must_use]
    pub fn weight(&self, member: MemberId) -> u16 {
        let place = self.places.get(member.index()).filter(|place| place.site.is_some());
        place.map_or(0, |place| place.weight)
    }

    /// The name of member `entry` of the file has this answer now. `busy`: whether exchanges with
    /// whoever had a place before are still under way there.
    ///
    /// An answer without an address changes nothing: to go on with old addresses is better than to
    /// serve nobody.
    pub fn on_answer(
        &mut self,
        now: Instant,
        entry: usize,
        found: Vec<Found>,
        busy: impl Fn(MemberId) -> bool,
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(entry) = self.entries.get(entry).filter(|_| !found.is_empty()) else {
            return changes;
        };
        // Those that are no backups have the first choice; whom to leave out is the same on every
        // host.
        let mut wanted: BTreeMap<(bool, SocketAddr), Found> = BTreeMap::new();
        let mut seen: BTreeSet<SocketAddr> = BTreeSet::new();
        let mut sorted = found;
        sorted.sort_by_key(|found| (found.backup, found.address, Reverse(found.weight)));
        for found in sorted {
            if seen.insert(found.address) {
                wanted.insert((found.backup, found.address), found);
            }
        }
        let places = || entry.places.clone();
        for at in places() {
            let Some(place) = self.places.get_mut(at) else { continue };
            let Some(Address::Ip(here)) = place.site.as_ref().map(|site| site.address.clone())
            else {
                continue;
            };
            let stays = wanted.remove(&(false, here)).or_else(|| wanted.remove(&(true, here)));
            match stays {
                None => {
                    place.site = None;
                    place.vacant_since = Some(now);
                    changes.left.push((id(at), Address::Ip(here)));
                }
                Some(found) => {
                    if place.weigh(entry, &found) {
                        changes.weighed.push(id(at));
                    }
                }
            }
        }
        for found in wanted.into_values() {
            let vacant =
                |at: &usize| self.places.get(*at).is_some_and(|place| place.site.is_none());
            let free = places().filter(vacant).min_by_key(|at| {
                let since = self.places.get(*at).and_then(|place| place.vacant_since);
                (busy(id(*at)), since)
            });
            let Some((at, place)) = free.and_then(|at| Some((at, self.places.get_mut(at)?))) else {
                changes.homeless += 1;
                continue;
            };
            place.weigh(entry, &found);
            let address = Address::Ip(found.address);
            let epoch = place.epochs;
            place.epochs = place.epochs.wrapping_add(1);
            place.site = Some(Site { address: address.clone(), host: found.host, epoch });
            changes.came.push((id(at), address));
        }
        changes
    }

    /// What workers are to know.
    #[must_use]
    pub fn membership(&self) -> Membership {
        let weights = || (0..self.places.len()).map(|at| self.weight(id(at)));
        let heaviest = weights().max().unwrap_or(1).max(1);
        let steps = if self.slow_start { STEPS.min(u16::MAX / heaviest) } else { 1 };
        let weights: Vec<u16> = weights().map(|weight| weight.saturating_mul(steps)).collect();
        let text = |place: &Place| place.site.as_ref().map(|site| site.address.to_string());
        let table = self.hashes.then(|| {
            let names: Vec<String> =
                self.places.iter().map(|place| text(place).unwrap_or_default()).collect();
            Arc::new(Hash::new(&names, &weights))
        });
        Membership {
            sites: self.places.iter().map(|place| place.site.clone()).collect(),
            weights,
            backups: self.places.iter().map(|place| place.backup).collect(),
            table,
            sticky: self.sticky(),
        }
    }
}

impl Places {
    /// The members as cookies name them. A vacant place has a text that nobody gets.
    fn sticky(&self) -> Option<Arc<Sticky>> {
        let (config, pool) = self.sticky.as_ref()?;
        let text = |place: &Place| {
            place.site.as_ref().map_or_else(String::new, |site| site.address.to_string())
        };
        Sticky::new(config, pool, self.places.iter().map(text)).map(Arc::new)
    }
}

impl Place {
    /// Takes the weight and the rank that an answer gives; whether they are others.
    fn weigh(&mut self, entry: &Entry, found: &Found) -> bool {
        let weight = entry.weight.saturating_mul(found.weight.max(1));
        let backup = entry.backup || found.backup;
        let changed = (weight, backup) != (self.weight, self.backup);
        (self.weight, self.backup) = (weight, backup);
        changed
    }
}

fn id(at: usize) -> MemberId {
    // A pool has at most 4,096 places.
    MemberId(u16::try_from(at).unwrap_or(u16::MAX))
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
