//! The members of one pool: the rules that need all of them, and the only writer of what workers
//! read of their standing.

use std::sync::Arc;

use super::evidence::ProbeResult;
use super::member::{Admin, Member};
use super::outliers::Outliers;
use super::passive::{Due, PassiveState, Verdict};
use super::transition::Transition;
use super::words::Words;
use crate::balancer::{Availability, Changes, Outcome, Places, Records, Standing};
use crate::clock::Instant;
use crate::config::{MemberConfig, PoolConfig};
use crate::ids::MemberId;

/// The members of one pool.
#[derive(Debug)]
pub struct PoolHealth {
    /// By place; `None`: vacant.
    members: Vec<Option<Member>>,
    weights: Vec<u16>,
    /// A member of which nothing is known.
    blank: Member,
    /// By place: what the file says that the operator wants of who is there.
    states: Vec<Admin>,
    /// What the operator said of those who have left.
    words: Words,
    availability: Arc<Availability>,
    /// Members that their requests took out: ejected, or on trial.
    ejected: Vec<MemberId>,
    /// How many of a hundred may be so at a time.
    share: usize,
    /// Members with a weight that are in.
    available: usize,
    outliers: Outliers,
    /// What the rules for outliers compare; `None`: nobody counts.
    records: Option<Arc<Records>>,
}

impl PoolHealth {
    /// The members of `config` at the start, published in `availability`, which says until now
    /// that all are in. What is to be resolved is not there yet.
    #[must_use]
    pub fn new(config: &PoolConfig, availability: Arc<Availability>, now: Instant) -> Self {
        let share = config.eject.as_ref().map_or(0, |eject| usize::from(eject.max_share));
        let blank = Member::new(config, Admin::Ready);
        let weight = |member: &MemberConfig| match member.address.is_resolved() {
            true => 0,
            false => member.weight,
        };
        let mut pool = Self {
            members: config
                .places()
                .map(|place| {
                    let there = !place.address.is_resolved();
                    there.then(|| blank.clone().under(place.state.into()))
                })
                .collect(),
            states: config.places().map(|place| place.state.into()).collect(),
            words: Words::default(),
            weights: config.places().map(weight).collect(),
            availability,
            ejected: Vec::new(),
            blank,
            share,
            available: 0,
            outliers: Outliers::new(config.eject.as_ref(), config.places().count(), now),
            records: None,
        };
        pool.available = pool.ids().filter(|member| pool.serves(*member)).count();
        for member in pool.ids() {
            pool.publish(member, now);
        }
        pool
    }

    /// Compares members by what is counted there.
    #[must_use]
    pub fn with_records(mut self, records: Arc<Records>) -> Self {
        self.records = Some(records);
        self
    }

    fn ids(&self) -> impl Iterator<Item = MemberId> + use<> {
        (0..=u16::MAX).take(self.members.len()).map(MemberId)
    }

    fn one(&mut self, member: MemberId) -> Option<&mut Member> {
        self.members.get_mut(member.index())?.as_mut()
    }

    /// Takes notice of who came and left, and tells the workers, in an order in which none of them
    /// ever meets a pool that is emptier than it is: who is new gets its standing before it is
    /// there, and who left loses it when it is gone.
    pub fn take(&mut self, places: &Places, changes: &Changes, now: Instant) {
        for (member, address) in &changes.left {
            let written = self.written(*member);
            let said = self.member(*member).map_or(written, Member::admin);
            if said != written {
                self.words.keep(now, address, said);
            }
        }
        for (member, address) in &changes.came {
            let state = self.words.take(now, address).unwrap_or_else(|| self.written(*member));
            self.settle_in(*member, state, places.weight(*member), now);
        }
        self.availability.publish(places.membership());
        for (member, _) in changes.left.iter().filter(|left| places.site(left.0).is_none()) {
            self.leave(*member, now);
        }
        for member in &changes.weighed {
            self.set_weight(*member, places.weight(*member));
        }
    }

    /// What the file says that the operator wants of whoever is at a place.
    #[must_use]
    pub fn written(&self, member: MemberId) -> Admin {
        self.states.get(member.index()).copied().unwrap_or_default()
    }

    /// A server of which nothing is known has a vacant place, or one that another one leaves to it.
    /// Workers do not know yet that it is there.
    fn settle_in(&mut self, member: MemberId, state: Admin, weight: u16, now: Instant) {
        if let Some(place) = self.members.get_mut(member.index()) {
            *place = Some(self.blank.clone().under(state));
            self.ejected.retain(|ejected| *ejected != member);
            if let Some(records) = &self.records {
                self.outliers.forget(member, records.count(member));
            }
            self.set_weight(member, weight);
            self.publish(member, now);
        }
    }

    /// A member's weight is another one.
    fn set_weight(&mut self, member: MemberId, weight: u16) {
        let served = self.serves(member);
        if let Some(place) = self.weights.get_mut(member.index()) {
            *place = weight;
        }
        self.available += usize::from(self.serves(member));
        self.available -= usize::from(served);
    }

    /// A member has left for good, and workers know. Its place is vacant.
    fn leave(&mut self, member: MemberId, now: Instant) {
        if let Some(place) = self.members.get_mut(member.index()) {
            *place = None;
            self.ejected.retain(|ejected| *ejected != member);
            self.set_weight(member, 0);
            self.publish(member, now);
        }
    }

    /// A member's health.
    #[must_use]
    pub fn member(&self, member: MemberId) -> Option<&Member> {
        self.members.get(member.index())?.as_ref()
    }

    /// How many members are in and have a weight. None: requests are refused, or go to all.
    #[must_use]
    pub const fn available(&self) -> usize {
        self.available
    }

