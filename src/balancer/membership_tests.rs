//! Members that come and go, as workers see it: with the monitor's state, without sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::balancer::availability::Availability;
use crate::balancer::health::PoolHealth;
use crate::balancer::lease::Lease;
use crate::balancer::observer::{Observer, observer};
use crate::balancer::outcome::{Fault, Observation, Outcome};
use crate::balancer::places::{Found, Places};
use crate::balancer::pool::{Home, Pool, Unchosen};
use crate::balancer::shared::SharedPools;
use crate::balancer::staying::Wish;
use crate::balancer::tried::Tried;
use crate::clock::Instant;
use crate::config::PoolConfig;
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::{Messages, Stream};
use crate::stats::Row;

const SERVED: Outcome = Outcome::Answered { status: 200, first_byte: Duration::from_millis(1) };

fn config(places: u16, more: &str) -> PoolConfig {
    let text = format!(
        "[listener.a]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"p\"\n[pool.p]\n\
         members = [{{ address = \"a.test:80\", places = {places} }}]\n{more}\n"
    );
    crate::config::load(&text, "test").expect("a good configuration").config.pools.remove(0)
}

fn now() -> Instant {
    Instant::from_micros(1_000_000)
}

fn found(number: u8) -> Found {
    let address = SocketAddr::from(([10, 0, 0, number], 80));
    Found { address, host: address.to_string().into(), weight: 1, backup: false }
}

fn number(site: &Site) -> u8 {
    match site.address {
        Address::Ip(SocketAddr::V4(v4)) => v4.ip().octets()[3],
        _ => panic!("{site:?}"),
    }
}

/// The control thread's part of a pool.
struct Control {
    places: Places,
    health: PoolHealth,
}

impl Control {
    fn new(config: &PoolConfig, shared: &SharedPools) -> Self {
        let availability: Arc<Availability> = shared.availability().remove(0);
        let health = PoolHealth::new(config, availability, now());
        Self { places: Places::new(config), health }
    }

    fn answer(&mut self, numbers: impl IntoIterator<Item = u8>) {
        let found = numbers.into_iter().map(found).collect();
        let changes = self.places.on_answer(now(), 0, found, |_| false);
        self.health.take(&self.places, &changes, now());
    }

    /// As the monitor does.
    fn observe(&mut self, seen: &Observation) -> bool {
        let is_there = self.places.site(seen.member).is_some_and(|site| site.epoch == seen.epoch);
        if is_there {
            self.health.on_outcome(now(), seen.member, seen.outcome, seen.trial);
        }
        is_there
    }
}

fn pool(config: &PoolConfig, shared: &SharedPools, worker: u16, observer: &Observer) -> Rc<Pool> {
    let ring: Rc<dyn Fn(WorkerId, PoolId)> = Rc::new(|_, _| ());
    let (worker, row) = (WorkerId(worker), &Arc::new(Row::default()));
    let home = Home { worker, row, observer, clock: now, seed: 1, ring: &ring };
    Rc::new(Pool::new(PoolId(0), config, &shared.pools[0], home))
}

fn lease(pool: &Rc<Pool>, key: u64) -> Result<Lease, Unchosen> {
    let chosen = pool.choose(Wish { key, member: None }, &Tried::default())?;
    Ok(Lease::new(Rc::clone(pool), chosen).expect("who was chosen is there"))
}

