//! The probing tasks: one for each member that is there and is probed, and so at most one probe of it
//! at a time. A task ends when its member leaves.

use tokio::sync::mpsc::Sender;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::monitor::{Told, share};
use super::probe::Prober;
use crate::balancer::Site;
use crate::clock;
use crate::config::{HealthConfig, LimitsConfig, ProxyVersion};
use crate::ids::{MemberId, PoolId};
use crate::net::tls::TlsConnector;
use crate::rng::{Rng, mix};

/// The probing tasks of the members of one pool; they end with it.
#[derive(Debug)]
pub(super) struct Probes {
    pool: PoolId,
    health: Option<HealthConfig>,
    limits: LimitsConfig,
    tls: Option<TlsConnector>,
    announces: Option<ProxyVersion>,
    results: Sender<Told>,
    tasks: JoinSet<()>,
    /// By place.
    running: Vec<Option<AbortHandle>>,
    seed: u64,
}

impl Probes {
    /// None yet, for a pool of so many places.
    pub(super) fn new(
        pool: PoolId,
        places: usize,
        health: Option<&HealthConfig>,
        limits: &LimitsConfig,
        tls: Option<TlsConnector>,
        announces: Option<ProxyVersion>,
        results: Sender<Told>,
    ) -> Self {
        let running = (0..places).map(|_| None).collect();
        let seed = mix(clock::unix().as_nanos() as u64 ^ (u64::from(pool.0) << 16));
        let (health, limits) = (health.cloned(), limits.clone());
        Self { pool, health, limits, tls, announces, results, tasks: JoinSet::new(), running, seed }
    }

    /// Probes who is at a place now, and nobody who was there before.
    pub(super) fn start(&mut self, member: MemberId, site: &Site) {
        self.stop(member);
        let Some(health) = &self.health else { return };
        let count = u32::try_from(self.running.len()).unwrap_or(1).max(1);
        let mut rng = Rng::new(self.seed ^ u64::from(member.0) ^ u64::from(site.epoch) << 32);
        // Each begins in a part of the interval of its own, so that they do not come in bursts.
        let part = health.interval / count;
        let first = part * u32::from(member.0) + share(part, &mut rng);
        let prober =
            Prober::new(health, &self.limits, site, self.tls.as_ref()).announced(self.announces);
        let (interval, results) = (health.interval, self.results.clone());
        let (pool, epoch) = (self.pool, site.epoch);
        let task = self.tasks.spawn(async move {
            sleep(first).await;
            loop {
                let start = clock::now();
                let told = prober.probe().await;
                if results.send(Told::Probed(pool, member, epoch, told)).await.is_err() {
                    return;
                }
                let next = interval * 9 / 10 + share(interval / 5, &mut rng);
                sleep(next.saturating_sub(clock::now().since(start))).await;
            }
        });
        if let Some(place) = self.running.get_mut(member.index()) {
            *place = Some(task);
        }
    }

    /// Probes nobody at a place any more.
    pub(super) fn stop(&mut self, member: MemberId) {
        if let Some(task) = self.running.get_mut(member.index()).and_then(Option::take) {
            task.abort();
        }
        // Forgets those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}
