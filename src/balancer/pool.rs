//! One pool as one worker sees it: choosing a member, and learning from how it behaves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::availability::Standing;
use super::keepalive::Keepalive;
use super::latency::Latency;
use super::lease::Connection;
use super::membership::{Membership, Site};
use super::observer::Observer;
use super::outcome::{Observation, Outcome};
use super::pools::LeaseError;
use super::queue::{Look, Queue};
use super::retry::{Attempted, Refusal, Rules};
use super::roster::Roster;
use super::selection::{Allowed, Candidates, Selector};
use super::shared::SharedPool;
use super::slots::Taking;
use super::tried::Tried;
use crate::clock::Instant;
use crate::config::{Balance, EjectConfig, HashKey, PoolConfig, PoolTimeouts, RetryConfig};
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::tls::{TlsConnector, TlsPeer};
use crate::net::{Stream, ticks};
use crate::rng::Rng;
use crate::stats::{Counter, Row};

/// Ticks for which the log is told nothing more of a pool's TLS: ten seconds.
const QUIET: u32 = 100;

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
struct State {
    roster: Roster,
    /// Who is at which place.
    sites: Vec<Option<Rc<Site>>>,
    /// Who is not at its maximum, of those who may serve.
    open: Allowed,
    /// By member; empty: no TLS.
    tls: Vec<Option<TlsPeer>>,
    selector: Selector,
    latency: Latency,
    rng: Rng,
}