/// All servers are replaced over and over while workers choose: nobody ever finds the pool empty,
/// nor a server that was replaced before the last one.
#[test]
fn no_worker_meets_an_empty_pool() {
    for (places, balance) in
        [(1, "\"round-robin\""), (2, "\"least-time\""), (3, "{ hash = \"path\" }")]
    {
        let config = config(places, &format!("balance = {balance}"));
        let shared = SharedPools::new(std::slice::from_ref(&config), 2);
        let mut control = Control::new(&config, &shared);
        control.answer([1]);
        let (over, chosen, round) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for worker in 0..2 {
                let (over, chosen, round) = (&over, &chosen, &round);
                let (config, shared) = (&config, &shared);
                scope.spawn(move || {
                    let (observer, _observations) = observer().expect("two descriptors");
                    let pool = pool(config, shared, worker, &observer);
                    let mut key = 0;
                    while !over.load(Ordering::SeqCst) {
                        let before = round.load(Ordering::SeqCst);
                        let lease = lease(&pool, key).expect("somebody is there at all times");
                        let after = round.load(Ordering::SeqCst);
                        let seen = u64::from(number(lease.site()));
                        // The round that is shown is over when it is shown; the next may be done.
                        let may: BTreeSet<u64> =
                            (before..=after + 1).map(|r| r % 200 + 1).collect();
                        assert!(may.contains(&seen), "{seen} is not one of {may:?}");
                        lease.finish(SERVED);
                        key = key.wrapping_add(0x9E37_79B9_7F4A_7C15u64);
                        chosen.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for next in 1..if places == 3 { 60 } else { 3000 } {
                let enough = chosen.load(Ordering::SeqCst);
                control.answer([(next % 200 + 1) as u8]);
                round.store(next, Ordering::SeqCst);
                // So that the workers have their turn; one that has failed has none.
                let mut patience = 100_000;
                while next % 50 == 0 && chosen.load(Ordering::SeqCst) == enough && patience > 0 {
                    patience -= 1;
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        assert!(chosen.load(Ordering::SeqCst) > 0);
    }
}

#[test]
fn a_pool_without_an_address_says_so() {
    let config = config(2, "");
    let shared = SharedPools::new(std::slice::from_ref(&config), 1);
    let mut control = Control::new(&config, &shared);
    let (observer, _observations) = observer().unwrap();
    let pool = pool(&config, &shared, 0, &observer);
    assert_eq!(lease(&pool, 0).unwrap_err(), Unchosen::Deserted);
    assert_eq!((control.health.available(), control.health.not_in()), (0, 0));
    control.answer([1]);
    assert_eq!(number(lease(&pool, 0).unwrap().site()), 1);
    assert_eq!((control.health.available(), control.health.not_in()), (1, 0));
}

#[test]
fn failures_of_who_has_left_are_nobody_elses() {
    let config = config(1, "eject = { failures = 1 }");
    let shared = SharedPools::new(std::slice::from_ref(&config), 1);
    let mut control = Control::new(&config, &shared);
    let (observer, observations) = observer().unwrap();
    let (observed, _bell) = observations.inbox.open().unwrap();
    let pool = pool(&config, &shared, 0, &observer);
    control.answer([1]);
    let (early, late) = (lease(&pool, 0).unwrap(), lease(&pool, 0).unwrap());
    // Told before the place changes hands, heard after it.
    early.finish(Outcome::Failed(Fault::Reset));
    control.answer([2]);
    assert_eq!(number(lease(&pool, 0).unwrap().site()), 2);
    let mut heard = 0;
    observed.drain(|seen| {
        heard += 1;
        assert!(!control.observe(&seen), "{seen:?}");
    });
    assert_eq!(heard, 1);
    late.finish(Outcome::Failed(Fault::Reset));
    observed.drain(|seen| panic!("told of who has left: {seen:?}"));
}

/// What is left of an observation that the monitor has not heard yet.
fn hear(observed: &Messages<Observation>, control: &mut Control) {
    observed.drain(|seen| {
        control.observe(&seen);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_is_chosen_is_there(
        steps in proptest::collection::vec((0u8..8, any::<u16>()), 1..200),
        balance in 0usize..5, places in 1u16..5, workers in 1u16..4,
    ) {
        let balances = ["\"round-robin\"", "\"least-connections\"", "\"least-time\"", "\"random-two\"", "{ hash = \"path\" }"];
        let more = format!("balance = {}\neject = {{ failures = 2 }}\nslow_start = \"1s\"", balances[balance]);
        let config = config(places, &more);
        let shared = SharedPools::new(std::slice::from_ref(&config), workers.into());
        let mut control = Control::new(&config, &shared);
        let (observer, observations) = observer().unwrap();
        let (observed, _bell) = observations.inbox.open().unwrap();
        let pools: Vec<_> = (0..workers).map(|worker| pool(&config, &shared, worker, &observer)).collect();
        let mut leases = Vec::new();
        let mut here = BTreeSet::new();
        for (tick, (step, chance)) in (0u32..).zip(steps) {
            Stream::set_tick(tick);
            let pool = &pools[usize::from(chance % workers)];
            match step {
                0 => {
                    let numbers: BTreeSet<u8> =
                        (0..8).filter(|bit| chance >> bit & 1 == 1).map(|bit| bit + 1).collect();
                    control.answer(numbers);
                    here = (0..places).filter_map(|at| control.places.site(MemberId(at))).map(number).collect();
                }
                1..4 => match lease(pool, chance.into()) {
                    Ok(lease) => {
                        prop_assert!(here.contains(&number(lease.site())), "{:?}", here);
                        leases.push(lease);
                    }
                    Err(Unchosen::Deserted) => prop_assert!(here.is_empty()),
                    Err(_) => prop_assert_eq!(control.health.available(), 0),
                },
                4 if !leases.is_empty() => {
                    leases.swap_remove(usize::from(chance) % leases.len()).finish(SERVED);
                }
                5 if !leases.is_empty() => {
                    let lease = leases.swap_remove(usize::from(chance) % leases.len());
                    lease.finish(Outcome::Failed(Fault::Reset));
                }
                6 => hear(&observed, &mut control),
                _ => pool.housekeep(tick),
            }
        }
        drop(leases);
        for at in (0..places).map(MemberId) {
            prop_assert_eq!(shared.in_flight(PoolId(0), at), 0);
        }
    }
}
