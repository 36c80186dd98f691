//! The admin interface: an HTTP server on the control thread that tells what the process does, and
//! takes an operator's word on members. Never on a worker.
//!
//! Must not own a member's state: it asks the monitor, by `desk`.

mod assemble;
mod caches;
mod conversation;
mod guard;
mod listener;
mod metrics;
mod predecessor;
mod refusal;
mod routes;
pub mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use listener::{AdminBindError, AdminListener, bind, reachable};

use super::certificates::Shelves;
use super::desk::Desk;
use crate::balancer::{Availability, SharedPools};
use crate::clock::{self, Instant};
use crate::config::{Config, MemberConfig, PoolConfig};
use crate::ids::{MemberId, PoolId};
use crate::proxy::{Guards, SharedCache};
use crate::stats::{Occupancy, Row};

/// A member that is there.
struct Occupant<'a> {
    id: MemberId,
    /// Its entry in the file.
    config: &'a MemberConfig,
    /// Where it listens: what it is called here.
    address: String,
}

/// What the admin interface sees of the process.
#[derive(Debug)]
pub struct Process {
    config: Arc<Config>,
    shared: Arc<SharedPools>,
    /// By pool: what workers are told of its members.
    standings: Vec<Arc<Availability>>,
    /// By worker.
    rows: Vec<Arc<Row>>,
    /// The control thread's counters.
    control: Arc<Row>,
    /// Whether it takes no new clients any more.
    draining: Arc<AtomicBool>,
    desk: Desk,
    certificates: Option<Shelves>,
    /// The cache, if a route has one.
    cache: Option<Arc<SharedCache>>,
    occupancy: Arc<Occupancy>,
    guards: Option<Arc<Guards>>,
    started: Instant,
}

impl Process {
    /// Begins now.
    #[must_use]
    pub fn new(
        config: &Arc<Config>,
        shared: &Arc<SharedPools>,
        (rows, occupancy): (Vec<Arc<Row>>, Arc<Occupancy>),
        control: &Arc<Row>,
        draining: Arc<AtomicBool>,
        desk: Desk,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            standings: shared.availability(),
            rows,
            control: Arc::clone(control),
            draining,
            desk,
            certificates: None,
            cache: None,
            occupancy,
            guards: None,
            started: clock::now(),
        }
    }

    /// Tells of certificates, too.
    #[must_use]
    pub fn telling_of(mut self, certificates: Shelves) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Tells of the cache, too.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<Arc<SharedCache>>) -> Self {
        self.cache = cache;
        self
    }

    /// Tells of the rules of listeners and routes, too.
    #[must_use]
    pub fn counting(mut self, guards: Arc<Guards>) -> Self {
        self.guards = Some(guards);
        self
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn pool_named(&self, name: &str) -> Option<(PoolId, &PoolConfig)> {
        let mut pools = (0u16..).map(PoolId).zip(&self.config.pools);
        pools.find(|(_, pool)| pool.name == name)
    }

    /// The members of a pool that are there.
    fn occupants<'a>(&self, id: PoolId, pool: &'a PoolConfig) -> Vec<Occupant<'a>> {
        let membership = self.standings.get(id.index()).and_then(|pool| pool.membership());
        let Some(membership) = membership else { return Vec::new() };
        let places = (0u16..).map(MemberId).zip(pool.places());
        let occupant = |(id, config)| {
            let address = membership.site(id)?.address.to_string();
            Some(Occupant { id, config, address })
        };
        places.filter_map(occupant).collect()
    }

    /// The member that an operator names: by the text of its address, as every answer here shows it.
    fn member_named(&self, id: PoolId, pool: &PoolConfig, address: &str) -> Option<MemberId> {
        let mut members = self.occupants(id, pool).into_iter();
        members.find(|member| member.address == address).map(|member| member.id)
    }
}

impl AdminListener {
    /// Serves on the control thread's runtime, until that ends.
    pub fn start(self, process: Process) {
        tokio::spawn(async move {
            let row = Arc::clone(&process.control);
            let router = routes::router(Arc::new(process));
            match self.open().await {
                Ok((socket, guard)) => conversation::serve(socket, guard, router, row).await,
                Err(error) => tracing::error!("the admin interface cannot be served: {error}"),
            }
        });
    }
}
