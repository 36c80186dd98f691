//! What all workers share of the pools.

use std::sync::Arc;

use super::availability::Availability;
use super::inflight::InFlight;
use super::latency::SharedLatency;
use super::places::Places;
use super::records::Records;
use super::retry::Budget;
use super::slots::Slots;
use super::waiting::Waiting;
use crate::config::PoolConfig;
use crate::ids::{MemberId, PoolId};
use crate::net::tls::TlsConnector;

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
    /// TLS to members, by pool.
    pub(super) tls: Vec<Option<TlsConnector>>,
}

impl SharedPools {
    /// Nothing in flight and everybody in, for so many workers.
    #[must_use]
    pub fn new(pools: &[PoolConfig], workers: usize) -> Self {
        let share = |pool: &PoolConfig| {
            let maxima: Vec<_> = pool.places().map(|m| m.max_connections).collect();
            let members = maxima.len();
            let latency = Arc::new(SharedLatency::new(workers, members));
            let availability = Availability::new(members);
            availability.publish(Places::new(pool).membership());
            Arc::new(SharedPool {
                records: Arc::new(Records::new(pool, workers, Arc::clone(&latency))),
                in_flight: InFlight::new(workers, members),
                availability: Arc::new(availability),
                latency,
                budget: Budget::new(workers),
                slots: Slots::new(pool.max_connections, &maxima),
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
        Self { pools: pools.iter().map(share).collect(), tls: Vec::new() }
    }

    /// TLS to members, by pool.
    #[must_use]
    pub fn with_tls(mut self, tls: Vec<Option<TlsConnector>>) -> Self {
        self.tls = tls;
        self
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

    /// Exchanges that a member has in flight, over all workers.
    #[must_use]
    pub fn in_flight(&self, pool: PoolId, member: MemberId) -> u32 {
        self.pools.get(pool.index()).map_or(0, |pool| pool.in_flight.total(member))
    }
}
