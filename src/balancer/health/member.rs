//! One member: what probes, requests and the operator say, combined into one standing.

use super::evidence::{Evidence, ProbeResult, What};
use super::passive::{Due, Passive, PassiveState, Verdict};
use super::state::Health;
use super::transition::{Cause, Phase, Transition};
use crate::balancer::{Outcome, Standing};
use crate::clock::Instant;
use crate::config::{MemberState, PoolConfig};

/// What the operator wants of a member, whatever its health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admin {
    /// Requests, if it is fit for them.
    #[default]
    Ready,
    /// No new requests; what is under way goes on.
    Drain,
    /// No requests at all.
    Maintenance,
}

impl From<MemberState> for Admin {
    fn from(state: MemberState) -> Self {
        match state {
            MemberState::Ready => Self::Ready,
            MemberState::Drain => Self::Drain,
            MemberState::Maintenance => Self::Maintenance,
        }
    }
}

impl Admin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Drain, Self::Maintenance];

    /// As a state of a member.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Ready => Phase::Ready,
            Self::Drain => Phase::Drain,
            Self::Maintenance => Phase::Maintenance,
        }
    }
}

/// One member's health and the evidence for it.
#[derive(Clone, Debug)]
pub struct Member {
    active: Option<Health>,
    passive: Option<Passive>,
    admin: Admin,
    evidence: Evidence,
}

impl Member {
    /// A member of which nothing is known but what the operator wants of it.
    #[must_use]
    pub fn new(pool: &PoolConfig, admin: Admin) -> Self {
        // By then a request that tried the member has got an answer, or its pool has given it up;
        // long bodies and routes with more patience apart, and a second trial beside one of those does no harm.
        let patience =
            pool.timeouts.connect.saturating_add(pool.timeouts.response).saturating_mul(2);
        Self {
            active: pool.health.as_ref().map(Health::new),
            passive: pool.eject.clone().map(|rule| Passive::new(rule, patience)),
            admin,
            evidence: Evidence::default(),
        }
    }

    /// The same, of which the operator wants something else.
    #[must_use]
    pub fn under(self, admin: Admin) -> Self {
        Self { admin, ..self }
    }

