//! All pools on one worker: the door that the reverse-proxy hat knocks at.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::lease::Lease;
use super::observer::Observer;
use super::pool::{Chosen, Home, Pool, Unchosen};
use super::queue::QueueRefusal;
use super::retry::{Attempted, Refusal};
use super::shared::SharedPools;
use super::tried::Tried;
use crate::clock;
use crate::config::{HashKey, PoolConfig};
use crate::ids::{PoolId, WorkerId};
use crate::stats::Row;

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// Every member is out, or was tried.
    Nobody,
    /// Every member is at its maximum, and as many requests wait as may.
    QueueFull,
    /// No member had a slot within `queue.timeout`.
    QueueTimeout,
}

/// All pools on one worker.
#[derive(Debug)]
pub struct Pools {
    pools: Vec<Rc<Pool>>,
}

impl Pools {
    /// The pools for worker `worker`, which counts in `row` and tells the monitor through
    /// `observer`. `ring` wakes another worker, which then calls [`Pools::poke`].
    #[must_use]
    pub fn new(
        configs: &[PoolConfig],
        shared: &SharedPools,
        worker: WorkerId,
        row: &Arc<Row>,
        observer: &Observer,
        ring: &Rc<dyn Fn(WorkerId, PoolId)>,
    ) -> Self {
        let seed = clock::now().as_micros();
        let home = Home { worker, row, observer, clock: clock::coarse, seed, ring };
        let pools = (0u16..).map(PoolId).zip(configs).zip(&shared.pools);
        let build = |((id, config), shared)| Rc::new(Pool::new(id, config, shared, home));
        Self { pools: pools.map(build).collect() }
    }

    /// Around one pool, for the simulation.
    #[cfg(test)]
    pub(super) fn of(pool: Rc<Pool>) -> Self {
        Self { pools: vec![pool] }
    }

    fn pool(&self, id: PoolId) -> Option<&Rc<Pool>> {
        self.pools.get(id.index())
    }

    /// The right to use one member of `pool` for one exchange: never one that was `tried`. `key`
    /// is the hash of what the pool hashes by. Waits in the pool's queue where every member is at
    /// its maximum; dropping the future leaves the queue.
    ///
    /// # Errors
    /// There is nobody left, or the queue refused.
    pub async fn lease(&self, pool: PoolId, key: u64, tried: &Tried) -> Result<Lease, LeaseError> {
        let pool = self.pool(pool).ok_or(LeaseError::Nobody)?;
        let mut chosen = Err(Unchosen::Full);
        if !pool.must_wait() {
            chosen = pool.choose(key, tried);
        }
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(Unchosen::Nobody) => return Err(LeaseError::Nobody),
            // Rare, and large: kept out of every connection's memory.
            Err(Unchosen::Full) => Box::pin(wait(pool, key, tried)).await?,
        };
        Ok(Lease::new(Rc::clone(pool), chosen))
    }

    /// As [`Pools::lease`], without waiting: where every member is at its maximum the queue counts
    /// as full.
    ///
    /// # Errors
    /// There is nobody left, or everybody is at its maximum.
    pub fn lease_now(&self, pool: PoolId, key: u64, tried: &Tried) -> Result<Lease, LeaseError> {
        let pool = self.pool(pool).ok_or(LeaseError::Nobody)?;
        if pool.must_wait() {
            return Err(LeaseError::QueueFull);
        }
        match pool.choose(key, tried) {
            Ok(chosen) => Ok(Lease::new(Rc::clone(pool), chosen)),
            Err(Unchosen::Nobody) => Err(LeaseError::Nobody),
            Err(Unchosen::Full) => Err(LeaseError::QueueFull),
        }
    }

    /// Another worker freed a slot for a waiter of this one.
    pub fn poke(&self, pool: PoolId) {
        if let Some(pool) = self.pool(pool) {
            pool.poke();
        }
    }

    /// What of a request decides its member.
    #[must_use]
    pub fn hashes_by(&self, pool: PoolId) -> Option<&HashKey> {
        self.pool(pool)?.hashes_by()
    }

    /// Whether the pool wants to know how long answers take.
    #[must_use]
    pub fn measures(&self, pool: PoolId) -> bool {
        self.pool(pool).is_some_and(|pool| pool.measures())
    }

    /// Counts a request toward the retry budget.
    pub fn count_request(&self, pool: PoolId) {
        if let Some(pool) = self.pool(pool) {
            pool.count_request();
        }
    }

    /// Whether a request may be sent again after this attempt; a yes is charged to the budget.
    ///
    /// # Errors
    /// Why not.
    pub fn may_retry(&self, pool: PoolId, attempted: &Attempted) -> Result<(), Refusal> {
        self.pool(pool).ok_or(Refusal::NotCovered)?.may_retry(attempted)
    }

    /// Whether an answer with this status makes the request go to another member.
    #[must_use]
    pub fn retries_status(&self, pool: PoolId, status: u16) -> bool {
        let retry = self.pool(pool).and_then(|pool| pool.retry());
        retry.is_some_and(|retry| retry.on.statuses.contains(&status))
    }

    /// The request bodies up to which bytes are kept to be sent again; 0: none.
    #[must_use]
    pub fn keeps_body(&self, pool: PoolId) -> usize {
        self.pool(pool).and_then(|pool| pool.retry()).map_or(0, |retry| retry.body)
    }

    /// Whether a member could serve that was not tried and is not the one at `address`.
    #[must_use]
    pub fn has_other(&self, pool: PoolId, tried: &Tried, address: Option<SocketAddr>) -> bool {
        self.pool(pool).is_some_and(|pool| pool.has_other(tried, address))
    }

    /// Closes idle connections that are too old or whose member is out, and every tenth tick those
    /// that members closed.
    pub fn housekeep(&self, tick: u32) {
        for pool in &self.pools {
            pool.housekeep(tick);
        }
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        for pool in &self.pools {
            pool.close_idle();
        }
    }
}

/// Waits for a member with a free slot.
async fn wait(pool: &Pool, key: u64, tried: &Tried) -> Result<Chosen, LeaseError> {
    let look = || pool.look(key, tried);
    match pool.queue().wait(pool.wait_until(), look, || pool.any_free(|_| true)).await {
        Ok(taken) => taken,
        Err(QueueRefusal::Full) => Err(LeaseError::QueueFull),
        Err(QueueRefusal::Timeout) => Err(LeaseError::QueueTimeout),
    }
}
