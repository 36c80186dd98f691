//! Who may serve now: the one rule of eligibility, worked out anew only when something changed.
//!
//! Members that are in and no backups; with none of them the backups that are in; with none at all
//! those whose time out is over, or everybody if the pool says so. A member that has just failed on this worker is
//! avoided for a moment, until the monitor has spoken, as long as there is another one. A request
//! that failed at everybody who may serve goes on to whom it would otherwise not get: those that
//! are avoided, then the backups.

use std::sync::Arc;
use std::time::Duration;

use super::availability::{Availability, Standing};
use super::membership::Membership;
use super::selection::Allowed;
use super::tried::Tried;
use crate::clock::Instant;
use crate::config::{Panic, PoolConfig};
use crate::ids::MemberId;

/// Ticks for which a member that failed is avoided on the worker that saw it.
const SUSPECT: u32 = 5;

/// Looks at who is there and at their standings, while these change, before a worker makes do with what
/// it saw until its next choice.
const LOOKS_MOST: u32 = 8;

/// The members of one pool as one worker sees them.
#[derive(Debug)]
pub(super) struct Roster {
    /// Who is at which place.
    membership: Arc<Membership>,
    /// Configured weights; in steps if the pool starts slowly.
    full: Vec<u16>,
    /// Weights now.
    weights: Vec<u16>,
    backups: Vec<bool>,
    /// Who may serve, in the order of preference: members, members that are avoided, backups,
    /// backups that are avoided.
    levels: [Allowed; 4],
    /// The first of them that is not empty.
    best: usize,
    /// Members for which one real request is wanted.
    trials: Vec<MemberId>,
    /// Per member, the tick until which it is avoided.
    suspect_until: Vec<u32>,
    panic: Panic,
    slow_start: Duration,
    /// What `allowed` was worked out from.
    seen: u64,
    /// The tick at which it is to be worked out again though nothing changed.
    again_at: u32,
}

impl Roster {
    pub(super) fn new(config: &PoolConfig, membership: Arc<Membership>) -> Self {
        let full = membership.weights.clone();
        Self {
            weights: full.clone(),
            backups: membership.backups.clone(),
            levels: std::array::from_fn(|_| Allowed::new(full.len())),
            best: 0,
            trials: Vec::new(),
            suspect_until: vec![0; full.len()],
            panic: config.panic,
            slow_start: config.slow_start,
            seen: u64::MAX,
            again_at: 0,
            full,
            membership,
        }
    }

    /// Whether there is nobody at all, in or out.
    pub(super) fn is_deserted(&self) -> bool {
        self.full.iter().all(|weight| *weight == 0)
    }

    pub(super) fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// Who may serve a request that comes now.
    pub(super) fn allowed(&self) -> &Allowed {
        let [first, ..] = &self.levels;
        self.levels.get(self.best).unwrap_or(first)
    }

    /// Who may serve a request that failed at these. Whoever was not tried and is only full is to be
    /// waited for.
    pub(super) fn allowed_after(&self, tried: &Tried) -> &Allowed {
        if tried.is_empty() {
            return self.allowed();
        }
        let in_vain =
            |level: &Allowed| tried.iter().filter(|member| level.contains(*member)).count();
        let left = self.levels.iter().find(|level| in_vain(level) < level.count());
        left.unwrap_or_else(|| self.allowed())
    }

    /// Whether a client may stay on the member: as long as it is in at all, or is drained. Backups,
    /// members without a weight and those that this worker avoids keep theirs.
    pub(super) fn keeps(&self, member: MemberId, standings: &Availability) -> bool {
        let kept = matches!(standings.standing(member), Standing::In | Standing::Drain);
        kept || self.allowed().contains(member)
    }

    /// Whether this worker alone avoids the member: on others it may serve a request that comes now.
    pub(super) fn avoids(&self, member: MemberId) -> bool {
        let avoided = self.best.is_multiple_of(2);
        avoided && self.levels.get(self.best + 1).is_some_and(|level| level.contains(member))
    }

    /// Members that wait for one real request.
    pub(super) fn trials(&self) -> &[MemberId] {
        &self.trials
    }

    /// Avoids a member that has just failed.
    pub(super) fn suspect(&mut self, member: MemberId, tick: u32) {
        if let Some(until) = self.suspect_until.get_mut(member.index()) {
            *until = tick.saturating_add(SUSPECT);
            self.seen = u64::MAX;
        }
    }

    /// Brings everything up to date; says who is there if that changed. Costs two loads while
    /// nothing did.
    pub(super) fn refresh(
        &mut self,
        standings: &Availability,
        tick: u32,
        now: impl Fn() -> Instant,
    ) -> Option<Arc<Membership>> {
        if standings.version() == self.seen && tick < self.again_at {
            return None;
        }
        let before = Arc::clone(&self.membership);
        for _ in 0..LOOKS_MOST {
            let version = standings.version();
            self.seen = version;
            self.again_at = u32::MAX;
            if let Some(new) = standings.membership() {
                self.seat(new);
            }
            self.weigh(standings, tick, &now);
            self.allow(standings, tick);
            // Else who is there may be of before a change, and their standings of after it.
            if standings.version() == version {
                break;
            }
        }
        (!Arc::ptr_eq(&before, &self.membership)).then(|| Arc::clone(&self.membership))
    }

