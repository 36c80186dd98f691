//! The cache as a whole: what all workers share of it, and one worker's hand in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::disk::{Desk, Disk, DiskFolder, DiskSeat};
use super::flight::{Flight, Landing, Sleepers};
use super::key::Zone;
use super::store::{Key, Store};
use crate::config::Config;
use crate::ids::{PoolId, RouteId, WorkerId};
use crate::stats::{Counter, Row};

/// Fetches that others can wait for; those beyond are done all the same.
const FLIGHTS_MOST: usize = 1 << 16;

/// What share of the store's memory answers on their way may take, in parts.
const FILLING_PART: u64 = 4;

/// The cache, for all workers.
#[derive(Debug)]
pub struct SharedCache {
    pub(super) store: Store,
    /// The second tier, if there is one.
    pub(super) disk: Option<Arc<Disk>>,
    /// What stands for a zone on disk, by its number.
    pub(super) signatures: Vec<[u8; 16]>,
    flights: Cache<Key, Arc<Flight>>,
    zones: Vec<Zone>,
    /// By route and pool: a split has a zone for each of its pools, so that their answers do not mix.
    by_route: HashMap<(RouteId, PoolId), u16>,
    /// Bytes of answers on their way into the store, and how many these may be.
    filling: AtomicU64,
    filling_most: u64,
    /// Flights until now: each has a number of its own.
    flown: AtomicU64,
    workers: usize,
    missed: Arc<[AtomicBool]>,
}

impl SharedCache {
    /// The cache of a configuration, if one of its routes has one. `folder`: with a tier on disk.
    #[must_use]
    pub fn new(config: &Config, workers: usize, folder: Option<DiskFolder>) -> Option<Arc<Self>> {
        let mut zones: Vec<Zone> = Vec::new();
        let mut object = 0;
        let mut by_route = HashMap::new();
        for (route, id) in config.routes.iter().zip((0..=u16::MAX).map(RouteId)) {
            let Some(cache) = route.cache.as_deref() else { continue };
            object = object.max(cache.max_object);
            for pool in route.pools() {
                let zone = Zone::new((id, route), pool, cache, config.may_ask(route));
                let at = zones.iter().position(|other| *other == zone).unwrap_or_else(|| {
                    zones.push(zone);
                    zones.len() - 1
                });
                if let Ok(at) = u16::try_from(at) {
                    by_route.insert((id, pool), at);
                }
            }
        }
        let memory = config.server.cache.memory;
        let missed = (0..workers).map(|_| AtomicBool::new(false)).collect();
        (!zones.is_empty()).then(|| {
            Arc::new(Self {
                store: Store::new(memory, object),
                signatures: folder.as_ref().map_or_else(Vec::new, |_| {
                    zones.iter().map(|zone| zone.signature(config)).collect()
                }),
                disk: folder.map(Disk::new),
                flights: Cache::new(FLIGHTS_MOST),
                zones,
                by_route,
                filling: AtomicU64::new(0),
                flown: AtomicU64::new(0),
                filling_most: memory as u64 / FILLING_PART,
                workers,
                missed,
            })
        })
    }

    /// Starts what the tier on disk needs.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(&self) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.start(self.signatures.clone()))
    }

    /// One worker's way to the tier on disk, if there is one.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn seat(&self) -> io::Result<Option<DiskSeat>> {
        self.disk.as_ref().map(|_| DiskSeat::new()).transpose()
    }

    /// Bytes and number of files on disk, and whether all that was found there is known; `None`:
    /// there is no such tier.
    #[must_use]
    pub fn filled_on_disk(&self) -> Option<(u64, u64, bool)> {
        let disk = self.disk.as_ref()?;
        let (bytes, files) = disk.filled();
        Some((bytes, files, disk.is_open()))
    }

    /// Bytes of memory that stored answers take, and by how many keys.
    #[must_use]
    pub fn filled(&self) -> (u64, u64) {
        self.store.filled()
    }

    pub(super) fn zone(&self, route: RouteId, pool: PoolId) -> Option<(u16, &Zone)> {
        let id = *self.by_route.get(&(route, pool))?;
        Some((id, self.zones.get(usize::from(id))?))
    }

    pub(super) fn zones(&self) -> impl Iterator<Item = (u16, &Zone)> {
        (0u16..).zip(&self.zones)
    }

    /// Takes room for so many bytes on their way; false: there is none.
    pub(super) fn take_room(&self, bytes: u64) -> bool {
        let before = self.filling.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.filling_most;
        if !fits {
            self.give_room(bytes);
        }
        fits
    }

    pub(super) fn give_room(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Who fetches.
#[derive(Debug)]
pub(super) enum Joined {
    /// This one.
    Lead(Arc<Flight>),
    /// Another one.
    Wait(Arc<Flight>),
}

/// Buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) key: Vec<u8>,
    pub(super) text: Vec<u8>,
    /// That of the look which left the key.
    pub(super) number: u64,
}