    /// What workers are to know. The strictest of the three wins: out, then drain, then trial.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let up = self.active.as_ref().is_none_or(Health::is_up);
        match (self.admin, up, self.requests()) {
            (Admin::Maintenance, _, _) | (_, false, _) | (_, _, PassiveState::Ejected { .. }) => {
                Standing::Out
            }
            (Admin::Drain, true, _) => Standing::Drain,
            (Admin::Ready, true, PassiveState::Trial { .. }) => Standing::Trial,
            (Admin::Ready, true, PassiveState::In) => Standing::In,
        }
    }

    /// What its requests tell.
    #[must_use]
    pub fn requests(&self) -> PassiveState {
        self.passive.as_ref().map_or(PassiveState::In, Passive::state)
    }

    /// What its probes tell; `None`: it is not probed.
    #[must_use]
    pub const fn probes(&self) -> Option<&Health> {
        self.active.as_ref()
    }

    /// What the operator wants of it.
    #[must_use]
    pub const fn admin(&self) -> Admin {
        self.admin
    }

    /// The last things that were seen of it.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// When the time alone may change something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.passive.as_ref()?.due()
    }

    /// Takes the result of a probe.
    pub fn on_probe(&mut self, now: Instant, result: ProbeResult) -> Option<Transition> {
        self.evidence.add(now, What::Probe(result));
        self.active.as_mut()?.on_probe(now, result)
    }

    /// Takes the outcome of a request. `may_eject`: whether the pool can do without the member.
    pub fn on_outcome(
        &mut self,
        now: Instant,
        outcome: Outcome,
        trial: bool,
        may_eject: bool,
    ) -> Verdict {
        self.evidence.add(now, What::Request { outcome, trial });
        match &mut self.passive {
            Some(passive) => passive.on_outcome(now, outcome, trial, may_eject),
            None => Verdict::Same,
        }
    }

    /// Takes notice that others are much better: as [`Passive::on_outlier`].
    pub(super) fn on_outlier(
        &mut self,
        now: Instant,
        cause: Cause,
        repeats: u32,
        may_eject: bool,
    ) -> Verdict {
        self.evidence.add(now, What::Outlier(cause));
        match &mut self.passive {
            Some(passive) => passive.on_outlier(now, cause, repeats, may_eject),
            None => Verdict::Same,
        }
    }

    pub(super) fn on_time(&mut self, now: Instant, trial_taken: bool) -> Due {
        self.passive.as_mut().map_or(Due::Same, |passive| passive.on_time(now, trial_taken))
    }

    /// Does what the operator wants.
    pub fn administer(&mut self, now: Instant, admin: Admin) -> Option<Transition> {
        let (from, to) = (self.admin.phase(), admin.phase());
        self.admin = admin;
        let cause = Cause::Operator;
        (from != to).then_some(Transition { at: now, from, to, cause })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::evidence::ProbeFailure;
    use super::*;
    use crate::balancer::Fault;
    use crate::config::{
        Balance, EjectConfig, FailureSet, HealthConfig, KeepaliveConfig, MemberAddress,
        MemberConfig, Panic, PoolTimeouts, Probe, QueueConfig,
    };

    /// A pool with as many members as weights, fall and rise 2, two failures in 10 s, out for 5 s.
    pub(in super::super) fn config(weights: &[u16], max_share: u8) -> PoolConfig {
        let member = |weight: &u16| MemberConfig {
            address: MemberAddress::Ip(SocketAddr::from(([127, 0, 0, 1], 80))),
            places: 1,
            weight: *weight,
            max_connections: None,
            backup: false,
            state: MemberState::Ready,
        };
        let (second, ten) = (Duration::from_secs(1), Duration::from_secs(10));
        PoolConfig {
            name: "main".to_owned(),
            balance: Balance::RoundRobin,
            sticky: None,
            members: weights.iter().map(member).collect(),
            max_connections: None,
            keepalive: KeepaliveConfig {
                idle: 0,
                idle_timeout: ten,
                max_age: ten,
                max_requests: None,
            },
            timeouts: PoolTimeouts { connect: second, response: ten },
            health: Some(HealthConfig {
                probe: Probe::Tcp,
                interval: 2 * second,
                timeout: second,
                fall: 2,
                rise: 2,
                port: None,
                start_down: false,
            }),
            eject: Some(EjectConfig {
                failures: Some(2),
                window: ten,
                out_for: 5 * second,
                on: FailureSet { reset: true, ..FailureSet::default() },
                max_share,
                success_rate: None,
                latency: None,
            }),
            queue: QueueConfig { length: 0, timeout: second },
            retry: None,
            panic: Panic::Refuse,
            proxy_protocol: None,
            slow_start: Duration::ZERO,
            tls: None,
        }
    }

    #[test]
    fn the_strictest_word_counts() {
        use Standing::{Drain, In, Out, Trial};
        // Probes (up, down), requests (in, ejected, trial), operator (ready, drain, maintenance).
        let table = [
            (true, [[In, Drain, Out], [Out, Out, Out], [Trial, Drain, Out]]),
            (false, [[Out; 3], [Out; 3], [Out; 3]]),
        ];
        let reset = Outcome::Failed(Fault::Reset);
        let now = Instant::from_micros(0);
        for (up, rows) in table {
            for (requests, row) in rows.into_iter().enumerate() {
                for (admin, expected) in
                    [Admin::Ready, Admin::Drain, Admin::Maintenance].into_iter().zip(row)
                {
                    let mut member = Member::new(&config(&[1, 1], 50), Admin::Ready);
                    for _ in 0..if up { 0 } else { 2 } {
                        member.on_probe(now, Err(ProbeFailure::Refused));
                    }
                    for _ in 0..if requests > 0 { 2 } else { 0 } {
                        member.on_outcome(now, reset, false, true);
                    }
                    if requests == 2 {
                        member.on_time(now.after(Duration::from_secs(5)), false);
                    }
                    member.administer(now, admin);
                    assert_eq!(member.standing(), expected, "{up} {requests} {admin:?}");
                }
            }
        }
    }

    #[test]
    fn without_probes_and_ejection_only_the_operator_counts() {
        let mut config = config(&[1], 50);
        (config.health, config.eject) = (None, None);
        let mut member = Member::new(&config, Admin::Ready);
        let now = Instant::from_micros(1);
        for _ in 0..10 {
            assert_eq!(member.on_probe(now, Err(ProbeFailure::Timeout)), None);
            let reset = Outcome::Failed(Fault::Reset);
            assert_eq!(member.on_outcome(now, reset, false, true), Verdict::Same);
        }
        assert_eq!(member.standing(), Standing::In);
        assert_eq!(member.evidence().iter().len(), 20);
        let moved = member.administer(now, Admin::Drain).unwrap();
        assert_eq!((moved.from, moved.to), (Phase::Ready, Phase::Drain));
        assert_eq!(member.administer(now, Admin::Drain), None);
        assert_eq!(member.standing(), Standing::Drain);
    }
}
