//! What must hold of choices, slots, waiters and retries, in a naive way.

use std::collections::BTreeMap;

use super::NOW;
use super::plan::Plan;
use super::world::World;
use crate::balancer::availability::Standing;
use crate::balancer::health::Phase;
use crate::balancer::outcome::Outcome;
use crate::balancer::pools::LeaseError;
use crate::balancer::tried::Tried;
use crate::clock::micros;
use crate::config::Panic;
use crate::ids::{MemberId, WorkerId};
use crate::net::TICK;

/// For how long a slot may stand free beside a waiter that could use it, in microseconds: what changes
/// who may serve is noticed with the next housekeeping, and then the waiter is woken.
const IDLE: u64 = 2 * micros(TICK);

/// The same where it is only that a slot was freed, and no ring is lost: waiters that cannot use it pass
/// it on to each other first.
const FREED: u64 = 50_000;

/// A request that wants a member.
struct Wants {
    worker: WorkerId,
    tried: Tried,
    /// The member that its client stays on.
    stays_on: Option<MemberId>,
    since: u64,
}

/// What is known from outside.
pub(super) struct Oracle {
    /// Requests that each member has to bear.
    busy: Vec<u32>,
    /// When the trial of each member began that is under way.
    trials: Vec<Vec<u64>>,
    wants: BTreeMap<usize, Wants>,
    /// When requests came, and when others were sent again.
    requests: Vec<u64>,
    retries: Vec<u64>,
    /// Until when each worker may avoid each member.
    suspects: BTreeMap<(WorkerId, MemberId), u64>,
    /// Per member, when requests failed, since when its requests say that it is in, and when it was
    /// last kept because the pool could not do without it.
    failures: Vec<Vec<u64>>,
    in_since: Vec<u64>,
    spared: Vec<u64>,
    /// Per member, when it was last full, and when it was last seen not to serve.
    full: Vec<u64>,
    away: Vec<u64>,
    /// When the monitor spoke last.
    changed: u64,
}

impl Oracle {
    pub(super) fn new(plan: &Plan) -> Self {
        let count = plan.config.members.len();
        Self {
            busy: vec![0; count],
            trials: vec![Vec::new(); count],
            wants: BTreeMap::new(),
            requests: Vec::new(),
            retries: Vec::new(),
            suspects: BTreeMap::new(),
            failures: vec![Vec::new(); count],
            in_since: vec![0; count],
            spared: vec![0; count],
            full: vec![0; count],
            away: vec![0; count],
            changed: 0,
        }
    }

    /// Those who may serve: the rule, said once more.
    pub(super) fn may_serve(world: &World) -> Vec<MemberId> {
        let config = &world.plan.config;
        let weighty = (0u16..).zip(&config.members).filter(|(_, member)| member.weight > 0);
        let all: Vec<(MemberId, bool, Standing)> = weighty
            .map(|(id, member)| {
                let standing = world.shared.availability.standing(MemberId(id));
                (MemberId(id), member.backup, standing)
            })
            .collect();
        let of = |wanted: &dyn Fn(&(MemberId, bool, Standing)) -> bool| -> Vec<MemberId> {
            all.iter().filter(|one| wanted(one)).map(|(id, ..)| *id).collect()
        };
        let primaries = of(&|(_, backup, standing)| !backup && *standing == Standing::In);
        let backups = of(&|(_, backup, standing)| *backup && *standing == Standing::In);
        if !primaries.is_empty() {
            primaries
        } else if !backups.is_empty() {
            backups
        } else if config.panic == Panic::UseAll {
            of(&|(id, ..)| !world.shared.availability.is_barred(*id))
        } else {
            // Those whose time out is over, rather than nobody.
            let primaries = of(&|(_, backup, standing)| !backup && *standing == Standing::Trial);
            let backups = of(&|(_, _, standing)| *standing == Standing::Trial);
            if primaries.is_empty() { backups } else { primaries }
        }
    }

    /// The member that a client stays on, if it is not lost.
    fn keeps(world: &World, stays_on: Option<MemberId>, tried: &Tried) -> Option<MemberId> {
        let own = stays_on.filter(|own| !tried.contains(*own))?;
        let standing = world.shared.availability.standing(own);
        let kept = matches!(standing, Standing::In | Standing::Drain)
            || Self::may_serve(world).contains(&own);
        kept.then_some(own)
    }

    fn avoids(&self, worker: WorkerId, member: MemberId) -> bool {
        self.suspects.get(&(worker, member)).is_some_and(|until| *until > NOW.get())
    }