    /// How many members are not in, for whatever reason.
    #[must_use]
    pub fn not_in(&self) -> usize {
        self.members.iter().flatten().filter(|member| member.standing() != Standing::In).count()
    }

    /// When [`Self::on_time`] is to be called; `None`: not before something else happens.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let ejected = self.ejected.iter().filter_map(|member| self.member(*member)?.due());
        ejected.chain(self.records.as_ref().and(self.outliers.due())).min()
    }

    /// Takes the result of a probe.
    pub fn on_probe(
        &mut self,
        now: Instant,
        member: MemberId,
        result: ProbeResult,
    ) -> Option<Transition> {
        let moved = self.one(member)?.on_probe(now, result)?;
        self.publish(member, now);
        Some(moved)
    }

    /// Takes what a worker observed.
    pub fn on_outcome(
        &mut self,
        now: Instant,
        member: MemberId,
        outcome: Outcome,
        trial: bool,
    ) -> Verdict {
        let may_eject = self.can_spare(member);
        let Some(one) = self.one(member) else { return Verdict::Same };
        let verdict = one.on_outcome(now, outcome, trial, may_eject);
        if let Verdict::Moved(_) = verdict {
            self.settle(member, now);
        }
        verdict
    }

    /// Takes notice of the time; calls `each` for every member whose state changed, or that had to be
    /// ejected and was spared.
    pub fn on_time(&mut self, now: Instant, mut each: impl FnMut(MemberId, Verdict)) {
        for member in self.ejected.clone() {
            let taken = !self.availability.trial_is_free(member);
            let Some(one) = self.one(member) else { continue };
            match one.on_time(now, taken) {
                Due::Same => {}
                Due::Moved(moved) => {
                    self.availability.offer_trial(member);
                    self.settle(member, now);
                    each(member, Verdict::Moved(moved));
                }
                Due::Again => self.availability.offer_trial(member),
            }
        }
        self.compare(now, each);
    }

    /// Ejects members that are much worse than the others, at the end of an interval.
    fn compare(&mut self, now: Instant, mut each: impl FnMut(MemberId, Verdict)) {
        let Some(records) = &self.records else { return };
        if self.outliers.due().is_none_or(|due| now < due) {
            return;
        }
        let availability = &self.availability;
        let found = self.outliers.judge(now, |member| {
            let is_in = availability.standing(member) == Standing::In;
            is_in.then(|| (records.count(member), records.micros(member)))
        });
        for found in found {
            let (member, may_eject) = (found.member, self.can_spare(found.member));
            let Some(one) = self.one(member) else { continue };
            let verdict = one.on_outlier(now, found.cause, found.repeats, may_eject);
            if let Verdict::Moved(_) = verdict {
                self.outliers.ejected(&found);
                self.settle(member, now);
            }
            if verdict != Verdict::Same {
                each(member, verdict);
            }
        }
    }

    /// Does what the operator wants of a member.
    pub fn administer(
        &mut self,
        now: Instant,
        member: MemberId,
        admin: Admin,
    ) -> Option<Transition> {
        let moved = self.one(member)?.administer(now, admin)?;
        self.publish(member, now);
        Some(moved)
    }

    /// Whether one more may be ejected, and another one is left that gets requests.
    fn can_spare(&self, member: MemberId) -> bool {
        let most = (self.members.iter().flatten().count() * self.share / 100).max(1);
        self.ejected.len() < most && self.available > usize::from(self.serves(member))
    }

    /// Whether workers are told that the member gets requests, and its weight lets it have some.
    fn serves(&self, member: MemberId) -> bool {
        let weighs = self.weights.get(member.index()).is_some_and(|weight| *weight > 0);
        weighs && self.availability.standing(member) == Standing::In
    }

    /// Notes whether the member is ejected, and publishes its standing.
    fn settle(&mut self, member: MemberId, now: Instant) {
        let Some(one) = self.member(member) else { return };
        let is_in = one.requests() == PassiveState::In;
        let at = self.ejected.iter().position(|ejected| *ejected == member);
        match (at, is_in) {
            (Some(at), true) => drop(self.ejected.swap_remove(at)),
            (None, false) => self.ejected.push(member),
            _ => {}
        }
        self.publish(member, now);
    }

    /// Tells the workers a member's standing if it is another one now.
    fn publish(&mut self, member: MemberId, now: Instant) {
        let one = self.member(member);
        let standing = one.map_or(Standing::Out, Member::standing);
        let barred = one.is_some_and(|one| one.admin() != Admin::Ready);
        self.availability.bar(member, barred);
        if self.availability.standing(member) != standing {
            let served = self.serves(member);
            self.availability.set(member, standing, now);
            self.available += usize::from(self.serves(member));
            self.available -= usize::from(served);
            if let Some(records) = &self.records {
                self.outliers.restart(member, records.count(member));
            }
        }
    }

    /// Panics if what is kept twice differs.
    #[cfg(test)]
    fn check_invariants(&self) {
        let ids = || self.ids();
        let out = |id: &MemberId| {
            self.member(*id).is_some_and(|member| member.requests() != PassiveState::In)
        };
        let mut ejected = self.ejected.clone();
        ejected.sort_unstable();
        assert_eq!(ejected, ids().filter(out).collect::<Vec<_>>());
        assert_eq!(self.available, ids().filter(|id| self.serves(*id)).count());
        for id in ids() {
            let one = self.member(id);
            let standing = one.map_or(Standing::Out, Member::standing);
            assert_eq!(self.availability.standing(id), standing);
            let barred = one.is_some_and(|one| one.admin() != Admin::Ready);
            assert_eq!(self.availability.is_barred(id), barred);
        }
    }
}

#[cfg(test)]
mod tests;
