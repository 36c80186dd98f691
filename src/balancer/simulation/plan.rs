//! What a seed means: a pool's configuration, its members' troubles, the clients.

use std::net::SocketAddr;
use std::time::Duration;

use super::fake::Script;
use crate::balancer::health::Admin;
use crate::config::{
    Balance, Comparison, EjectConfig, FailureSet, HashKey, HealthConfig, KeepaliveConfig,
    LatencyConfig, MemberAddress, MemberConfig, MemberState, Panic, PoolConfig, PoolTimeouts,
    Probe, QueueConfig, RetryConfig, SameSite, Secret, StickyConfig, StickyKey, SuccessRateConfig,
};
use crate::ids::MemberId;
use crate::rng::Rng;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A run before it runs. Times are in microseconds.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) config: PoolConfig,
    pub(super) workers: u16,
    pub(super) scripts: Vec<Script>,
    /// A member that stays dead.
    pub(super) corpse: Option<MemberId>,
    /// Until when members, clients and operators misbehave.
    pub(super) storm: u64,
    /// Until when requests come.
    pub(super) quiet: u64,
    /// By when everything has ended.
    pub(super) end: u64,
    /// Between two arrivals in the storm, on average.
    pub(super) gap: u64,
    /// What a message between threads takes at the most.
    pub(super) delay: u64,
    /// Some rings between workers do not arrive.
    pub(super) loses_rings: bool,
    /// What the operator does.
    pub(super) orders: Vec<(u64, MemberId, Admin)>,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let count = 1 + rng.below(6) as u16;
        let config = pool(rng, count);
        let storm = 1_000_000 + rng.below(3_000_000);
        // A dead member is sure to be out at the end only if it is probed.
        let corpse = (config.health.is_some() && count > 1 && rng.below(4) == 0)
            .then(|| MemberId(rng.below(u64::from(count)) as u16));
        let mut script = |id| Script::new(rng, storm, corpse == Some(MemberId(id)));
        let scripts = (0..count).map(&mut script).collect();
        // The longest time out, a trial that was lost, probes, a slow start.
        let settle = ms(10_500).as_micros() as u64;
        let mut orders = Vec::new();
        for _ in 0..rng.below(4) {
            let member = MemberId(rng.below(u64::from(count)) as u16);
            let admin = if rng.below(2) == 0 { Admin::Drain } else { Admin::Maintenance };
            let from = rng.below(storm);
            orders.push((from, member, admin));
            orders.push((from + rng.below(storm - from), member, Admin::Ready));
        }
        Self {
            seed,
            workers: 1 + rng.below(4) as u16,
            scripts,
            corpse,
            storm,
            quiet: storm + settle,
            end: storm + settle + 10_000_000,
            gap: 2_000 + rng.below(15_000),
            delay: rng.below(5_000),
            loses_rings: seed % 2 == 1,
            orders,
            config,
        }
    }
}

/// A cookie, which nobody looks at: where clients stay.
fn sticky(rng: &mut Rng) -> Option<StickyConfig> {
    (rng.below(3) == 0).then(|| StickyConfig {
        cookie: "stays".to_owned(),
        key: StickyKey::Text(Secret::new(&[7; 32])),
        max_age: None,
        path: "/".to_owned(),
        same_site: SameSite::Lax,
        secure: false,
    })
}

fn comparison(rng: &mut Rng) -> Comparison {
    Comparison {
        interval: ms(100 + rng.below(200)),
        requests: 1 + rng.below(5) as u32,
        members: 2 + rng.below(2) as u32,
    }
}

fn success_rate(rng: &mut Rng) -> Option<SuccessRateConfig> {
    let worse_by = rng.below(20) as u8;
    (rng.below(3) > 0).then(|| SuccessRateConfig { compare: comparison(rng), worse_by })
}

fn latency(rng: &mut Rng) -> Option<LatencyConfig> {
    (rng.below(3) > 0).then(|| LatencyConfig {
        compare: comparison(rng),
        factor: 2,
        intervals: 1 + rng.below(2) as u32,
        // A healthy one takes less.
        least: ms(10),
    })
}

fn pool(rng: &mut Rng, count: u16) -> PoolConfig {
    let mut chance = |one_in: u64| rng.below(one_in) == 0;
    let (bounded, backups, probed, ejects) = (chance(2), chance(3), !chance(4), !chance(6));
    let on = FailureSet {
        connect: true,
        reset: true,
        timeout: !chance(5),
        bad_answer: true,
        statuses: if chance(3) { vec![503] } else { Vec::new() },
    };
    let narrow = FailureSet { connect: true, ..FailureSet::default() };
    let retry_on = if chance(6) { narrow.clone() } else { on.clone() };
    let eject_on = if chance(6) { narrow } else { on };
    let start_down = chance(5);
    let member = |id: u16| MemberConfig {
        address: MemberAddress::Ip(SocketAddr::from(([10, 0, 0, id as u8 + 1], 80))),
        places: 1,
        weight: if id > 0 && rng.below(10) == 0 { 0 } else { 1 + rng.below(4) as u16 },
        max_connections: (bounded && rng.below(5) > 0).then(|| 1 + rng.below(4) as u32),
        state: MemberState::Ready,
        backup: backups && id > 0 && rng.below(3) == 0,
    };
    let members = (0..count).map(member).collect();
    let interval = ms(50 + rng.below(200));
    let max_connections = (rng.below(4) == 0).then(|| 1 + rng.below(8) as u32);
    let sticky = sticky(rng);
    PoolConfig {
        max_connections,
        name: "main".to_owned(),
        balance: balance(rng.below(5)),
        sticky,
        members,
        keepalive: KeepaliveConfig {
            idle: 0,
            idle_timeout: ms(1000),
            max_age: ms(1000),
            max_requests: None,
        },
        timeouts: PoolTimeouts { connect: ms(50), response: ms(100 + rng.below(500)) },
        health: probed.then(|| HealthConfig {
            probe: Probe::Tcp,
            interval,
            timeout: interval / 2,
            fall: 1 + rng.below(4) as u32,
            rise: 1 + rng.below(4) as u32,
            port: None,
            start_down,
        }),
        eject: ejects.then(|| EjectConfig {
            failures: (rng.below(2) > 0).then(|| 1 + rng.below(5) as u32),
            window: ms(100 + rng.below(3000)),
            out_for: ms(50 + rng.below(450)),
            on: eject_on,
            max_share: rng.below(101) as u8,
            success_rate: success_rate(rng),
            latency: latency(rng),
        }),
        queue: QueueConfig { length: rng.below(60) as usize, timeout: ms(50 + rng.below(1000)) },
        retry: (rng.below(6) > 0).then(|| retry(rng, retry_on)),
        panic: if rng.below(3) == 0 { Panic::UseAll } else { Panic::Refuse },
        proxy_protocol: None,
        slow_start: if rng.below(3) == 0 { ms(rng.below(2000)) } else { Duration::ZERO },
        tls: None,
    }
}

fn balance(number: u64) -> Balance {
    match number {
        0 => Balance::RoundRobin,
        1 => Balance::LeastConnections,
        2 => Balance::LeastTime,
        3 => Balance::RandomTwo,
        _ => Balance::Hash(HashKey::Path),
    }
}

fn retry(rng: &mut Rng, on: FailureSet) -> RetryConfig {
    RetryConfig {
        on,
        attempts: 1 + rng.below(4) as u32,
        budget: rng.below(101) as u8,
        floor: rng.below(20) as u32,
        deadline: ms(100 + rng.below(2000)),
        try_timeout: None,
        idempotency_key: false,
        body: 0,
    }
}