    /// A member was chosen, perhaps to be tried.
    pub(super) fn chosen(
        &self,
        world: &World,
        member: MemberId,
        trial: bool,
        tried: &Tried,
        stays_on: Option<MemberId>,
        asked: u64,
    ) {
        assert!(!tried.contains(member), "{member:?} is tried a second time");
        let weight = world.plan.config.members[member.index()].weight;
        assert!(weight > 0 || stays_on == Some(member), "{member:?} has no weight");
        let standing = world.shared.availability.standing(member);
        if trial {
            assert_eq!(standing, Standing::Trial, "{member:?} is not to be tried");
            assert!(!world.shared.availability.trial_is_free(member), "{member:?}: not taken");
        } else {
            let free = world.shared.availability.trial_is_free(member);
            assert!(standing != Standing::Trial || !free, "{member:?}: the first is the trial");
        }
        if let Some(own) = Self::keeps(world, stays_on, tried) {
            if own == member {
                world.tally.borrow_mut().stayed += 1;
                return;
            }
            // Only who waited while its member was out goes elsewhere.
            let was_out = asked < NOW.get() && self.changed >= asked;
            assert!(was_out, "{member:?} was chosen instead of {own:?}");
        }
        if standing == Standing::In {
            self.check_detected(world, member);
        }
        if trial || Self::may_serve(world).contains(&member) {
            return;
        }
        let backup = world.plan.config.members[member.index()].backup;
        assert!(standing == Standing::In && backup, "{member:?} may not serve");
        // A request that failed at everybody who may serve goes on to a backup.
        let others = Self::may_serve(world);
        assert!(!tried.is_empty(), "{member:?} is a backup");
        assert!(others.iter().all(|other| tried.contains(*other)), "{member:?} is a backup");
    }

    /// A member that failed often enough is out as soon as the monitor has heard of it.
    fn check_detected(&self, world: &World, member: MemberId) {
        let Some(eject) = &world.plan.config.eject else { return };
        let Some(failures) = eject.failures else { return };
        let (at, delay, count) = (member.index(), world.plan.delay + 1, failures as usize);
        let heard = |time: &&u64| **time + delay < NOW.get();
        let last: Vec<u64> =
            self.failures[at].iter().rev().filter(heard).take(count).copied().collect();
        let (Some(newest), Some(oldest)) = (last.first(), last.last()) else { return };
        let detected = last.len() == count
            && *oldest > self.in_since[at]
            && newest - oldest + delay < micros(eject.window);
        assert!(!detected || self.spared[at] >= *newest, "{member:?} failed at {last:?} and is in");
    }

    /// The monitor has spoken.
    pub(super) fn moved(&mut self, member: MemberId, to: Phase) {
        self.away.fill(NOW.get());
        self.changed = NOW.get();
        if to == Phase::In {
            self.in_since[member.index()] = NOW.get();
        }
    }

    pub(super) fn spared(&mut self, member: MemberId) {
        self.spared[member.index()] = NOW.get();
    }

    /// There was nobody to choose, or no slot.
    pub(super) fn refused(
        &self,
        world: &World,
        worker: WorkerId,
        error: LeaseError,
        tried: &Tried,
        stays_on: Option<MemberId>,
        waited: u64,
    ) {
        // Rounded up to two ticks more; a waiter that has just been called looks first.
        let patience = micros(world.plan.config.queue.timeout) + 3 * micros(TICK);
        assert!(
            waited <= patience,
            "{worker:?} {error:?} {tried:?} after {waited} us, not {patience}"
        );
        match error {
            LeaseError::Nobody => {
                let left = Self::may_serve(world);
                // A worker avoids a member that has just failed even if the others were tried.
                let left = left
                    .into_iter()
                    .find(|member| !tried.contains(*member) && !self.avoids(worker, *member));
                assert!(left.is_none(), "{left:?} could have served {worker:?}");
            }
            LeaseError::Deserted => panic!("{worker:?} sees nobody at all"),
            LeaseError::QueueTimeout => {
                assert!(waited >= micros(world.plan.config.queue.timeout), "gave up early");
            }
            LeaseError::QueueFull => {
                // One that had waited for its own member may find the other line full.
                let at_once = waited == 0 || stays_on.is_some();
                assert!(at_once && self.wants.len() >= world.plan.config.queue.length);
            }
        }
    }

    pub(super) fn enter(&mut self, world: &World, member: MemberId, trial: bool) {
        let busy = &mut self.busy[member.index()];
        *busy += 1;
        if let Some(maximum) = world.plan.config.members[member.index()].max_connections {
            assert!(*busy <= maximum, "{member:?} has {busy} requests, {maximum} allowed");
            assert_eq!(world.shared.slots.in_use(member), *busy, "{member:?}");
        }
        assert_eq!(world.shared.in_flight.total(member), *busy, "{member:?}");
        if let Some(maximum) = world.plan.config.max_connections {
            let all = self.busy.iter().sum::<u32>();
            assert!(all <= maximum, "the pool has {all} requests, {maximum} allowed");
            assert_eq!(world.shared.slots.in_use_by_all(), all);
        }
        if trial {
            // One that takes too long counts as lost.
            let timeouts = &world.plan.config.timeouts;
            let lost = 2 * micros(timeouts.connect + timeouts.response);
            let trials = &mut self.trials[member.index()];
            let early = trials.iter().find(|began| NOW.get() < **began + lost);
            assert_eq!(early, None, "{member:?} is on trial already");
            trials.push(NOW.get());
        }
        world.tally.borrow_mut().trials += u64::from(trial);
    }

