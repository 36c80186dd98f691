//! The monitor, and what must hold of the states of members: the figure of states, told by the
//! naive twin below, the share that may be ejected, agreement after a quiet time.

use std::sync::Arc;

use super::oracle::Oracle;
use super::world::World;
use super::{NOW, now};
use crate::balancer::availability::Standing;
use crate::balancer::health::{
    Admin, HealthState, PassiveState, Phase, PoolHealth, ProbeResult, Transition, Verdict,
};
use crate::balancer::outcome::Observation;
use crate::balancer::shared::SharedPool;
use crate::balancer::staying::Wish;
use crate::balancer::tried::Tried;
use crate::config::PoolConfig;
use crate::ids::{MemberId, WorkerId};

/// All results of one member's probes: what its state is follows from them.
struct Probes {
    up: bool,
    results: Vec<bool>,
}

impl Probes {
    /// The state after one more result.
    fn after(&mut self, ok: bool, fall: usize, rise: usize) -> HealthState {
        self.results.push(ok);
        let in_a_row = self.results.iter().rev().take_while(|result| **result == ok).count();
        match (self.up, ok) {
            (true, false) if in_a_row >= fall => self.up = false,
            (false, true) if in_a_row >= rise => self.up = true,
            (true, false) => return HealthState::Failing(in_a_row as u32),
            (false, true) => return HealthState::Recovering(in_a_row as u32),
            _ => {}
        }
        if self.up { HealthState::Healthy } else { HealthState::Unhealthy }
    }
}

/// The monitor under watch.
pub(super) struct Watch {
    pub(super) health: PoolHealth,
    probes: Vec<Probes>,
    most_ejected: usize,
}

impl Watch {
    pub(super) fn new(config: &PoolConfig, shared: &SharedPool) -> Self {
        let count = config.members.len();
        let up = !config.health.as_ref().is_some_and(|health| health.start_down);
        let share = config.eject.as_ref().map_or(0, |eject| usize::from(eject.max_share));
        Self {
            health: PoolHealth::new(config, Arc::clone(&shared.availability), now())
                .with_records(Arc::clone(&shared.records)),
            probes: (0..count).map(|_| Probes { up, results: Vec::new() }).collect(),
            most_ejected: (count * share / 100).max(1),
        }
    }

    pub(super) fn probed(&mut self, world: &World, member: MemberId, result: ProbeResult) {
        let Some(rule) = &world.plan.config.health else { panic!("nobody is probed") };
        let (fall, rise) = (rule.fall as usize, rule.rise as usize);
        let expected = self.probes[member.index()].after(result.is_ok(), fall, rise);
        let moved = self.health.on_probe(now(), member, result);
        let state = self.health.member(member).unwrap().probes().unwrap().state();
        assert_eq!(state, expected, "{member:?}");
        if let Some(moved) = moved {
            self.moved(world, member, &moved);
        }
        self.check(world);
    }

    pub(super) fn observed(&mut self, world: &World, seen: Observation) {
        let Observation { member, outcome, trial, .. } = seen;
        let others = self.in_with_weight(world, Some(member));
        let verdict = self.health.on_outcome(now(), member, outcome, trial);
        match verdict {
            Verdict::Same => {}
            Verdict::Spared => {
                world.tally.borrow_mut().spared += 1;
                world.oracle.borrow_mut().spared(member);
            }
            Verdict::Moved(moved) => {
                if (moved.from, moved.to) == (Phase::In, Phase::Ejected) {
                    assert!(others > 0, "the last one, {member:?}, was ejected");
                }
                self.moved(world, member, &moved);
            }
        }
        self.check(world);
    }

    pub(super) fn due(&mut self, world: &World) {
        let mut verdicts = Vec::new();
        let shared = Arc::clone(&world.shared);
        let members = world.plan.config.members.iter().map(|member| member.weight > 0);
        let weighty: Vec<bool> = members.collect();
        self.health.on_time(now(), |member, verdict| {
            let mut left = (0u16..).map(MemberId).zip(&weighty).filter(|(_, weighs)| **weighs);
            let left = left.any(|(id, _)| shared.availability.standing(id) == Standing::In);
            verdicts.push((member, verdict, left));
        });
        for (member, verdict, left) in verdicts {
            match verdict {
                Verdict::Moved(moved) => {
                    if (moved.from, moved.to) == (Phase::In, Phase::Ejected) {
                        assert!(left, "the last one, {member:?}, was ejected");
                        world.tally.borrow_mut().outliers += 1;
                    }
                    self.moved(world, member, &moved);
                }
                Verdict::Spared => world.tally.borrow_mut().spared += 1,
                Verdict::Same => panic!("nothing to tell of {member:?}"),
            }
        }
        self.check(world);
    }

