//! One pool as one worker sees it: choosing a member, and learning from how it behaves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::availability::Standing;
use super::keepalive::Keepalive;
use super::latency::Latency;
use super::membership::Site;
use super::observer::Observer;
use super::outcome::{Observation, Outcome};
use super::pools::LeaseError;
use super::queue::{Look, Queue, Ring};
use super::retry::{Attempted, Refusal, Rules};
use super::roster::Roster;
use super::seating::select;
use super::selection::{Allowed, Candidates, Selector};
use super::shared::SharedPool;
use super::slots::Taking;
use super::staying::{Lines, Wish};
use super::sticky::Sticky;
use super::tried::Tried;
use crate::clock::Instant;
use crate::config::{
    Balance, EjectConfig, HashKey, PoolConfig, PoolTimeouts, ProxyVersion, RetryConfig,
};
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::tls::{TlsConnector, TlsPeer};
use crate::net::{Stream, ticks};
use crate::rng::Rng;
use crate::stats::{Counter, Row};

/// A choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) member: MemberId,
    /// The member is out, and this request tries whether it is back.
    pub(super) trial: bool,
}

/// Why nobody was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unchosen {
    /// Everybody is out, or was tried.
    Nobody,
    /// There is nobody: no name has an address yet.
    Deserted,
    /// Everybody else is at its `max_connections`.
    Full,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) roster: Roster,
    /// Who is at which place.
    pub(super) sites: Vec<Option<Rc<Site>>>,
    /// The members as cookies name them. In a box of this worker's own, so that using it writes
    /// nothing that other workers read.
    #[allow(clippy::redundant_allocation, reason = "a count of its own for each worker")]
    pub(super) sticky: Option<Rc<Arc<Sticky>>>,
    /// Who is not at its maximum, of those who may serve.
    open: Allowed,
    /// By member; empty: no TLS.
    pub(super) tls: Vec<Option<TlsPeer>>,
    pub(super) selector: Selector,
    pub(super) latency: Latency,
    rng: Rng,
}

/// One pool on one worker.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) id: PoolId,
    /// For the log.
    pub(super) name: Box<str>,
    pub(super) worker: WorkerId,
    pub(super) clock: fn() -> Instant,
    pub(super) row: Arc<Row>,
    pub(super) shared: Arc<SharedPool>,
    observer: Observer,
    /// TLS to its members.
    pub(super) tls: Option<TlsConnector>,
    /// The tick at which the log was last told of a member's TLS.
    pub(super) told: Cell<Option<u32>>,
    /// How many places there are.
    size: usize,
    pub(super) balance: Balance,
    timeouts: PoolTimeouts,
    announces: Option<ProxyVersion>,
    eject: Option<EjectConfig>,
    retry: Option<RetryConfig>,
    pub(super) state: RefCell<State>,
    /// The pool or some member has a maximum.
    pub(super) bounded: bool,
    pub(super) is_sticky: bool,
    pub(super) queue: Queue,
    pub(super) lines: Lines,
    /// Requests of this worker that may wait.
    pub(super) length: usize,
    patience: Duration,
    /// The standings for which the queue was last woken.
    seen: Cell<u64>,
    pub(super) keepalive: RefCell<Vec<Keepalive>>,
}

/// What a worker's pools have in common.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) worker: WorkerId,
    pub(super) row: &'a Arc<Row>,
    pub(super) observer: &'a Observer,
    /// What time it is.
    pub(super) clock: fn() -> Instant,
    /// Where chance begins.
    pub(super) seed: u64,
    /// Wakes another worker, which then calls [`Pool::poke`].
    pub(super) ring: &'a Rc<dyn Fn(WorkerId, PoolId)>,
}

impl Pool {
    pub(super) fn new(
        id: PoolId,
        config: &PoolConfig,
        shared: &Arc<SharedPool>,
        home: Home<'_>,
    ) -> Self {
        let worker = home.worker;
        let membership = shared.availability.membership().unwrap_or_default();
        let size = membership.sites.len();
        let roster = Roster::new(config, Arc::clone(&membership));
        let keepalive = |_| Keepalive::new(&config.keepalive);
        let state = State {
            sites: membership.sites.iter().map(|site| site.clone().map(Rc::new)).collect(),
            open: Allowed::new(size),
            sticky: membership.sticky.clone().map(Rc::new),
            tls: Vec::new(),
            selector: select(&config.balance, &membership, worker),
            roster,
            latency: Latency::new(Arc::clone(&shared.latency), worker),
            rng: Rng::new(home.seed ^ u64::from(worker.0) << 48),
        };
        let (ring, length) = (Rc::clone(home.ring), config.queue.length);
        let ring: Ring = Rc::new(move |worker| ring(worker, id));
        let lines = Lines::new(shared, worker, length, home.row, &ring);
        let (waiting, row) = (Arc::clone(&shared.waiting), Arc::clone(home.row));
        let queue = Queue::new(waiting, worker, length, row, ring);
        Self {
            id,
            name: config.name.as_str().into(),
            worker,
            clock: home.clock,
            bounded: config.has_maximum(),
            is_sticky: config.sticky.is_some(),
            queue,
            lines,
            length,
            patience: config.queue.timeout,
            seen: Cell::new(0),
            row: Arc::clone(home.row),
            shared: Arc::clone(shared),
            observer: home.observer.clone(),
            tls: None,
            told: Cell::new(None),
            size,
            balance: config.balance.clone(),
            timeouts: config.timeouts,
            announces: config.proxy_protocol,
            eject: config.eject.clone(),
            retry: config.retry.clone(),
            state: RefCell::new(state),
            keepalive: RefCell::new((0..size).map(keepalive).collect()),
        }
    }

