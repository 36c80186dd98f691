//! A pool without sockets, for measuring what a choice costs. No part of the interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::super::inflight::InFlight;
use super::super::latency::{Latency, SharedLatency};
use super::super::tried::Tried;
use super::{Allowed, Candidates, Hash, Selector};
use crate::clock::Instant;
use crate::config::Balance;
use crate::ids::{MemberId, WorkerId};
use crate::rng::Rng;

const WORKERS: usize = 4;

/// A pool as one of four workers sees it; its members are equal, all may serve.
#[derive(Debug)]
pub struct Workbench {
    selector: Selector,
    weights: Vec<u16>,
    in_flight: InFlight,
    latency: Latency,
    tried: Tried,
    allowed: Allowed,
    rng: Rng,
}

impl Workbench {
    /// With so many members, at most 4,096.
    #[must_use]
    pub fn new(balance: &Balance, members: u16) -> Self {
        let ids = || (0..members).map(MemberId);
        let count = usize::from(members);
        let address = |MemberId(id)| SocketAddr::from((Ipv4Addr::LOCALHOST, id));
        let addresses: Vec<SocketAddr> = ids().map(address).collect();
        let weights = vec![1; count];
        let table = Arc::new(Hash::new(&addresses, &weights));
        let mut latency = Latency::new(Arc::new(SharedLatency::new(WORKERS, count)), WorkerId(0));
        let mut allowed = Allowed::new(count);
        for member in ids() {
            allowed.set(member);
            latency.record(member, Duration::from_micros(1000 + u64::from(member.0)));
        }
        latency.tick(Instant::default());
        Self {
            selector: Selector::new(balance, Some(&table), &weights, WorkerId(0)),
            weights,
            in_flight: InFlight::new(WORKERS, count),
            latency,
            tried: Tried::default(),
            allowed,
            rng: Rng::new(1),
        }
    }

    /// Forbids all but one in `every` members; how many are left.
    pub fn keep_one_in(&mut self, every: usize) -> usize {
        self.allowed.clear();
        let ids = (0u16..).take(self.weights.len()).step_by(every);
        ids.for_each(|id| self.allowed.set(MemberId(id)));
        self.allowed.count()
    }

    /// One choice for a random key, and the count of the exchange.
    pub fn choose(&mut self) -> Option<MemberId> {
        let candidates = Candidates {
            weights: &self.weights,
            in_flight: &self.in_flight,
            latency: self.latency.view(),
            tried: &self.tried,
            allowed: &self.allowed,
            key: self.rng.next(),
        };
        let member = self.selector.choose(&candidates, &mut self.rng)?;
        self.in_flight.enter(WorkerId(0), member);
        Some(member)
    }

    /// The end of an exchange.
    pub fn leave(&self, member: MemberId) {
        self.in_flight.leave(WorkerId(0), member);
    }

    /// One housekeeping tick of the latencies.
    pub fn tick(&mut self, now: Instant) {
        self.latency.tick(now);
    }
}