    /// Takes notice of who is there.
    fn seat(&mut self, new: Arc<Membership>) {
        if Arc::ptr_eq(&new, &self.membership) {
            return;
        }
        self.full.clone_from(&new.weights);
        self.backups.clone_from(&new.backups);
        let sites = self.membership.sites.iter().zip(&new.sites);
        for (until, (old, new)) in self.suspect_until.iter_mut().zip(sites) {
            if old != new {
                *until = 0;
            }
        }
        self.membership = new;
    }

    fn members(&self) -> impl Iterator<Item = (MemberId, bool)> + use<> {
        let backups = self.backups.clone();
        let weighty: Vec<bool> = self.full.iter().map(|weight| *weight > 0).collect();
        (0u16..).map(MemberId).zip(backups).zip(weighty).filter(|(_, w)| *w).map(|(m, _)| m)
    }

    fn allow(&mut self, standings: &Availability, tick: u32) {
        self.levels.iter_mut().for_each(Allowed::clear);
        self.trials.clear();
        for (member, backup) in self.members() {
            let avoided = match standings.standing(member) {
                Standing::In => self.is_suspect(member, tick),
                Standing::Trial => {
                    self.trials.push(member);
                    continue;
                }
                Standing::Out | Standing::Drain => continue,
            };
            let level = usize::from(backup) * 2 + usize::from(avoided);
            if let Some(level) = self.levels.get_mut(level) {
                level.set(member);
            }
        }
        let best = self.levels.iter().position(|level| level.count() > 0);
        self.best = best.unwrap_or(0);
        if self.best < 2 && best.is_some() {
            // Backups are not tried while they are not needed.
            let backups = &self.backups;
            self.trials.retain(|member| !backups.get(member.index()).is_some_and(|backup| *backup));
        }
        if best.is_none() {
            self.use_last(standings);
        }
    }

    /// Nobody is in.
    fn use_last(&mut self, standings: &Availability) {
        let [primaries, _, backups, _] = &mut self.levels;
        if self.panic == Panic::UseAll {
            let all = (0u16..).map(MemberId).zip(&self.full).filter(|(_, weight)| **weight > 0);
            all.filter(|(member, _)| !standings.is_barred(*member))
                .filter(|(member, _)| standings.standing(*member) != Standing::Drain)
                .for_each(|(member, _)| primaries.set(member));
            return;
        }
        // One of their requests is the trial. To refuse the others would fail them for certain.
        for member in &self.trials {
            let backup = self.backups.get(member.index()).is_some_and(|backup| *backup);
            if backup { backups.set(*member) } else { primaries.set(*member) }
        }
        self.best = if primaries.count() > 0 { 0 } else { 2 };
    }

    fn is_suspect(&mut self, member: MemberId, tick: u32) -> bool {
        let until = self.suspect_until.get(member.index()).copied().unwrap_or(0);
        if tick < until {
            self.again_at = self.again_at.min(until);
        }
        tick < until
    }

