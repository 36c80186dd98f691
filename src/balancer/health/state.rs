//! What probes tell of a member: healthy, failing, unhealthy, recovering.
//!
//! `fall` failures in a row take a member out, `rise` successes in a row bring it back; one result
//! of the other kind begins the count anew, so that a member that flaps does not come back early.

use super::evidence::ProbeResult;
use super::transition::{Cause, Phase, Transition};
use crate::clock::Instant;
use crate::config::HealthConfig;

/// The states, as an operator sees them. A count of one passes through the state in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// The last probe succeeded, or there was none yet. Gets requests.
    Healthy,
    /// So many probes in a row failed, fewer than `fall`. Gets requests.
    Failing(u32),
    /// `fall` probes in a row failed. Gets none.
    Unhealthy,
    /// So many probes in a row succeeded, fewer than `rise`. Gets none.
    Recovering(u32),
}

impl HealthState {
    /// The state without its count.
    #[must_use]
    pub const fn phase(self) -> Phase {
        phase(self)
    }

    /// How many probes in a row it took so far, where that is counted.
    #[must_use]
    pub const fn in_a_row(self) -> Option<u32> {
        match self {
            Self::Healthy | Self::Unhealthy => None,
            Self::Failing(count) | Self::Recovering(count) => Some(count),
        }
    }
}

/// The health of one member by its probes.
#[derive(Clone, Debug)]
pub struct Health {
    state: HealthState,
    fall: u32,
    rise: u32,
}

impl Health {
    /// Healthy, or unhealthy with `start_down`.
    #[must_use]
    pub const fn new(config: &HealthConfig) -> Self {
        let state = if config.start_down { HealthState::Unhealthy } else { HealthState::Healthy };
        Self { state, fall: config.fall, rise: config.rise }
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> HealthState {
        self.state
    }

    /// Whether the member may get requests as far as probes tell.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, HealthState::Healthy | HealthState::Failing(_))
    }

    /// Takes the result of a probe; the transition if the state is another one now.
    pub fn on_probe(&mut self, now: Instant, result: ProbeResult) -> Option<Transition> {
        use HealthState::{Failing, Healthy, Recovering, Unhealthy};
        let (in_a_row, next) = match (self.state, result.is_ok()) {
            (Healthy, true) | (Unhealthy, false) => return None,
            (Failing(_), true) => (1, Healthy),
            (Recovering(_), false) => (1, Unhealthy),
            (Healthy, false) => self.failed(1),
            (Failing(count), false) => self.failed(count.saturating_add(1)),
            (Unhealthy, true) => self.succeeded(1),
            (Recovering(count), true) => self.succeeded(count.saturating_add(1)),
        };
        let (from, to) = (phase(self.state), phase(next));
        self.state = next;
        let cause = Cause::Probes { in_a_row, last: result };
        (from != to).then_some(Transition { at: now, from, to, cause })
    }

    const fn failed(&self, in_a_row: u32) -> (u32, HealthState) {
        let out = in_a_row >= self.fall;
        (in_a_row, if out { HealthState::Unhealthy } else { HealthState::Failing(in_a_row) })
    }

    const fn succeeded(&self, in_a_row: u32) -> (u32, HealthState) {
        let back = in_a_row >= self.rise;
        (in_a_row, if back { HealthState::Healthy } else { HealthState::Recovering(in_a_row) })
    }
}

const fn phase(state: HealthState) -> Phase {
    match state {
        HealthState::Healthy => Phase::Healthy,
        HealthState::Failing(_) => Phase::Failing,
        HealthState::Unhealthy => Phase::Unhealthy,
        HealthState::Recovering(_) => Phase::Recovering,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::evidence::ProbeFailure;
    use super::*;
    use crate::config::Probe;

    fn health(fall: u32, rise: u32, start_down: bool) -> Health {
        Health::new(&HealthConfig {
            probe: Probe::Tcp,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            fall,
            rise,
            port: None,
            start_down,
        })
    }

    /// Feeds `+` (success) and `-` (failure); the initials of the states after each: h f u r.
    fn walk(health: &mut Health, results: &str) -> String {
        let step = |(at, result): (usize, char)| {
            let result = if result == '+' { Ok(()) } else { Err(ProbeFailure::Refused) };
            let (before, now) = (phase(health.state()), Instant::from_micros(at as u64));
            let moved = health.on_probe(now, result);
            let after = phase(health.state());
            assert_eq!(moved.is_some(), before != after);
            if let Some(moved) = moved {
                assert_eq!((moved.at, moved.from, moved.to), (now, before, after));
            }
            after.word().chars().next().unwrap()
        };
        results.chars().enumerate().map(step).collect()
    }

    #[test]
    fn the_figure() {
        let cases = [
            // fall, rise, start_down, results, states
            (3, 2, false, "---", "ffu"),
            (3, 2, false, "--+--+---", "ffhffhffu"),
            (3, 2, false, "---+-+-++", "ffurururh"),
            (3, 3, false, "---++-++-+++", "ffurrurrurrh"),
            (1, 1, false, "-+-+", "uhuh"),
            (2, 1, true, "--+--", "uuhfu"),
            (1, 3, true, "+++", "rrh"),
        ];
        for (fall, rise, down, results, expected) in cases {
            assert_eq!(walk(&mut health(fall, rise, down), results), expected, "{results}");
        }
    }

    #[test]
    fn a_flapping_member_does_not_come_back() {
        let states = walk(&mut health(3, 3, true), &"++-".repeat(1000));
        assert!(!states.contains('h') && !states.contains('f'));
    }

    #[test]
    fn a_transition_says_how_many_probes_it_took() {
        let mut member = health(3, 2, false);
        walk(&mut member, "--");
        let refused = Err(ProbeFailure::Refused);
        let moved = member.on_probe(Instant::from_micros(9), refused).unwrap();
        assert_eq!(moved.cause, Cause::Probes { in_a_row: 3, last: refused });
    }

    proptest! {
        /// The twin keeps the whole history and looks back.
        #[test]
        fn equals_its_naive_twin(
            fall in 1u32..5,
            rise in 1u32..5,
            start_down: bool,
            results in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let mut health = health(fall, rise, start_down);
            let mut up = !start_down;
            for at in 0..results.len() {
                let result = if results[at] { Ok(()) } else { Err(ProbeFailure::Timeout) };
                health.on_probe(Instant::from_micros(at as u64), result);
                let seen = &results[..=at];
                let run = seen.iter().rev().take_while(|ok| **ok == results[at]).count() as u32;
                up = match (up, results[at]) {
                    (true, false) => run < fall,
                    (false, true) => run >= rise,
                    (same, _) => same,
                };
                prop_assert_eq!(health.is_up(), up);
                let settled = results[at] == up;
                let expected = match (up, settled) {
                    (true, true) => HealthState::Healthy,
                    (true, false) => HealthState::Failing(run),
                    (false, true) => HealthState::Unhealthy,
                    (false, false) => HealthState::Recovering(run),
                };
                prop_assert_eq!(health.state(), expected);
            }
        }
    }
}