/// One pool on one worker.
#[derive(Debug)]
pub(super) struct Pool {
    id: PoolId,
    worker: WorkerId,
    clock: fn() -> Instant,
    row: Arc<Row>,
    shared: Arc<SharedPool>,
    observer: Observer,
    /// TLS to its members.
    tls: Option<TlsConnector>,
    /// The tick at which the log was last told of a member's TLS.
    told: Cell<Option<u32>>,
    /// How many places there are.
    size: usize,
    balance: Balance,
    timeouts: PoolTimeouts,
    eject: Option<EjectConfig>,
    retry: Option<RetryConfig>,
    state: RefCell<State>,
    /// The pool or some member has a maximum.
    bounded: bool,
    queue: Queue,
    patience: Duration,
    /// The standings for which the queue was last woken.
    seen: Cell<u64>,
    keepalive: RefCell<Vec<Keepalive>>,
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
            tls: Vec::new(),
            selector: select(&config.balance, &membership, worker),
            roster,
            latency: Latency::new(Arc::clone(&shared.latency), worker),
            rng: Rng::new(home.seed ^ u64::from(worker.0) << 48),
        };
        let ring = Rc::clone(home.ring);
        let queue = Queue::new(
            Arc::clone(&shared.waiting),
            worker,
            config.queue.length,
            Arc::clone(home.row),
            Rc::new(move |worker| ring(worker, id)),
        );
        Self {
            id,
            worker,
            clock: home.clock,
            bounded: config.has_maximum(),
            queue,
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
            eject: config.eject.clone(),
            retry: config.retry.clone(),
            state: RefCell::new(state),
            keepalive: RefCell::new((0..size).map(keepalive).collect()),
        }
    }

    /// With TLS to its members.
    pub(super) fn secure(mut self, tls: Option<&TlsConnector>) -> Self {
        self.tls = tls.cloned();
        let state = self.state.get_mut();
        let peers = state.sites.iter().map(|site| Some(tls?.peer(&site.as_ref()?.host)));
        state.tls = peers.collect();
        self
    }

    /// How TLS is spoken with a member, if it is.
    pub(super) fn tls(&self, member: MemberId) -> Option<TlsPeer> {
        self.tls.as_ref()?;
        self.state.borrow().tls.get(member.index())?.clone()
    }

    /// Tells the log why there is no TLS with a member: now and then, as requests that fail so may
    /// be many.
    pub(super) fn tell_tls(&self, site: &Site, why: &str) {
        let now = Stream::tick();
        if self.told.get().is_none_or(|last| now.saturating_sub(last) >= QUIET) {
            self.told.set(Some(now));
            tracing::warn!(pool = self.id.0, member = %site.address, "no TLS with a member: {why}");
        }
    }

    /// A member that may serve and was not tried, with a slot if there is a maximum.
    pub(super) fn choose(&self, key: u64, tried: &Tried) -> Result<Chosen, Unchosen> {
        let state = &mut *self.state.borrow_mut();
        let (standings, slots) = (&self.shared.availability, &self.shared.slots);
        self.refresh(state, Stream::tick());
        for member in state.roster.trials() {
            if !tried.contains(*member) && slots.has_free(*member) && standings.take_trial(*member)
            {
                if self.try_take(*member) {
                    return Ok(Chosen { member: *member, trial: true });
                }
                standings.return_trial(*member);
            }
        }
        loop {
            if self.bounded {
                state.open.clear();
                let allowed = state.roster.allowed_after(tried);
                let members = self.members();
                members
                    .filter(|member| allowed.contains(*member) && slots.has_free(*member))
                    .for_each(|member| state.open.set(member));
            }
            let candidates = Candidates {
                weights: state.roster.weights(),
                in_flight: &self.shared.in_flight,
                latency: state.latency.view(),
                tried,
                allowed: if self.bounded { &state.open } else { state.roster.allowed_after(tried) },
                key,
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

    /// Brings what is known of the members up to date.
    fn refresh(&self, state: &mut State, tick: u32) {
        if let Some(new) = state.roster.refresh(&self.shared.availability, tick, self.clock) {
            self.seat(state, &new);
        }
    }

    /// Takes notice of who is there. Nothing of who had a place before is left for who has it now.
    fn seat(&self, state: &mut State, new: &Membership) {
        let mut lists = self.keepalive.borrow_mut();
        let members = state.sites.iter_mut().zip(&new.sites).zip(lists.iter_mut());
        for (member, ((site, new), list)) in (0u16..).map(MemberId).zip(members) {
            if site.as_deref() != new.as_ref() {
                *site = new.clone().map(Rc::new);
                self.row.sub(Counter::UpstreamIdle, list.close_all() as u64);
                state.latency.forget(member);
                if let (Some(tls), Some(peer)) = (&self.tls, state.tls.get_mut(member.index())) {
                    *peer = new.as_ref().map(|site| tls.peer(&site.host));
                }
            }
        }
        state.selector = select(&self.balance, new, self.worker);
    }

    /// Who is at a place now.
    pub(super) fn site(&self, member: MemberId) -> Option<Rc<Site>> {
        self.state.borrow().sites.get(member.index())?.clone()
    }

    /// Whether `site` is still there.
    fn is_there(&self, member: MemberId, site: &Rc<Site>) -> bool {
        let state = self.state.borrow();
        let now = state.sites.get(member.index()).and_then(Option::as_ref);
        now.is_some_and(|now| Rc::ptr_eq(now, site))
    }

    fn try_take(&self, member: MemberId) -> bool {
        let taking = self.shared.slots.try_take(member);
        if taking == Taking::Undone {
            self.queue.slot_freed();
        }
        taking.is_taken()
    }

    /// All of them.
    fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        (0u16..).map(MemberId).take(self.size)
    }

    /// Whether a request that comes now goes behind others that wait already.
    pub(super) fn must_wait(&self) -> bool {
        self.bounded && self.queue.must_wait()
    }

    /// The line of requests that wait for a slot.
    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The tick until which a request that begins to wait now may wait.
    pub(super) fn wait_until(&self) -> u32 {
        Stream::tick().saturating_add(ticks(self.patience))
    }

    /// One look of a waiting request for a member with a free slot.
    pub(super) fn look(&self, key: u64, tried: &Tried) -> Look<Result<Chosen, LeaseError>> {
        match self.choose(key, tried) {
            Ok(chosen) => Look::Taken(Ok(chosen)),
            Err(Unchosen::Nobody) => Look::Taken(Err(LeaseError::Nobody)),
            Err(Unchosen::Deserted) => Look::Taken(Err(LeaseError::Deserted)),
            Err(Unchosen::Full) if self.any_free(|member| tried.contains(member)) => {
                Look::ForOthers
            }
            Err(Unchosen::Full) => Look::Full,
        }
    }

    /// Whether one of `these` may serve and has a slot.
    pub(super) fn any_free(&self, these: impl Fn(MemberId) -> bool) -> bool {
        let state = self.state.borrow();
        let allowed = state.roster.allowed();
        let mut members = self.members();
        members.any(|member| {
            allowed.contains(member) && self.shared.slots.has_free(member) && these(member)
        })
    }

    /// Another worker freed a slot for a waiter of this one.
    pub(super) fn poke(&self) {
        self.queue.poke();
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
        if let Outcome::Answered { first_byte, status: ..500 } = outcome
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
        self.balance == Balance::LeastTime
    }

    pub(super) const fn hashes_by(&self) -> Option<&HashKey> {
        match &self.balance {
            Balance::Hash(key) => Some(key),
            _ => None,
        }
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
            self.queue.slot_freed();
        }
    }

    /// An idle connection that is still open as far as this host knows, and on which nothing was
    /// sent unasked: that must never pass for an answer (RFC 9112 section 9.3). Looking costs a
    /// system call, about 130 ns. None if another server than `site` has the place by now.
    pub(super) fn take_idle(&self, member: MemberId, site: &Rc<Site>) -> Option<Connection> {
        if !self.is_there(member, site) {
            return None;
        }
        let mut lists = self.keepalive.borrow_mut();
        let list = lists.get_mut(member.index())?;
        while let Some(connection) = list.take() {
            self.row.sub(Counter::UpstreamIdle, 1);
            if list.is_worn(&connection, Stream::tick()) {
                self.row.add(Counter::UpstreamRetired, 1);
            } else if connection.stream.is_quiet() {
                return Some(connection);
            } else {
                self.row.add(Counter::UpstreamStale, 1);
            }
        }
        None
    }

    /// Keeps a connection to `site`, unless that has left.
    pub(super) fn put_idle(&self, member: MemberId, site: &Rc<Site>, connection: Connection) {
        // What is out gets no request, nor keeps connections.
        let standing = self.shared.availability.standing(member);
        if matches!(standing, Standing::Out | Standing::Drain) || !self.is_there(member, site) {
            return;
        }
        if let Some(list) = self.keepalive.borrow_mut().get_mut(member.index()) {
            let now = Stream::tick();
            if list.is_worn(&connection, now) {
                self.row.add(Counter::UpstreamRetired, 1);
                return;
            }
            let change = list.put(connection, now);
            self.row.add(Counter::UpstreamIdle, change.unsigned_abs());
        }
    }

    pub(super) fn close_idle(&self) {
        for keepalive in self.keepalive.borrow_mut().iter_mut() {
            self.row.sub(Counter::UpstreamIdle, keepalive.close_all() as u64);
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
            // Nobody tells when a worker has avoided a member for long enough.
            if changed || !self.queue.is_empty() {
                self.queue.wake_all();
            }
        }
        for (member, list) in (0u16..).map(MemberId).zip(self.keepalive.borrow_mut().iter_mut()) {
            let mut closed = match standings.standing(member) {
                Standing::Out | Standing::Drain => list.close_all(),
                Standing::In | Standing::Trial => list.close_expired(tick),
            };
            if tick.is_multiple_of(10) {
                let (old, dead) = (list.close_old(tick), list.close_dead());
                self.row.add(Counter::UpstreamRetired, old as u64);
                self.row.add(Counter::UpstreamStale, dead as u64);
                closed += old + dead;
            }
            self.row.sub(Counter::UpstreamIdle, closed as u64);
        }
    }
}

fn select(balance: &Balance, membership: &Membership, worker: WorkerId) -> Selector {
    Selector::new(balance, membership.table.as_ref(), &membership.weights, worker)
}
