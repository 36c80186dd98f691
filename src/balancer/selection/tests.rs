//! What every algorithm must keep to, and the stage on which their own tests play.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::super::latency::{Latency, SharedLatency};
use super::*;
use crate::config::HashKey;
use crate::rng::Rng;

/// A pool of members, all allowed, none busy.
pub(super) struct Setup {
    pub(super) weights: Vec<u16>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) latency: Latency,
    in_flight: InFlight,
    tried: Tried,
    allowed: Allowed,
}

impl Setup {
    pub(super) fn new(weights: &[u16]) -> Self {
        let count = weights.len();
        let mut allowed = Allowed::new(count);
        (0u16..).take(count).for_each(|member| allowed.set(MemberId(member)));
        let shared = Arc::new(SharedLatency::new(1, count));
        Self {
            weights: weights.to_vec(),
            addresses: addresses(count),
            latency: Latency::new(shared, WorkerId(0)),
            in_flight: InFlight::new(2, count),
            tried: Tried::default(),
            allowed,
        }
    }

    /// Members by weight and exchanges in flight.
    pub(super) fn loaded(members: &[(u16, u32)]) -> Self {
        let weights: Vec<u16> = members.iter().map(|member| member.0).collect();
        let setup = Self::new(&weights);
        for (member, (_, load)) in (0u16..).zip(members) {
            setup.enter(member, *load);
        }
        setup
    }

    pub(super) fn enter(&self, member: u16, times: u32) {
        (0..times).for_each(|_| self.in_flight.enter(WorkerId(0), MemberId(member)));
    }

    pub(super) fn enter_elsewhere(&self, member: u16, times: u32) {
        (0..times).for_each(|_| self.in_flight.enter(WorkerId(1), MemberId(member)));
    }

    pub(super) fn leave(&self, member: u16) {
        self.in_flight.leave(WorkerId(0), MemberId(member));
    }

    pub(super) fn forbid(&mut self, member: u16) {
        let rest: Vec<u16> = (0u16..)
            .take(self.weights.len())
            .filter(|other| *other != member && self.allowed.contains(MemberId(*other)))
            .collect();
        self.allowed.clear();
        rest.into_iter().for_each(|other| self.allowed.set(MemberId(other)));
    }

    pub(super) fn try_once(&mut self, member: u16) {
        assert!(self.tried.add(MemberId(member)), "the list is full");
    }

    pub(super) fn candidates(&self, key: u64) -> Candidates<'_> {
        Candidates {
            weights: &self.weights,
            in_flight: &self.in_flight,
            latency: self.latency.view(),
            tried: &self.tried,
            allowed: &self.allowed,
            key,
        }
    }
}

/// So many different ones.
pub(super) fn addresses(count: usize) -> Vec<SocketAddr> {
    let address = |number: u16| SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 80));
    (0u16..).take(count).map(address).collect()
}

/// Counts are in proportion to `weights`, each to the part `tolerance` of what it should be.
pub(super) fn assert_shares(counts: &[usize], weights: &[u16], tolerance: f64) {
    let all = counts.iter().sum::<usize>() as f64;
    let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    for (member, weight) in weights.iter().enumerate() {
        let expected = all * f64::from(*weight) / sum;
        let off = (counts[member] as f64 - expected).abs();
        assert!(off <= expected * tolerance, "member {member}: {counts:?} for {weights:?}");
    }
}

fn selector(
    balance: &Balance,
    addresses: &[SocketAddr],
    weights: &[u16],
    worker: WorkerId,
) -> Selector {
    Selector::new(balance, Some(&Arc::new(Hash::new(addresses, weights))), weights, worker)
}

pub(super) const ALL: [Balance; 5] = [
    Balance::RoundRobin,
    Balance::LeastConnections,
    Balance::LeastTime,
    Balance::RandomTwo,
    Balance::Hash(HashKey::Path),
];

#[derive(Clone, Debug)]
struct Drawn {
    configured: u16,
    /// Of the configured weight, in percent.
    now: u16,
    allowed: bool,
    tried: bool,
    load: u32,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let weight = prop_oneof![1 => Just(0u16), 6 => 1u16..20, 1 => Just(u16::MAX)];
    let now = prop_oneof![3 => Just(100u16), 1 => 0u16..100];
    let parts = (weight, now, prop::bool::weighted(0.6), prop::bool::weighted(0.1), 0u32..4);
    parts.prop_map(|(configured, now, allowed, tried, load)| Drawn {
        configured,
        now,
        allowed,
        tried,
        load,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn only_the_eligible_are_chosen_and_somebody_is_if_there_is_one(
        members in proptest::collection::vec(drawn(), 1..30), seed: u64, worker in 0u16..40,
    ) {
        let configured: Vec<u16> = members.iter().map(|member| member.configured).collect();
        let mut setup = Setup::new(&configured);
        let mut eligible = Vec::new();
        let mut tried = 0;
        for (id, member) in (0u16..).zip(&members) {
            let now = (u32::from(member.configured) * u32::from(member.now) / 100) as u16;
            setup.weights[usize::from(id)] = now;
            setup.enter(id, member.load);
            let is_tried = member.tried && tried < 7;
            if is_tried {
                setup.try_once(id);
                tried += 1;
            }
            if !member.allowed {
                setup.forbid(id);
            }
            if now > 0 && member.allowed && !is_tried {
                eligible.push(MemberId(id));
            }
        }
        let mut rng = Rng::new(seed);
        for balance in &ALL {
            let mut selector =
                selector(balance, &setup.addresses, &configured, WorkerId(worker));
            for _ in 0..200 {
                let key = rng.next();
                let chosen = selector.choose(&setup.candidates(key), &mut rng);
                match chosen {
                    Some(member) => prop_assert!(eligible.contains(&member), "{:?}", balance),
                    None => prop_assert!(eligible.is_empty(), "{:?}", balance),
                }
            }
        }
    }
}

#[test]
fn a_pool_of_the_largest_size_is_served() {
    let setup = Setup::new(&[1; 4096]);
    let mut rng = Rng::new(2);
    for balance in &ALL {
        let mut selector = selector(balance, &setup.addresses, &setup.weights, WorkerId(4095));
        let mut seen = vec![false; 4096];
        for _ in 0..200 {
            let key = rng.next();
            let member = selector.choose(&setup.candidates(key), &mut rng).expect("all may serve");
            seen[member.index()] = true;
        }
        let different = seen.into_iter().filter(|seen| *seen).count();
        assert!(different > 180, "{balance:?}: {different}");
    }
}
