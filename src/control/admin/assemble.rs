//! From counters, figures and states to views.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::view::{
    CountView, EvidenceView, ListenerView, MemberView, PoolView, ReadyView, SeenView, StatsView,
    TransitionView,
};
use super::{Occupant, Process};
use crate::balancer::Standing;
use crate::balancer::health::{PassiveState, Seen, Transition, What};
use crate::clock::{self, Instant};
use crate::config::{PoolConfig, Speaks};
use crate::control::desk::{MemberState, NoAnswer};
use crate::ids::{ListenerId, MemberId, PoolId};
use crate::proxy::Decision;
use crate::stats::{Counter, Reason, Row};

/// What time it is by both clocks.
#[derive(Clone, Copy)]
struct Now {
    monotonic: Instant,
    unix: Duration,
}

impl Now {
    fn read() -> Self {
        Self { monotonic: clock::now(), unix: clock::unix() }
    }

    /// In seconds since 1970, to the millisecond.
    fn unix_of(self, at: Instant) -> f64 {
        let unix = if at > self.monotonic {
            self.unix.saturating_add(at.since(self.monotonic))
        } else {
            self.unix.saturating_sub(self.monotonic.since(at))
        };
        unix.as_millis() as f64 / 1000.0
    }
}

impl Process {
    pub(super) fn uptime(&self) -> Duration {
        clock::now().since(self.started)
    }

    pub(super) fn stats(&self) -> StatsView {
        let counter = |counter: &Counter| {
            let count = count(&self.rows, &self.control, |row| row.get(*counter));
            (counter.name().to_owned(), count)
        };
        let error = |reason: &Reason| {
            let count = count(&self.rows, &self.control, |row| row.errors(*reason));
            (format!("{}_{}", reason.side().word(), reason.code()), count)
        };
        StatsView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.uptime().as_secs(),
            draining: self.is_draining(),
            workers: self.rows.len(),
            counters: Counter::ALL.iter().map(counter).collect(),
            errors: Reason::ALL.iter().map(error).collect(),
            listeners: self.listeners().collect(),
            rules: self.rules(),
        }
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = ListenerView> {
        let listeners = (0u16..).map(ListenerId).zip(&self.config.listeners);
        let listeners = listeners.filter(|(_, listener)| listener.speaks() != Speaks::Udp);
        listeners.map(|(id, listener)| ListenerView {
            name: listener.name.clone(),
            connections: self.occupancy.of(id).collect(),
            imbalance: self.occupancy.imbalance(id),
        })
    }

    fn rules(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let decisions = self.guards.iter().flat_map(|guards| guards.decisions());
        let words = Decision::ALL.map(|decision| decision.word().to_owned());
        decisions
            .map(|(name, counts)| {
                (name.to_owned(), words.clone().into_iter().zip(counts).collect())
            })
            .collect()
    }

    pub(super) async fn pool_view(
        &self,
        id: PoolId,
        pool: &PoolConfig,
    ) -> Result<PoolView, NoAnswer> {
        let (states, now) = (self.desk.pool(id).await?, Now::read());
        let states: HashMap<MemberId, MemberState> = states.into_iter().collect();
        let occupants = self.occupants(id, pool).into_iter();
        let members =
            occupants.filter_map(|member| self.member(id, &member, *states.get(&member.id)?, now));
        let figures = self.shared.pool_figures(id);
        Ok(PoolView {
            name: pool.name.clone(),
            available: self.available(id, pool),
            waiting: figures.map_or(0, |figures| figures.waiting),
            max_connections: pool.max_connections,
            slots_in_use: figures.and_then(|figures| figures.slots_in_use),
            members: members.collect(),
        })
    }

