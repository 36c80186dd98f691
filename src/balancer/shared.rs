//! What all workers share of the pools.

use std::sync::Arc;

use super::availability::Availability;
use super::inflight::InFlight;
use super::latency::SharedLatency;
use super::records::Records;
use super::retry::Budget;
use super::slots::Slots;
use super::waiting::Waiting;
use crate::config::PoolConfig;

/// One pool.
#[derive(Debug)]
pub(super) struct SharedPool {
    pub(super) in_flight: InFlight,
    pub(super) availability: Arc<Availability>,
    pub(super) latency: Arc<SharedLatency>,
    pub(super) budget: Budget,
    pub(super) slots: Slots,
    pub(super) records: Arc<Records>,
    pub(super) waiting: Arc<Waiting>,
    /// By member: those who wait for it alone, where there can be any.
    pub(super) staying: Vec<Option<Arc<Waiting>>>,
}

/// All pools.
#[derive(Debug)]
pub struct SharedPools {
    pub(super) pools: Vec<Arc<SharedPool>>,
}

impl SharedPools {
    /// Nothing in flight and everybody in, for so many workers.
    #[must_use]
    pub fn new(pools: &[PoolConfig], workers: usize) -> Self {
        let share = |pool: &PoolConfig| {
            let members = pool.members.len();
            let maxima: Vec<_> = pool.members.iter().map(|m| m.max_connections).collect();
            let latency = Arc::new(SharedLatency::new(workers, members));
            Arc::new(SharedPool {
                records: Arc::new(Records::new(pool, workers, Arc::clone(&latency))),
                in_flight: InFlight::new(workers, members),
                availability: Arc::new(Availability::new(members)),
                latency,
                budget: Budget::new(workers),
                slots: Slots::new(&maxima),
                waiting: Arc::new(Waiting::new(workers)),
                staying: maxima
                    .iter()
                    .map(|maximum| {
                        let stays = pool.sticky.is_some() && maximum.is_some();
                        stays.then(|| Arc::new(Waiting::new(workers)))
                    })
                    .collect(),
            })
        };
        Self { pools: pools.iter().map(share).collect() }
    }

    /// What is counted of each pool's members, for the monitor.
    #[must_use]
    pub fn records(&self) -> Vec<Arc<Records>> {
        self.pools.iter().map(|pool| Arc::clone(&pool.records)).collect()
    }

    /// The standings of each pool's members, for the monitor.
    #[must_use]
    pub fn availability(&self) -> Vec<Arc<Availability>> {
        self.pools.iter().map(|pool| Arc::clone(&pool.availability)).collect()
    }
}
