//! All pools on one worker: the door that the reverse-proxy hat knocks at.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::availability::Standing;
use super::lease::Lease;
use super::observer::Observer;
use super::pool::{Chosen, Home, Pool, Unchosen};
use super::queue::QueueRefusal;
use super::retry::{Attempted, Refusal};
use super::shared::SharedPools;
use super::staying::{OnDrop, Wish};
use super::sticky::Sticky;
use super::tried::Tried;
use crate::clock;
use crate::config::{HashKey, PoolConfig};
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::stats::Row;

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseError {
    /// Every member is out, or was tried.
    Nobody,
    /// No member has an address: none of their names has been resolved yet.
    Deserted,
    /// Every member is at its maximum, and as many requests wait as may.
    QueueFull,
    /// No member had a slot within `queue.timeout`.
    QueueTimeout,
}

impl From<Unchosen> for LeaseError {
    /// For those who do not wait.
    fn from(unchosen: Unchosen) -> Self {
        match unchosen {
            Unchosen::Nobody => Self::Nobody,
            Unchosen::Deserted => Self::Deserted,
            Unchosen::Full => Self::QueueFull,
        }
    }
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
        let build = |((id, config), pool): ((PoolId, _), _)| {
            let tls = shared.tls.get(id.index()).and_then(Option::as_ref);
            Rc::new(Pool::new(id, config, pool, home).secure(tls))
        };
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

    /// The right to use one member of `pool` for one exchange: never one that was `tried`. Waits in the
    /// pool's queue where every member is at its maximum, or the one that the client stays on;
    /// dropping the future leaves the queue.
    ///
    /// # Errors
    /// There is nobody left, or the queue refused.
    pub async fn lease(
        &self,
        pool: PoolId,
        wish: Wish,
        tried: &Tried,
    ) -> Result<Lease, LeaseError> {
        match self.lease_now(pool, wish, tried) {
            Err(LeaseError::QueueFull) => {
                let pool = self.pool(pool).ok_or(LeaseError::Nobody)?;
                // Rare, and large: kept out of every connection's memory.
                let chosen = Box::pin(wait(pool, wish, tried)).await?;
                Lease::new(Rc::clone(pool), chosen)
            }
            leased => leased,
        }
    }

    /// As [`Pools::lease`], without waiting: where every member is at its maximum the queue counts
    /// as full.
    ///
    /// # Errors
    /// There is nobody left, or everybody is at its maximum.
    pub fn lease_now(&self, pool: PoolId, wish: Wish, tried: &Tried) -> Result<Lease, LeaseError> {
        let pool = self.pool(pool).ok_or(LeaseError::Nobody)?;
        if pool.must_wait(wish, tried) {
            return Err(LeaseError::QueueFull);
        }
        Lease::new(Rc::clone(pool), pool.choose(wish, tried)?)
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

    /// What cookies name the pool's members by, if clients stay on theirs.
    #[must_use]
    #[allow(clippy::redundant_allocation, reason = "a count of its own for each worker")]
    pub fn sticky(&self, pool: PoolId) -> Option<Rc<Arc<Sticky>>> {
        self.pool(pool)?.sticky()
    }

    /// Whether clients stay on their members.
    #[must_use]
    pub fn is_sticky(&self, pool: PoolId) -> bool {
        self.pool(pool).is_some_and(|pool| pool.is_sticky())
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

    /// Whether members honour `Idempotency-Key`.
    #[must_use]
    pub fn honours_key(&self, pool: PoolId) -> bool {
        let retry = self.pool(pool).and_then(|pool| pool.retry());
        retry.is_some_and(|retry| retry.idempotency_key)
    }

    /// What a member may take for its answer's head in the attempt of this number, if as far as the
    /// pool's rules go another one may follow.
    #[must_use]
    pub fn try_timeout(
        &self,
        pool: PoolId,
        attempts: u32,
        age: impl FnOnce() -> Duration,
    ) -> Option<Duration> {
        let retry = self.pool(pool)?.retry()?;
        let span = retry.try_timeout.filter(|_| retry.on.timeout)?;
        (attempts <= retry.attempts && age() <= retry.deadline).then_some(span)
    }

    /// The request bodies up to which bytes are kept to be sent again; 0: none.
    #[must_use]
    pub fn keeps_body(&self, pool: PoolId) -> usize {
        self.pool(pool).and_then(|pool| pool.retry()).map_or(0, |retry| retry.body)
    }

    /// Whether a member could serve that was not tried and is not `current`.
    #[must_use]
    pub fn has_other(&self, pool: PoolId, tried: &Tried, current: Option<MemberId>) -> bool {
        self.pool(pool).is_some_and(|pool| pool.has_other(tried, current))
    }

    /// Whether a member may serve a request that comes now, as this worker sees it. It may be full.
    #[must_use]
    pub fn serves(&self, pool: PoolId) -> bool {
        self.pool(pool).is_some_and(|pool| pool.serves())
    }

    /// Whether a member is in and may be chosen, as all workers see it.
    #[must_use]
    pub fn has_member_in(&self, pool: PoolId) -> bool {
        let Some(pool) = self.pool(pool) else { return false };
        let standings = &pool.shared.availability;
        let Some(membership) = standings.membership() else { return false };
        let there =
            (0u16..).map(MemberId).zip(&membership.sites).filter(|(_, site)| site.is_some());
        let mut members = there.map(|(member, _)| member);
        members.any(|id| standings.standing(id) == Standing::In && !standings.is_barred(id))
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

/// Waits for a slot: of the member that the client stays on, as long as it may; else of any.
async fn wait(pool: &Pool, mut wish: Wish, tried: &Tried) -> Result<Chosen, LeaseError> {
    if pool.waits_enough() {
        return Err(LeaseError::QueueFull);
    }
    let refused = |refusal| match refusal {
        QueueRefusal::Full => LeaseError::QueueFull,
        QueueRefusal::Timeout => LeaseError::QueueTimeout,
    };
    let deadline = pool.wait_until();
    if let Some(member) = pool.stays(wish, tried)
        && let Some(line) = pool.line(member)
    {
        let others = OnDrop(|| {
            if pool.is_open(member) {
                pool.slot_freed(member);
            }
        });
        let look = || pool.look_for(member, wish, tried);
        let waited = line.wait(deadline, look, || pool.is_open(member)).await;
        if let Some(chosen) = waited.map_err(refused)? {
            return Ok(chosen);
        }
        drop(others);
        wish.member = None;
        match pool.choose(wish, tried) {
            Ok(chosen) => return Ok(chosen),
            Err(Unchosen::Full) => {}
            Err(nobody) => return Err(nobody.into()),
        }
    }
    // Who stays on a member without a maximum waits for a place of the pool, as everybody does.
    let _others = OnDrop(|| pool.has_looked());
    let look = || {
        let found = pool.look(wish, tried);
        pool.has_looked();
        found
    };
    pool.queue().wait(deadline, look, || pool.any_free(|_| true)).await.map_err(refused)?
}
