//! Members as they misbehave: what each does at which time, and what comes of a request or a probe.

use std::time::Duration;

use crate::balancer::health::{ProbeFailure, ProbeResult};
use crate::balancer::{Fault, Outcome};
use crate::clock::micros;
use crate::config::PoolTimeouts;
use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Healthy,
    /// Some answers are late.
    Slow,
    /// Dead: what it was doing ends at once, and it refuses connections.
    Dead,
    /// Stopped, or behind a cable that was cut.
    Silent,
    /// Answers 503.
    Errors,
    /// Closes the connection in the middle of its answers.
    Cuts,
}

const BAD: [Mode; 5] = [Mode::Slow, Mode::Dead, Mode::Silent, Mode::Errors, Mode::Cuts];

/// What a member does, and from when on.
#[derive(Clone, Debug)]
pub(super) struct Script(Vec<(u64, Mode)>);

/// What comes of a request.
pub(super) struct Deed {
    /// When it ends, in microseconds.
    pub(super) ends: u64,
    pub(super) outcome: Outcome,
    /// The client has got a part of the answer.
    pub(super) begun: bool,
}

impl Script {
    /// Trouble of some kind until `storm`, then health; or death for ever.
    pub(super) fn new(rng: &mut Rng, storm: u64, corpse: bool) -> Self {
        let mut modes = vec![(0, Mode::Healthy)];
        let mut at = rng.below(storm / 2);
        let flaps = rng.below(4) == 0;
        while at < storm && rng.below(8) > 0 {
            let good = matches!(modes.last(), Some((_, Mode::Healthy))) && rng.below(6) > 0;
            let mode = if good { BAD[rng.below(5) as usize] } else { Mode::Healthy };
            modes.push((at, if flaps && good { Mode::Dead } else { mode }));
            at += if flaps { 20_000 + rng.below(300_000) } else { 100_000 + rng.below(storm / 2) };
        }
        modes.push((storm, if corpse { Mode::Dead } else { Mode::Healthy }));
        Self(modes)
    }

    pub(super) fn mode(&self, at: u64) -> Mode {
        let last = self.0.iter().take_while(|(from, _)| *from <= at).last();
        last.map_or(Mode::Healthy, |(_, mode)| *mode)
    }

    pub(super) fn serve(&self, at: u64, rng: &mut Rng, timeouts: &PoolTimeouts) -> Deed {
        let (connect, response) = (micros(timeouts.connect), micros(timeouts.response));
        let failed = |took, fault| (took, Outcome::Failed(fault), false);
        let answered = |took, status| {
            let first_byte = Duration::from_micros(took);
            (took + 100, Outcome::Answered { status, first_byte }, true)
        };
        let (took, outcome, begun) = match self.mode(at) {
            Mode::Healthy => answered(300 + rng.below(5_000), 200),
            Mode::Slow if rng.below(4) == 0 => failed(response, Fault::Timeout),
            Mode::Slow => answered(response / 20 + rng.below(response / 2), 200),
            Mode::Dead => failed(100, Fault::Connect),
            Mode::Silent if rng.below(2) == 0 => failed(connect, Fault::Connect),
            Mode::Silent => failed(response, Fault::Timeout),
            Mode::Errors => answered(300 + rng.below(1_000), 503),
            Mode::Cuts => {
                (500 + rng.below(3_000), Outcome::Failed(Fault::Reset), rng.below(2) == 0)
            }
        };
        let ends = at + took;
        let death =
            self.0.iter().find(|(from, mode)| *mode == Mode::Dead && *from > at && *from < ends);
        match death {
            Some((from, _)) => {
                let begun = rng.below(2) == 0;
                Deed { ends: *from, outcome: Outcome::Failed(Fault::Reset), begun }
            }
            None => Deed { ends, outcome, begun },
        }
    }

    /// How long a probe takes, and how it ends.
    pub(super) fn probe(&self, at: u64, rng: &mut Rng, timeout: Duration) -> (u64, ProbeResult) {
        let took = 300 + rng.below(2_000);
        let timeout = micros(timeout);
        match self.mode(at) {
            Mode::Healthy => (took, Ok(())),
            Mode::Slow if rng.below(2) == 0 => (timeout, Err(ProbeFailure::Timeout)),
            Mode::Slow => (timeout / 2, Ok(())),
            Mode::Dead => (100, Err(ProbeFailure::Refused)),
            Mode::Silent => (timeout, Err(ProbeFailure::Timeout)),
            Mode::Errors => (took, Err(ProbeFailure::Status(503))),
            Mode::Cuts if rng.below(2) == 0 => (took, Ok(())),
            Mode::Cuts => (took, Err(ProbeFailure::Closed)),
        }
    }
}
