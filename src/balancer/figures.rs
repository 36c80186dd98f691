//! What an operator may ask of the pools while workers use them: figures of this moment, read
//! without stopping anybody, and so not all of the same instant.

use std::time::Duration;

use super::availability::Standing;
use super::shared::SharedPools;
use crate::ids::{MemberId, PoolId};

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberFigures {
    /// What workers are told of it.
    pub standing: Standing,
    /// An operator wants no new requests there.
    pub barred: bool,
    /// Exchanges in flight over all workers.
    pub in_flight: u32,
    /// Of its `max_connections`; `None`: it has none.
    pub slots_in_use: Option<u32>,
    /// Its median of about the last ten seconds; `None`: not measured.
    pub latency: Option<Duration>,
}

/// One pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFigures {
    /// Requests that wait for a member, over all workers.
    pub waiting: u64,
    /// Of its `max_connections`; `None`: it has none.
    pub slots_in_use: Option<u32>,
}

impl Standing {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Trial => "trial",
            Self::Drain => "drain",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::In, Self::Out, Self::Trial, Self::Drain];
}

impl SharedPools {
    /// The figures of a member; `None`: there is no such pool.
    #[must_use]
    pub fn member_figures(&self, pool: PoolId, member: MemberId) -> Option<MemberFigures> {
        let pool = self.pools.get(pool.index())?;
        let latency = pool.latency.micros(member);
        Some(MemberFigures {
            standing: pool.availability.standing(member),
            barred: pool.availability.is_barred(member),
            in_flight: pool.in_flight.total(member),
            slots_in_use: pool.slots.is_bounded(member).then(|| pool.slots.in_use(member)),
            latency: latency.map(|micros| Duration::from_micros(micros.into())),
        })
    }

    /// The figures of a pool.
    #[must_use]
    pub fn pool_figures(&self, pool: PoolId) -> Option<PoolFigures> {
        let pool = self.pools.get(pool.index())?;
        let slots = &pool.slots;
        Some(PoolFigures {
            waiting: pool.waiting.total(),
            slots_in_use: slots.is_pool_bounded().then(|| slots.in_use_by_all()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::ids::WorkerId;

    #[test]
    fn figures_are_over_all_workers() {
        let text = "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\npool = \"a\"\n[pool.a]\nmax_connections = 9\n\
             members = [{ address = \"127.0.0.1:1\", max_connections = 3 }, \"127.0.0.1:2\"]\n";
        let config = load(text, "test").unwrap().config;
        let shared = SharedPools::new(&config.pools, 2);
        let (pool, first, second) = (PoolId(0), MemberId(0), MemberId(1));
        let inner = &shared.pools[0];
        for worker in [WorkerId(0), WorkerId(1)] {
            inner.in_flight.enter(worker, first);
            assert!(inner.slots.try_take(first).is_taken());
            inner.waiting.sleep(worker);
        }
        let figures = shared.member_figures(pool, first).unwrap();
        let expected = MemberFigures {
            standing: Standing::In,
            barred: false,
            in_flight: 2,
            slots_in_use: Some(2),
            latency: None,
        };
        assert_eq!(figures, expected);
        assert_eq!(shared.member_figures(pool, second).unwrap().slots_in_use, None);
        assert_eq!(
            shared.pool_figures(pool),
            Some(PoolFigures { waiting: 2, slots_in_use: Some(2) })
        );
        assert_eq!(shared.member_figures(PoolId(1), first), None);
    }
}