    /// A member that may serve and was not tried, with a slot if there is a maximum: the one that the
    /// client stays on, if it may. For a request that comes now: slots of members that others wait
    /// for are theirs.
    pub(super) fn choose(&self, wish: Wish, tried: &Tried) -> Result<Chosen, Unchosen> {
        self.choose_of(wish, tried, |member| !self.lines.anybody(member))
    }

    fn choose_of(
        &self,
        wish: Wish,
        tried: &Tried,
        leaves: impl Fn(MemberId) -> bool,
    ) -> Result<Chosen, Unchosen> {
        let state = &mut *self.state.borrow_mut();
        let (standings, slots) = (&self.shared.availability, &self.shared.slots);
        self.refresh(state, Stream::tick());
        let stays = wish.member.filter(|member| !tried.contains(*member));
        if let Some(member) = stays {
            if let Some(chosen) = self.try_member(member) {
                return Ok(chosen);
            }
            if state.roster.keeps(member, standings) {
                let taken = self.try_take(member);
                let chosen = Chosen { member, trial: false };
                return if taken { Ok(chosen) } else { Err(Unchosen::Full) };
            }
        }
        let mut trials = state.roster.trials().iter().filter(|member| !tried.contains(**member));
        if let Some(chosen) = trials.find_map(|member| self.try_member(*member)) {
            return Ok(chosen);
        }
        loop {
            if self.bounded {
                state.open.clear();
                let allowed = state.roster.allowed_after(tried);
                let members = self.members();
                members
                    .filter(|member| allowed.contains(*member) && slots.has_free(*member))
                    .filter(|member| leaves(*member))
                    .for_each(|member| state.open.set(member));
            }
            let candidates = Candidates {
                weights: state.roster.weights(),
                in_flight: &self.shared.in_flight,
                latency: state.latency.view(),
                tried,
                allowed: if self.bounded { &state.open } else { state.roster.allowed_after(tried) },
                key: wish.key,
            };
            let Some(member) = state.selector.choose(&candidates, &mut state.rng) else { break };
            if self.try_take(member) {
                return Ok(Chosen { member, trial: false });
            }
            // Another worker took its last slot, or the pool's: it is not open any more.
        }
        let members = self.members();
        let mut left = members.filter(|member| !tried.contains(*member));
        let allowed = state.roster.allowed_after(tried);
        let full = left.any(|member| allowed.contains(member));
        Err(match self.bounded && full {
            true => Unchosen::Full,
            false if state.roster.is_deserted() => Unchosen::Deserted,
            false => Unchosen::Nobody,
        })
    }

    /// Whether somebody may serve a request that comes now.
    pub(super) fn serves(&self) -> bool {
        let state = &mut *self.state.borrow_mut();
        self.refresh(state, Stream::tick());
        state.roster.allowed().count() > 0
    }

    pub(super) fn try_take(&self, member: MemberId) -> bool {
        let taking = self.shared.slots.try_take(member);
        if taking == Taking::Undone {
            self.slot_freed(member);
        }
        taking.is_taken()
    }

    /// The one real request for a member on trial, if it is to be had.
    pub(super) fn try_member(&self, member: MemberId) -> Option<Chosen> {
        let (standings, slots) = (&self.shared.availability, &self.shared.slots);
        let is_free = standings.standing(member) == Standing::Trial && slots.has_free(member);
        if !is_free || !standings.take_trial(member) {
            return None;
        }
        if !self.try_take(member) {
            standings.return_trial(member);
            return None;
        }
        Some(Chosen { member, trial: true })
    }