    pub(super) fn leave(&mut self, world: &World, member: MemberId, trial: bool) {
        let maximum = world.plan.config.members[member.index()].max_connections;
        if maximum == Some(self.busy[member.index()]) {
            self.full[member.index()] = NOW.get();
        }
        if world.plan.config.max_connections == Some(self.busy.iter().sum()) {
            self.full.fill(NOW.get());
        }
        self.busy[member.index()] -= 1;
        if trial {
            self.trials[member.index()].pop();
        }
    }

    pub(super) fn asks(
        &mut self,
        task: usize,
        worker: WorkerId,
        tried: Tried,
        stays_on: Option<MemberId>,
    ) {
        self.wants.insert(task, Wants { worker, tried, stays_on, since: NOW.get() });
    }

    pub(super) fn asks_no_more(&mut self, task: usize) {
        self.wants.remove(&task);
    }

    pub(super) fn ended(&mut self, task: usize) {
        self.wants.remove(&task);
    }

    /// No free slot stands beside a request that could use it. At each worker's ticks.
    pub(super) fn check_waiters(&mut self, world: &World) {
        let (now, may_serve) = (NOW.get(), Self::may_serve(world));
        for id in (0..self.full.len() as u16).map(MemberId) {
            if !may_serve.contains(&id) {
                self.away[id.index()] = now;
            }
            if !world.shared.slots.has_free(id) {
                self.full[id.index()] = now;
            }
        }
        for (task, wants) in &self.wants {
            let own = Self::keeps(world, wants.stays_on, &wants.tried);
            let usable = may_serve.iter().find(|member| {
                if own.is_some_and(|own| own != **member) {
                    return false;
                }
                let suspect = self.suspects.get(&(wants.worker, **member)).copied();
                let changed = self.away[member.index()].max(suspect.unwrap_or(0));
                let free_since = self.full[member.index()].max(wants.since);
                let freed = if world.plan.loses_rings { IDLE } else { FREED };
                let left_idle = changed + IDLE < now && free_since + freed < now;
                !wants.tried.contains(**member) && left_idle
            });
            let worker = wants.worker;
            assert_eq!(usable, None, "request {task} of {worker:?} waits beside a free slot");
        }
    }

    pub(super) fn requested(&mut self) {
        self.requests.push(NOW.get());
    }

    /// A retry was granted. Seconds of workers differ a little, so the windows here are wider than
    /// the product's, and each worker may take one too many.
    pub(super) fn retried(&mut self, world: &World, worker: WorkerId) {
        self.retries.push(NOW.get());
        let Some(retry) = &world.plan.config.retry else { panic!("{worker:?}: retries are off") };
        let since = |list: &[u64], span: u64| {
            list.iter().rev().take_while(|at| **at + span > NOW.get()).count() as u64
        };
        let spent = since(&self.retries, 10_000_000);
        let share = since(&self.requests, 20_000_000) * u64::from(retry.budget) / 100;
        let floor = 11 * u64::from(retry.floor);
        let workers = u64::from(world.plan.workers);
        assert!(spent <= share + floor + workers, "{spent} retries of {share} + {floor}");
    }

    pub(super) fn learnt(
        &mut self,
        world: &World,
        worker: WorkerId,
        member: MemberId,
        outcome: Outcome,
    ) {
        let Some(eject) = &world.plan.config.eject else { return };
        if outcome.is_failure(&eject.on) == Some(true) {
            let until = NOW.get() + 5 * micros(TICK);
            self.suspects.insert((worker, member), until);
            self.failures[member.index()].push(NOW.get());
        }
    }

    /// Nothing is in flight, and nobody waits.
    pub(super) fn check_end(&self, world: &World) {
        assert!(self.wants.is_empty());
        assert_eq!(world.shared.slots.in_use_by_all(), 0);
        for member in (0..self.busy.len() as u16).map(MemberId) {
            let shared = &world.shared;
            let left = (
                self.busy[member.index()],
                shared.in_flight.total(member),
                shared.slots.in_use(member),
            );
            assert_eq!(left, (0, 0, 0), "{member:?}");
        }
        for worker in (0..world.plan.workers).map(WorkerId) {
            assert!(world.pools[worker.index()].1.queue().is_empty());
            assert!(!world.shared.waiting.anybody(), "{worker:?}");
            assert!(!world.shared.staying.iter().flatten().any(|line| line.anybody()));
            for member in (0..self.busy.len() as u16).map(MemberId) {
                assert!(!self.avoids(worker, member) || world.plan.corpse == Some(member));
            }
        }
    }
}
