//! The pools as one worker sees them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::inflight::InFlight;
use super::keepalive::Keepalive;
use super::latency::LatencyView;
use super::lease::Lease;
use super::selection::{Allowed, Candidates, Selector};
use super::tried::Tried;
use crate::config::{PoolConfig, PoolTimeouts};
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::{Stream, TICK};
use crate::rng::Rng;
use crate::stats::{Counter, Row};

/// What all workers share of the pools.
#[derive(Debug)]
pub struct SharedPools {
    in_flight: Vec<Arc<InFlight>>,
}

impl SharedPools {
    /// Nothing in flight, for so many workers.
    #[must_use]
    pub fn new(pools: &[PoolConfig], workers: usize) -> Self {
        let rows = |pool: &PoolConfig| Arc::new(InFlight::new(workers, pool.members.len()));
        Self { in_flight: pools.iter().map(rows).collect() }
    }
}

/// All pools on one worker.
#[derive(Debug)]
pub struct Pools {
    pools: Vec<Rc<Pool>>,
}

/// One pool on one worker.
#[derive(Debug)]
pub(super) struct Pool {
    worker: WorkerId,
    row: Arc<Row>,
    timeouts: PoolTimeouts,
    addresses: Vec<SocketAddr>,
    weights: Vec<u16>,
    in_flight: Arc<InFlight>,
    allowed: Allowed,
    rng: RefCell<Rng>,
    selector: RefCell<Selector>,
    keepalive: RefCell<Vec<Keepalive>>,
}

impl Pools {
    /// The pools for worker `worker`, which counts in `row`.
    #[must_use]
    pub fn new(
        configs: &[PoolConfig],
        shared: &SharedPools,
        worker: WorkerId,
        row: &Arc<Row>,
    ) -> Self {
        let pools = configs.iter().zip(&shared.in_flight);
        let build = |(config, in_flight)| Rc::new(Pool::new(config, in_flight, worker, row));
        Self { pools: pools.map(build).collect() }
    }

    /// The right to use one member of `pool` for one exchange: never one that was `tried`. None if
    /// there is nobody left.
    #[must_use]
    pub fn lease(&self, pool: PoolId, tried: &Tried) -> Option<Lease> {
        let pool = self.pools.get(pool.index())?;
        let member = pool.choose(tried)?;
        Some(Lease::new(Rc::clone(pool), member))
    }

    /// Closes idle connections that are too old, and every tenth tick those that members closed.
    pub fn housekeep(&self, tick: u32) {
        for pool in &self.pools {
            pool.housekeep(tick);
        }
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        for pool in &self.pools {
            for keepalive in pool.keepalive.borrow_mut().iter_mut() {
                let closed = keepalive.close_all();
                pool.row.sub(Counter::UpstreamIdle, closed as u64);
            }
        }
    }
}

impl Pool {
    fn new(
        config: &PoolConfig,
        in_flight: &Arc<InFlight>,
        worker: WorkerId,
        row: &Arc<Row>,
    ) -> Self {
        let weights: Vec<u16> = config.members.iter().map(|member| member.weight).collect();
        let addresses: Vec<_> = config.members.iter().map(|member| member.address).collect();
        let mut allowed = Allowed::new(weights.len());
        (0u16..).take(weights.len()).for_each(|member| allowed.set(MemberId(member)));
        let timeout = ticks(config.keepalive.idle_timeout);
        let keepalive = |_: &_| Keepalive::new(config.keepalive.idle, timeout);
        Self {
            worker,
            row: Arc::clone(row),
            timeouts: config.timeouts,
            allowed,
            rng: RefCell::new(Rng::new(u64::from(worker.0))),
            selector: RefCell::new(Selector::new(&config.balance, &addresses, &weights, worker)),
            addresses,
            keepalive: RefCell::new(config.members.iter().map(keepalive).collect()),
            in_flight: Arc::clone(in_flight),
            weights,
        }
    }

    fn choose(&self, tried: &Tried) -> Option<MemberId> {
        let candidates = Candidates {
            weights: &self.weights,
            in_flight: &self.in_flight,
            latency: &LatencyView::default(),
            tried,
            allowed: &self.allowed,
            key: 0,
        };
        self.selector.borrow_mut().choose(&candidates, &mut self.rng.borrow_mut())
    }

    pub(super) fn address(&self, member: MemberId) -> Option<SocketAddr> {
        self.addresses.get(member.index()).copied()
    }

    pub(super) const fn timeouts(&self) -> &PoolTimeouts {
        &self.timeouts
    }

    pub(super) fn row(&self) -> &Row {
        &self.row
    }

    pub(super) fn enter(&self, member: MemberId) {
        self.in_flight.enter(self.worker, member);
        self.row.add(Counter::UpstreamActive, 1);
    }

    pub(super) fn leave(&self, member: MemberId) {
        self.in_flight.leave(self.worker, member);
        self.row.sub(Counter::UpstreamActive, 1);
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

    fn housekeep(&self, tick: u32) {
        for list in self.keepalive.borrow_mut().iter_mut() {
            let mut closed = list.close_expired(tick);
            if tick.is_multiple_of(10) {
                let dead = list.close_dead();
                self.row.add(Counter::UpstreamStale, dead as u64);
                closed += dead;
            }
            self.row.sub(Counter::UpstreamIdle, closed as u64);
        }
    }
}

fn ticks(span: Duration) -> u32 {
    u32::try_from(span.as_micros() / TICK.as_micros()).unwrap_or(u32::MAX)
}