    pub(super) async fn evidence_view(
        &self,
        id: PoolId,
        pool: &PoolConfig,
        member: MemberId,
    ) -> Result<EvidenceView, NoAnswer> {
        let (state, seen) = self.desk.member(id, member).await?;
        let now = Now::read();
        let mut occupants = self.occupants(id, pool).into_iter();
        let member = occupants.find(|other| other.id == member).ok_or(NoAnswer)?;
        let member = self.member(id, &member, state, now).ok_or(NoAnswer)?;
        Ok(EvidenceView {
            member,
            evidence: seen.iter().map(|seen| seen_view(seen, now)).collect(),
        })
    }

    /// Members that are in and have a weight.
    pub(super) fn available(&self, id: PoolId, pool: &PoolConfig) -> usize {
        let Some(standings) = self.standings.get(id.index()) else { return 0 };
        let serves = |member: &Occupant<'_>| {
            member.config.weight > 0 && standings.standing(member.id) == Standing::In
        };
        self.occupants(id, pool).iter().filter(|member| serves(member)).count()
    }

    pub(super) fn ready(&self) -> ReadyView {
        let pools = (0u16..).map(PoolId).zip(&self.config.pools);
        let without = pools.filter(|(id, pool)| self.available(*id, pool) == 0);
        let pools_without_member: Vec<_> = without.map(|(_, pool)| pool.name.clone()).collect();
        let draining = self.is_draining();
        ReadyView {
            ready: !draining && pools_without_member.is_empty(),
            draining,
            pools_without_member,
        }
    }

    fn member(
        &self,
        id: PoolId,
        member: &Occupant<'_>,
        state: MemberState,
        now: Now,
    ) -> Option<MemberView> {
        let config = member.config;
        let figures = self.shared.member_figures(id, member.id)?;
        let ejected_until = match state.requests {
            PassiveState::Ejected { until } => Some(now.unix_of(until)),
            PassiveState::In | PassiveState::Trial { .. } => None,
        };
        Some(MemberView {
            address: member.address.clone(),
            name: config.address.is_resolved().then(|| config.address.to_string()),
            weight: config.weight,
            backup: config.backup,
            standing: state.standing.word().to_owned(),
            admin: state.admin.phase().word().to_owned(),
            probes: state.probes.map(|probes| probes.phase().word().to_owned()),
            probes_in_a_row: state.probes.and_then(|probes| probes.in_a_row()),
            requests: state.requests.phase().word().to_owned(),
            ejected_until,
            in_flight: figures.in_flight,
            max_connections: config.max_connections,
            slots_in_use: figures.slots_in_use,
            latency_us: figures.latency.map(clock::micros),
            last_transition: state.last.map(|last| transition(&last, now)),
        })
    }
}

fn count(rows: &[Arc<Row>], control: &Row, value: impl Fn(&Row) -> u64) -> CountView {
    let workers: Vec<u64> = rows.iter().map(|row| value(row)).collect();
    let control = value(control);
    let total = workers.iter().fold(control, |sum, value| sum.wrapping_add(*value));
    CountView { total, workers, control }
}

fn transition(moved: &Transition, now: Now) -> TransitionView {
    TransitionView {
        at: now.unix_of(moved.at),
        from: moved.from.word().to_owned(),
        to: moved.to.word().to_owned(),
        cause: moved.cause.to_string(),
    }
}

fn seen_view(seen: &Seen, now: Now) -> SeenView {
    let kind = match seen.what {
        What::Probe(_) => "probe",
        What::Request { trial: false, .. } => "request",
        What::Request { trial: true, .. } => "trial",
        What::Outlier(_) => "outlier",
    };
    SeenView { at: now.unix_of(seen.at), kind: kind.to_owned(), outcome: seen.what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_become_times_of_day() {
        let monotonic = Instant::from_micros(5_000_000);
        let now = Now { monotonic, unix: Duration::from_secs(1000) };
        let cases = [(5_000_000, 1000.0), (3_500_000, 998.5), (6_250_000, 1001.25)];
        for (micros, expected) in cases {
            assert_eq!(now.unix_of(Instant::from_micros(micros)), expected);
        }
    }
}