    /// All of them.
    fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        (0u16..).map(MemberId).take(self.size)
    }

    /// The line of requests that wait for a slot of any member.
    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The tick until which a request that begins to wait now may wait.
    pub(super) fn wait_until(&self) -> u32 {
        Stream::tick().saturating_add(ticks(self.patience))
    }

    /// One look of a waiting request for a member with a free slot.
    pub(super) fn look(&self, wish: Wish, tried: &Tried) -> Look<Result<Chosen, LeaseError>> {
        match self.choose_of(wish, tried, |_| true) {
            Ok(chosen) => Look::Taken(Ok(chosen)),
            // One that it tried, or that this worker avoids.
            Err(Unchosen::Full) if self.any_free(|_| true) => Look::ForOthers,
            Err(Unchosen::Full) => Look::Full,
            Err(nobody) => Look::Taken(Err(nobody.into())),
        }
    }

    /// Whether one of `these` may serve and has a slot that nobody waits for in particular.
    pub(super) fn any_free(&self, these: impl Fn(MemberId) -> bool) -> bool {
        let state = self.state.borrow();
        let roster = &state.roster;
        let mut members = self.members();
        members.any(|member| {
            (roster.allowed().contains(member) || roster.avoids(member))
                && self.shared.slots.has_free(member)
                && these(member)
                && !self.lines.anybody(member)
        })
    }

    /// Another worker freed a slot for a waiter of this one.
    pub(super) fn poke(&self) {
        self.queue.poke();
        self.lines.poke();
    }

    /// Whether somebody may serve who was not tried, other than `current`.
    pub(super) fn has_other(&self, tried: &Tried, current: Option<MemberId>) -> bool {
        let state = self.state.borrow();
        let mut tried = *tried;
        if let Some(member) = current
            && !tried.contains(member)
            && !tried.add(member)
        {
            return false;
        }
        let allowed = state.roster.allowed_after(&tried);
        let mut members = self.members();
        members.any(|member| allowed.contains(member) && !tried.contains(member))
    }

    /// Learns how a member behaved. Of one that has left nothing is learnt.
    pub(super) fn learn(&self, chosen: Chosen, site: &Rc<Site>, outcome: Outcome) {
        let Chosen { member, trial } = chosen;
        if !self.is_there(member, site) {
            return;
        }
        // A member that fails fast is not a fast one.
        if let Outcome::Answered { first_byte, status: ..500 }
        | Outcome::Connected { took: first_byte } = outcome
            && self.measures()
        {
            self.state.borrow_mut().latency.record(member, first_byte);
        }
        let Some(eject) = &self.eject else { return };
        match outcome.is_failure(&eject.on) {
            None => {
                if trial {
                    self.shared.availability.return_trial(member);
                }
            }
            Some(failed) => {
                if eject.compares() {
                    self.shared.records.add(self.worker, member, failed);
                }
                if failed || trial {
                    let (pool, epoch) = (self.id, site.epoch);
                    self.observer.tell(Observation { pool, member, epoch, outcome, trial });
                }
                if failed {
                    self.state.borrow_mut().roster.suspect(member, Stream::tick());
                }
            }
        }
    }

    /// Whether latencies are wanted.
    pub(super) fn measures(&self) -> bool {
        let slow = self.eject.as_ref().is_some_and(|eject| eject.latency.is_some());
        slow || self.balance == Balance::LeastTime
    }

    pub(super) const fn hashes_by(&self) -> Option<&HashKey> {
        match &self.balance {
            Balance::Hash(key) => Some(key),
            _ => None,
        }
    }

    /// What cookies name the members by, if clients stay on theirs.
    #[allow(clippy::redundant_allocation, reason = "a count of its own for each worker")]
    pub(super) fn sticky(&self) -> Option<Rc<Arc<Sticky>>> {
        if self.is_sticky { self.state.borrow().sticky.clone() } else { None }
    }

    /// Whether clients stay on their members.
    pub(super) const fn is_sticky(&self) -> bool {
        self.is_sticky
    }

    fn second() -> u32 {
        Stream::tick() / 10
    }

    pub(super) fn count_request(&self) {
        self.shared.budget.request(self.worker, Self::second());
    }

    pub(super) fn may_retry(&self, attempted: &Attempted) -> Result<(), Refusal> {
        let config = self.retry.as_ref();
        let rules = Rules { config, budget: &self.shared.budget, worker: self.worker };
        rules.allow(attempted, Self::second())
    }

    pub(super) const fn retry(&self) -> Option<&RetryConfig> {
        self.retry.as_ref()
    }

    pub(super) const fn timeouts(&self) -> &PoolTimeouts {
        &self.timeouts
    }

    pub(super) const fn announces(&self) -> Option<ProxyVersion> {
        self.announces
    }

    pub(super) fn row(&self) -> &Row {
        &self.row
    }

    pub(super) fn enter(&self, member: MemberId) {
        self.shared.in_flight.enter(self.worker, member);
        self.row.add(Counter::UpstreamActive, 1);
    }

    pub(super) fn leave(&self, member: MemberId) {
        self.shared.in_flight.leave(self.worker, member);
        self.row.sub(Counter::UpstreamActive, 1);
        if self.bounded {
            self.shared.slots.release(member);
            self.slot_freed(member);
        }
    }

    pub(super) fn housekeep(&self, tick: u32) {
        {
            let state = &mut *self.state.borrow_mut();
            self.refresh(state, tick);
            if self.measures() {
                state.latency.tick((self.clock)());
            }
        }
        let standings = &self.shared.availability;
        if self.bounded {
            self.queue.expire(tick);
            let changed = self.seen.replace(standings.version()) != standings.version();
            // A place of the pool may have been offered to somebody who could not use it.
            self.lines.housekeep(tick, changed || self.shared.slots.is_pool_bounded());
            // Nobody tells when a worker has avoided a member for long enough.
            if changed || !self.queue.is_empty() {
                self.queue.wake_all();
            }
        }
        self.age_idle(tick);
    }
}