    pub(super) fn order(&mut self, world: &World, member: MemberId, admin: Admin) {
        if let Some(moved) = self.health.administer(now(), member, admin) {
            self.moved(world, member, &moved);
        }
        self.check(world);
    }

    /// The figure: no state follows another but these.
    fn moved(&self, world: &World, member: MemberId, moved: &Transition) {
        use Phase::{Drain, Ejected, Failing, Healthy, In, Maintenance, Ready, Recovering, Trial};
        world.say(|| format!("{member:?}: {:?} to {:?}, {}", moved.from, moved.to, moved.cause));
        world.tally.borrow_mut().transitions += 1;
        world.oracle.borrow_mut().moved(member, moved.to);
        let health = world.plan.config.health.as_ref();
        let at_once = |count: Option<u32>| count == Some(1);
        let follows = match (moved.from, moved.to) {
            (Healthy, Phase::Unhealthy) => at_once(health.map(|health| health.fall)),
            (Phase::Unhealthy, Healthy) => at_once(health.map(|health| health.rise)),
            (Healthy, Failing)
            | (Failing, Healthy | Phase::Unhealthy)
            | (Phase::Unhealthy, Recovering)
            | (Recovering, Healthy | Phase::Unhealthy)
            | (In, Ejected)
            | (Ejected, Trial)
            | (Trial, In | Ejected) => true,
            (from, to) => {
                let operator = [Ready, Drain, Maintenance];
                from != to && operator.contains(&from) && operator.contains(&to)
            }
        };
        assert!(follows, "{member:?}: {:?} to {:?}", moved.from, moved.to);
        assert_eq!(moved.at, now());
    }

    fn in_with_weight(&self, world: &World, but: Option<MemberId>) -> usize {
        let members = (0u16..).map(MemberId).zip(&world.plan.config.members);
        let mut serving = 0;
        for (id, _) in members.filter(|(id, member)| member.weight > 0 && Some(*id) != but) {
            serving += usize::from(world.shared.availability.standing(id) == Standing::In);
        }
        serving
    }

    /// After everything that the monitor does.
    fn check(&self, world: &World) {
        let members = || (0..self.probes.len() as u16).map(MemberId);
        let state = |id| self.health.member(id).unwrap();
        let ejected = members().filter(|id| state(*id).requests() != PassiveState::In).count();
        assert!(ejected <= self.most_ejected, "{ejected} are ejected");
        assert_eq!(self.health.available(), self.in_with_weight(world, None));
        for id in members() {
            let member = state(id);
            let up = self.probes[id.index()].up;
            let standing = match (member.admin(), member.requests()) {
                (Admin::Maintenance, _) | (_, PassiveState::Ejected { .. }) => Standing::Out,
                _ if !up => Standing::Out,
                (Admin::Drain, _) => Standing::Drain,
                (Admin::Ready, PassiveState::Trial { .. }) => Standing::Trial,
                (Admin::Ready, PassiveState::In) => Standing::In,
            };
            assert_eq!(world.shared.availability.standing(id), standing, "{id:?}");
            let barred = member.admin() != Admin::Ready;
            assert_eq!(world.shared.availability.is_barred(id), barred, "{id:?}");
        }
    }
}

impl World {
    /// After the storm, a long quiet time, and the last request.
    pub(super) fn check_end(&self) {
        self.oracle.borrow().check_end(self);
        let may_serve = Oracle::may_serve(self);
        for (worker, (_, pool)) in (0u16..).map(WorkerId).zip(&self.pools) {
            crate::net::Stream::set_tick(Self::tick(worker));
            if let Ok(chosen) = pool.choose(Wish::default(), &Tried::default()) {
                pool.enter(chosen.member);
                pool.leave(chosen.member);
            }
            let ids = (0..self.plan.scripts.len() as u16).map(MemberId);
            let sees: Vec<_> = ids.filter(|id| pool.any_free(|member| member == *id)).collect();
            assert_eq!(sees, may_serve, "{worker:?} at {}", NOW.get());
        }
        for (id, member) in (0u16..).map(MemberId).zip(&self.plan.config.members) {
            let standing = self.shared.availability.standing(id);
            if self.plan.corpse == Some(id) {
                assert_eq!(standing, Standing::Out, "{id:?} is dead");
            } else if member.weight > 0 && !member.backup {
                // Of two that take as long as chance has it, one is at times much slower.
                let eject = self.plan.config.eject.as_ref();
                let outlier = eject.is_some_and(|eject| eject.latency.is_some());
                let out = matches!(standing, Standing::Out | Standing::Trial);
                assert!(standing == Standing::In || outlier && out, "{id:?}: {standing:?}");
            }
        }
    }
}
