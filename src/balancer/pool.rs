//! One pool as one worker sees it: choosing a member, and learning from how it behaves.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::keepalive::Keepalive;
use super::latency::Latency;
use super::observer::Observer;
use super::outcome::{Observation, Outcome};
use super::pools::LeaseError;
use super::queue::{Look, Queue};
use super::retry::{Attempted, Refusal, Rules};
use super::roster::Roster;
use super::selection::{Allowed, Candidates, Selector};
use super::shared::SharedPool;
use super::tried::Tried;
use crate::clock::Instant;
use crate::config::{
    Balance, EjectConfig, HashKey, PoolConfig, PoolTimeouts, ProxyVersion, RetryConfig,
};
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::{Stream, TICK, ticks};
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
    /// Everybody else is at its `max_connections`.
    Full,
}

#[derive(Debug)]
struct State {
    roster: Roster,
    /// Who is not at its maximum, of those who may serve.
    open: Allowed,
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
    addresses: Vec<SocketAddr>,
    balance: Balance,
    timeouts: PoolTimeouts,
    announces: Option<ProxyVersion>,
    eject: Option<EjectConfig>,
    retry: Option<RetryConfig>,
    state: RefCell<State>,
    /// Some member has a maximum.
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
        let roster = Roster::new(config);
        let addresses: Vec<_> = config.members.iter().map(|member| member.address).collect();
        let timeout = u32::try_from(config.keepalive.idle_timeout.as_micros() / TICK.as_micros());
        let keepalive = |_: &_| Keepalive::new(config.keepalive.idle, timeout.unwrap_or(u32::MAX));
        let state = State {
            open: Allowed::new(addresses.len()),
            selector: Selector::new(&config.balance, &addresses, roster.full(), worker),
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
            bounded: config.members.iter().any(|member| member.max_connections.is_some()),
            queue,
            patience: config.queue.timeout,
            seen: Cell::new(0),
            row: Arc::clone(home.row),
            shared: Arc::clone(shared),
            observer: home.observer.clone(),
            addresses,
            balance: config.balance.clone(),
            timeouts: config.timeouts,
            announces: config.proxy_protocol,
            eject: config.eject.clone(),
            retry: config.retry.clone(),
            state: RefCell::new(state),
            keepalive: RefCell::new(config.members.iter().map(keepalive).collect()),
        }
    }

    /// A member that may serve and was not tried, with a slot if it has a maximum.
    pub(super) fn choose(&self, key: u64, tried: &Tried) -> Result<Chosen, Unchosen> {
        let state = &mut *self.state.borrow_mut();
        let (standings, slots) = (&self.shared.availability, &self.shared.slots);
        state.roster.refresh(standings, Stream::tick(), self.clock);
        for member in state.roster.trials() {
            if !tried.contains(*member) && slots.has_free(*member) && standings.take_trial(*member)
            {
                if slots.try_take(*member) {
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
            if slots.try_take(member) {
                return Ok(Chosen { member, trial: false });
            }
            // Another worker took its last slot: it is not open any more.
        }
        let members = self.members();
        let mut left = members.filter(|member| !tried.contains(*member));
        let allowed = state.roster.allowed_after(tried);
        let full = left.any(|member| allowed.contains(member));
        Err(if self.bounded && full { Unchosen::Full } else { Unchosen::Nobody })
    }

    /// All of them.
    fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        (0u16..).map(MemberId).take(self.addresses.len())
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

    /// Whether somebody may serve who was not tried, other than the member at `address`.
    pub(super) fn has_other(&self, tried: &Tried, address: Option<SocketAddr>) -> bool {
        let state = self.state.borrow();
        let mut tried = *tried;
        let current = self.addresses.iter().position(|other| Some(*other) == address);
        if let Some(member) = current.and_then(|at| u16::try_from(at).ok()).map(MemberId)
            && !tried.contains(member)
            && !tried.add(member)
        {
            return false;
        }
        let allowed = state.roster.allowed_after(&tried);
        let mut members = self.members();
        members.any(|member| allowed.contains(member) && !tried.contains(member))
    }

    /// Learns how a member behaved.
    pub(super) fn learn(&self, chosen: Chosen, outcome: Outcome) {
        let Chosen { member, trial } = chosen;
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
                if failed || trial {
                    let pool = self.id;
                    self.observer.tell(Observation { pool, member, outcome, trial });
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

    pub(super) fn address(&self, member: MemberId) -> Option<SocketAddr> {
        self.addresses.get(member.index()).copied()
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
            self.queue.slot_freed();
        }
    }

    /// An idle connection that is still open as far as this host knows, and on which nothing was
    /// sent unasked: that must never pass for an answer (RFC 9112 section 9.3). Looking costs a
    /// system call, about 130 ns.
    pub(super) fn take_idle(&self, member: MemberId) -> Option<Stream> {
        let mut lists = self.keepalive.borrow_mut();
        let list = lists.get_mut(member.index())?;
        while let Some(stream) = list.take() {
            self.row.sub(Counter::UpstreamIdle, 1);
            if stream.is_quiet() {
                return Some(stream);
            }
            self.row.add(Counter::UpstreamStale, 1);
        }
        None
    }

    pub(super) fn put_idle(&self, member: MemberId, stream: Stream) {
        if let Some(list) = self.keepalive.borrow_mut().get_mut(member.index()) {
            let change = list.put(stream, Stream::tick());
            self.row.add(Counter::UpstreamIdle, change.unsigned_abs());
        }
    }

    pub(super) fn close_idle(&self) {
        for keepalive in self.keepalive.borrow_mut().iter_mut() {
            self.row.sub(Counter::UpstreamIdle, keepalive.close_all() as u64);
        }
    }

    pub(super) fn housekeep(&self, tick: u32) {
        if self.measures() {
            self.state.borrow_mut().latency.tick((self.clock)());
        }
        let standings = &self.shared.availability;
        if self.bounded {
            self.queue.expire(tick);
            let changed = self.seen.replace(standings.version()) != standings.version();
            // Nobody tells when a worker has avoided a member for long enough.
            if changed || !self.queue.is_empty() {
                self.state.borrow_mut().roster.refresh(standings, tick, self.clock);
                self.queue.wake_all();
            }
        }
        for (member, list) in (0u16..).map(MemberId).zip(self.keepalive.borrow_mut().iter_mut()) {
            // What is out gets no request, nor keeps connections.
            let mut closed = match standings.standing(member) {
                super::Standing::Out | super::Standing::Drain => list.close_all(),
                super::Standing::In | super::Standing::Trial => list.close_expired(tick),
            };
            if tick.is_multiple_of(10) {
                let dead = list.close_dead();
                self.row.add(Counter::UpstreamStale, dead as u64);
                closed += dead;
            }
            self.row.sub(Counter::UpstreamIdle, closed as u64);
        }
    }
}