/// One worker's hand in the cache.
#[derive(Debug)]
pub struct CacheHand {
    pub(super) shared: Arc<SharedCache>,
    pub(super) sleepers: Sleepers,
    pub(super) scratch: RefCell<Scratch>,
    pub(super) desk: Option<Desk>,
    own: WorkerId,
}

impl CacheHand {
    /// The hand of worker `own`. `ring` tells another worker that a flight made progress, and is
    /// false if it could not. `seat`: the way to the tier on disk.
    #[must_use]
    pub fn new(
        shared: Arc<SharedCache>,
        own: WorkerId,
        seat: Option<DiskSeat>,
        ring: Box<dyn Fn(WorkerId, u64) -> bool>,
    ) -> Self {
        let sleepers = Sleepers::new(own, Arc::clone(&shared.missed), ring);
        Self { shared, sleepers, scratch: RefCell::default(), desk: seat.map(Desk::new), own }
    }

    /// Another worker's flight made progress.
    pub fn wake(&self, flight: u64) {
        self.sleepers.wake(flight);
    }

    /// Brings what was read from disk to those who wait, until the process ends.
    pub async fn serve(&self) {
        if let Some(desk) = &self.desk {
            desk.serve().await;
        }
    }

    /// Once per tick.
    pub fn housekeep(&self, row: &Row) {
        self.sleepers.catch_up();
        if self.own.0 == 0 {
            let (bytes, keys) = self.shared.filled();
            row.set(Counter::CacheBytes, bytes);
            row.set(Counter::CacheKeys, keys);
            row.set(Counter::CacheEvicted, self.shared.store.evicted());
            if let Some(disk) = &self.shared.disk {
                disk.show(row);
            }
        }
    }

    /// A new flight; `number`: that of the look that led to it.
    pub(super) fn flight(&self, number: u64) -> Arc<Flight> {
        let id = self.shared.flown.fetch_add(1, Ordering::Relaxed);
        Arc::new(Flight::new(id, number, self.own, self.shared.workers))
    }

    /// Fetches, or waits for who does. `flight_key`: of those who wait for the same; `key`: of what is
    /// stored; `number`: that of the look that found nothing.
    pub(super) fn join(&self, flight_key: &[u8], key: &[u8], number: u64) -> Joined {
        let flights = &self.shared.flights;
        let mut made = None;
        let found = flights.get_or_insert_with(flight_key, || {
            let flight = self.flight(number);
            made = Some(Arc::clone(&flight));
            Ok::<_, std::convert::Infallible>(flight)
        });
        let Ok(flight) = found;
        if made.is_some() {
            return Joined::Lead(flight);
        }
        let over = matches!(flight.landing(), Some(Landing::Alone | Landing::Again));
        if over || !self.shared.store.is_current(key, flight.number) {
            let flight = self.flight(number);
            flights.insert(flight_key.into(), Arc::clone(&flight));
            return Joined::Lead(flight);
        }
        Joined::Wait(flight)
    }

    /// Tells who waits what became of a fetch.
    pub(super) fn land(&self, key: &[u8], flight: &Arc<Flight>, landing: Landing) {
        let goes_on = matches!(landing, Landing::Begun(_));
        flight.land(landing);
        if !goes_on {
            self.close(key, flight);
        }
        self.sleepers.progress(flight);
    }

    /// Nobody joins the fetch any more.
    pub(super) fn close(&self, key: &[u8], flight: &Arc<Flight>) {
        self.shared.flights.remove_if(key, |other| Arc::ptr_eq(other, flight));
    }
}