    /// Members that came back get their weight step by step.
    fn weigh(&mut self, standings: &Availability, tick: u32, now: impl Fn() -> Instant) {
        self.weights.copy_from_slice(&self.full);
        if self.slow_start.is_zero() {
            return;
        }
        let now = now();
        for (member, weight) in (0u16..).map(MemberId).zip(&mut self.weights) {
            let Some(back) = standings.back_since(member) else { continue };
            let since = now.since(back);
            if since < self.slow_start && *weight > 0 {
                let part = since.as_micros() * u128::from(*weight) / self.slow_start.as_micros();
                *weight = u16::try_from(part).unwrap_or(u16::MAX).max(1);
                self.again_at = self.again_at.min(tick + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::*;

    fn config(members: &str, more: &str) -> PoolConfig {
        let text = format!(
            "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n[pool.p]\n\
             members = [{members}]\n{more}\n"
        );
        crate::config::load(&text, "test").expect("a good configuration").config.pools.remove(0)
    }

    fn roster(config: &PoolConfig) -> Roster {
        Roster::new(config, Arc::new(Places::new(config).membership()))
    }

    fn serving(roster: &Roster) -> Vec<u16> {
        (0..9).filter(|member| roster.allowed().contains(MemberId(*member))).collect()
    }

    const NOW: Instant = Instant::from_micros(1_000_000);

    #[test]
    fn backups_serve_only_when_every_other_member_is_out() {
        let members = r#""10.0.0.1:1", "10.0.0.2:1", { address = "10.0.0.3:1", backup = true },
            { address = "10.0.0.4:1", weight = 0 }"#;
        for (more, last) in [("", vec![]), ("panic = \"use-all\"", vec![0, 1, 2])] {
            let mut roster = roster(&config(members, more));
            let standings = Availability::new(4);
            let mut after = |member, standing| {
                standings.set(MemberId(member), standing, NOW);
                roster.refresh(&standings, 0, || NOW);
                (serving(&roster), roster.trials().to_vec())
            };
            assert_eq!(after(3, Standing::In), (vec![0, 1], vec![]));
            assert_eq!(after(0, Standing::Out), (vec![1], vec![]));
            assert_eq!(after(1, Standing::Drain), (vec![2], vec![]));
            assert_eq!(after(0, Standing::Trial), (vec![2], vec![MemberId(0)]));
            assert_eq!(after(0, Standing::In), (vec![0], vec![]));
            after(0, Standing::Out);
            after(1, Standing::Out);
            assert_eq!(after(2, Standing::Out).0, last);
        }
    }

    #[test]
    fn members_on_trial_serve_while_nobody_is_in() {
        let members = r#""10.0.0.1:1", "10.0.0.2:1", { address = "10.0.0.3:1", backup = true }"#;
        let mut roster = roster(&config(members, ""));
        let standings = Availability::new(3);
        let mut after = |member, standing| {
            standings.set(MemberId(member), standing, NOW);
            roster.refresh(&standings, 0, || NOW);
            (serving(&roster), roster.trials().to_vec())
        };
        let [first, backup] = [MemberId(0), MemberId(2)];
        // The backup waits until it is needed.
        assert_eq!(after(2, Standing::Trial), (vec![0, 1], vec![]));
        assert_eq!(after(0, Standing::Out), (vec![1], vec![]));
        assert_eq!(after(1, Standing::Out), (vec![2], vec![backup]));
        // Before it those that are no backups.
        assert_eq!(after(0, Standing::Trial), (vec![0], vec![first, backup]));
        assert_eq!(after(1, Standing::In), (vec![1], vec![first]));
    }

    #[test]
    fn who_failed_a_request_leaves_it_to_the_next_best() {
        let members = r#""10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", { address = "10.0.0.4:1", backup = true }"#;
        let mut roster = roster(&config(members, ""));
        let standings = Availability::new(4);
        standings.set(MemberId(1), Standing::Out, NOW);
        roster.suspect(MemberId(2), 10);
        roster.refresh(&standings, 10, || NOW);
        let mut tried = Tried::default();
        for next in [0, 2, 3, 0] {
            let allowed = roster.allowed_after(&tried);
            let allowed: Vec<_> = (0..9).filter(|at| allowed.contains(MemberId(*at))).collect();
            assert_eq!(allowed, [next], "after {tried:?}");
            assert!(tried.contains(MemberId(next)) || tried.add(MemberId(next)));
        }
    }

    #[test]
    fn in_panic_all_serve_but_those_that_an_operator_took_out() {
        let members = r#""10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1""#;
        let mut roster = roster(&config(members, "panic = \"use-all\""));
        let standings = Availability::new(3);
        for member in 0..3 {
            standings.set(MemberId(member), Standing::Out, NOW);
        }
        standings.bar(MemberId(1), true);
        roster.refresh(&standings, 1, || NOW);
        assert_eq!(serving(&roster), [0, 2]);
        standings.bar(MemberId(1), false);
        roster.refresh(&standings, 1, || NOW);
        assert_eq!(serving(&roster), [0, 1, 2]);
    }

    #[test]
    fn a_suspect_is_avoided_for_a_moment_and_only_if_there_is_another() {
        let mut roster = roster(&config(r#""10.0.0.1:1", "10.0.0.2:1""#, ""));
        let standings = Availability::new(2);
        roster.suspect(MemberId(0), 10);
        roster.refresh(&standings, 10, || NOW);
        assert_eq!(serving(&roster), [1]);
        roster.suspect(MemberId(1), 11);
        roster.refresh(&standings, 11, || NOW);
        assert_eq!(serving(&roster), [0, 1]);
        roster.refresh(&standings, 10 + SUSPECT, || NOW);
        assert_eq!(serving(&roster), [0]);
        roster.refresh(&standings, 11 + SUSPECT, || NOW);
        assert_eq!(serving(&roster), [0, 1]);
    }

    #[test]
    fn a_member_that_came_back_gets_its_weight_step_by_step() {
        let members = r#""10.0.0.1:1", { address = "10.0.0.2:1", weight = 3 }"#;
        let mut roster = roster(&config(members, "slow_start = \"10s\""));
        let standings = Availability::new(2);
        standings.set(MemberId(1), Standing::Out, NOW);
        standings.set(MemberId(1), Standing::In, NOW);
        for (tick, seconds, expected) in [(1, 0, 1), (2, 5, 150), (3, 10, 300)] {
            let now = NOW.after(Duration::from_secs(seconds));
            roster.refresh(&standings, tick, || now);
            assert_eq!(roster.weights(), [100, expected]);
        }
    }
}
