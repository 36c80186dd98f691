//! What real requests tell of a member: in, ejected, on trial.
//!
//! `failures` within `window` eject it for `for`; then one real request, host-wide, tries it. Its
//! success brings the member in; its failure ejects it again for twice as long as before, ten
//! times `for` at the most. Whether the pool can do without the member is the caller's to say.

use std::collections::VecDeque;
use std::time::Duration;

use super::transition::{Cause, Phase, Transition};
use crate::balancer::Outcome;
use crate::clock::Instant;
use crate::config::EjectConfig;

/// The longest time out, as a multiple of the first.
const LONGEST: u32 = 10;

/// How often a trial is looked at that may have been lost.
const LOOK: Duration = Duration::from_secs(1);

/// The states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassiveState {
    /// Gets requests.
    In,
    /// Gets none until then.
    Ejected {
        /// When one request may try it.
        until: Instant,
    },
    /// One real request may try it, or does.
    Trial {
        /// When to look next whether that request was lost.
        look: Instant,
        /// Since when it is under way, as far as is known.
        taken: Option<Instant>,
    },
}

impl PassiveState {
    /// The state without its times.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::In => Phase::In,
            Self::Ejected { .. } => Phase::Ejected,
            Self::Trial { .. } => Phase::Trial,
        }
    }
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Same,
    /// The state.
    Moved(Transition),
    /// The member had to be ejected, but the pool cannot do without it.
    Spared,
}

/// What the time that passed changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Same,
    /// The time out is over.
    Moved(Transition),
    /// The request that tried the member was lost: another one may.
    Again,
}

/// The health of one member by its requests.
#[derive(Clone, Debug)]
pub struct Passive {
    rule: EjectConfig,
    /// How long a trial may take before it counts as lost.
    patience: Duration,
    state: PassiveState,
    /// Failures within the window, the oldest first; at most `rule.failures`.
    recent: VecDeque<Instant>,
    /// Trials in a row that failed.
    failed_trials: u32,
    /// How long it is out for, this time.
    span: Duration,
}

impl Passive {
    /// A member that is in. `patience`: how long a trial may take before it counts as lost.
    #[must_use]
    pub const fn new(rule: EjectConfig, patience: Duration) -> Self {
        let state = PassiveState::In;
        Self {
            rule,
            patience,
            state,
            recent: VecDeque::new(),
            failed_trials: 0,
            span: Duration::ZERO,
        }
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> PassiveState {
        self.state
    }

    /// When the time alone may change something; `None`: never in this state.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        match self.state {
            PassiveState::In => None,
            PassiveState::Ejected { until } => Some(until),
            PassiveState::Trial { look, .. } => Some(look),
        }
    }

    /// Takes the outcome of a request. `may_eject`: whether the pool can do without the member.
    /// Outcomes of requests that were sent before the member was ejected change nothing.
    pub fn on_outcome(
        &mut self,
        now: Instant,
        outcome: Outcome,
        trial: bool,
        may_eject: bool,
    ) -> Verdict {
        let Some(failed) = outcome.is_failure(&self.rule.on) else { return Verdict::Same };
        match (self.state, failed) {
            (PassiveState::In, true) => self.failed(now, outcome, may_eject),
            (PassiveState::Trial { .. }, _) if trial => {
                let cause = Cause::Trial { outcome, failed };
                if failed {
                    self.failed_trials = self.failed_trials.saturating_add(1);
                    return Verdict::Moved(self.eject(now, Phase::Trial, cause));
                }
                self.failed_trials = 0;
                self.state = PassiveState::In;
                let (from, to) = (Phase::Trial, Phase::In);
                Verdict::Moved(Transition { at: now, from, to, cause })
            }
            _ => Verdict::Same,
        }
    }

    fn failed(&mut self, now: Instant, outcome: Outcome, may_eject: bool) -> Verdict {
        let (window, Some(failures)) = (self.rule.window, self.rule.failures) else {
            return Verdict::Same;
        };
        let most = failures as usize;
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| now.since(*at) > window) {
            self.recent.pop_front();
        }
        if self.recent.len() < most {
            return Verdict::Same;
        }
        if !may_eject {
            // One more failure gives the same answer without the oldest one.
            if self.recent.len() > most {
                self.recent.pop_front();
            }
            return Verdict::Spared;
        }
        let cause = Cause::Requests { failures, within: window, last: outcome };
        Verdict::Moved(self.eject(now, Phase::In, cause))
    }

    fn eject(&mut self, now: Instant, from: Phase, cause: Cause) -> Transition {
        self.recent.clear();
        self.span = self.time_out(self.failed_trials);
        self.state = PassiveState::Ejected { until: now.after(self.span) };
        Transition { at: now, from, to: Phase::Ejected, cause }
    }

    /// Takes it out because others are better, if it is in. `repeats`: times in a row that this was
    /// so before. `may_eject`: as in [`Passive::on_outcome`].
    pub(super) fn on_outlier(
        &mut self,
        now: Instant,
        cause: Cause,
        repeats: u32,
        may_eject: bool,
    ) -> Verdict {
        match (self.state, may_eject) {
            (PassiveState::In, true) => {
                self.recent.clear();
                self.span = self.time_out(repeats);
                self.state = PassiveState::Ejected { until: now.after(self.span) };
                let (from, to) = (Phase::In, Phase::Ejected);
                Verdict::Moved(Transition { at: now, from, to, cause })
            }
            (PassiveState::In, false) => Verdict::Spared,
            _ => Verdict::Same,
        }
    }

    /// How long the member is out for after so many bad turns in a row.
    fn time_out(&self, turns: u32) -> Duration {
        let times = 1u32.checked_shl(turns).unwrap_or(LONGEST);
        self.rule.out_for.saturating_mul(times.clamp(1, LONGEST))
    }

    /// Takes notice of the time. `trial_taken`: whether the one request of a trial is under way.
    pub(super) fn on_time(&mut self, now: Instant, trial_taken: bool) -> Due {
        match &mut self.state {
            PassiveState::Ejected { until } if *until <= now => {
                let cause = Cause::OutFor(self.span);
                self.state = PassiveState::Trial { look: now.after(LOOK), taken: None };
                let (from, to) = (Phase::Ejected, Phase::Trial);
                Due::Moved(Transition { at: now, from, to, cause })
            }
            PassiveState::Trial { look, taken } if *look <= now => {
                *look = now.after(LOOK);
                *taken = trial_taken.then(|| taken.unwrap_or(now));
                if taken.is_some_and(|since| now.since(since) >= self.patience) {
                    *taken = None;
                    return Due::Again;
                }
                Due::Same
            }
            _ => Due::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balancer::Fault;
    use crate::config::FailureSet;

    const RESET: Outcome = Outcome::Failed(Fault::Reset);

    fn passive(failures: u32) -> Passive {
        let on = FailureSet { reset: true, statuses: vec![503], ..FailureSet::default() };
        let rule = EjectConfig {
            failures: Some(failures),
            window: Duration::from_secs(10),
            out_for: Duration::from_secs(5),
            on,
            max_share: 50,
            success_rate: None,
            latency: None,
        };
        Passive::new(rule, Duration::from_secs(30))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, first_byte: Duration::ZERO }
    }

    /// An ejected member whose time out is over at the instant that is returned.
    fn tried(failures: u32) -> (Passive, Instant) {
        let mut member = passive(failures);
        for _ in 0..failures {
            member.on_outcome(at(0), RESET, false, true);
        }
        let over = member.due().unwrap();
        assert!(matches!(member.on_time(over, false), Due::Moved(_)));
        (member, over)
    }

    #[test]
    fn one_failure_less_does_not_eject() {
        let mut member = passive(5);
        for n in 0..4 {
            assert_eq!(member.on_outcome(at(n), RESET, false, true), Verdict::Same);
        }
        // Not among the failures; nothing learnt; a success: none of them counts.
        for other in [answered(500), Outcome::Abandoned, Outcome::Failed(Fault::Connect)] {
            assert_eq!(member.on_outcome(at(9), other, false, true), Verdict::Same);
        }
        assert_eq!(member.state(), PassiveState::In);
        let Verdict::Moved(moved) = member.on_outcome(at(10), answered(503), false, true) else {
            panic!("not ejected")
        };
        assert_eq!((moved.from, moved.to), (Phase::In, Phase::Ejected));
        assert_eq!(member.state(), PassiveState::Ejected { until: at(5010) });
    }

    #[test]
    fn failures_leave_the_window() {
        let mut member = passive(2);
        for (millis, ejected) in [(0, false), (10_001, false), (20_002, false), (30_002, true)] {
            let verdict = member.on_outcome(at(millis), RESET, false, true);
            assert_eq!(matches!(verdict, Verdict::Moved(_)), ejected, "{millis}");
        }
    }

    #[test]
    fn a_member_that_is_needed_is_spared_until_it_is_not() {
        let mut member = passive(2);
        member.on_outcome(at(0), RESET, false, false);
        for n in 1..50 {
            assert_eq!(member.on_outcome(at(n), RESET, false, false), Verdict::Spared);
            assert!(member.recent.len() <= 2);
        }
        assert!(matches!(member.on_outcome(at(51), RESET, false, true), Verdict::Moved(_)));
    }

    #[test]
    fn only_the_trial_itself_decides() {
        let (mut member, over) = tried(1);
        assert!(matches!(member.state(), PassiveState::Trial { .. }));
        assert_eq!(member.on_outcome(over, RESET, false, true), Verdict::Same);
        assert_eq!(member.on_outcome(over, Outcome::Abandoned, true, true), Verdict::Same);
        let Verdict::Moved(moved) = member.on_outcome(over, answered(200), true, true) else {
            panic!("not in again")
        };
        assert_eq!((moved.from, moved.to), (Phase::Trial, Phase::In));
        // A trial that was given up for lost and ends after all.
        assert_eq!(member.on_outcome(over, answered(200), true, true), Verdict::Same);
    }

    #[test]
    fn the_time_out_doubles_up_to_ten_times_and_begins_anew_after_a_success() {
        let (mut member, mut now) = tried(1);
        for expected in [10, 20, 40, 50, 50] {
            // A member that has been ejected is out, whether or not the pool can spare it.
            assert!(matches!(member.on_outcome(now, RESET, true, false), Verdict::Moved(_)));
            let over = member.due().unwrap();
            assert_eq!(over.since(now), Duration::from_secs(expected));
            assert_eq!(
                member.on_time(Instant::from_micros(over.as_micros() - 1), false),
                Due::Same
            );
            let Due::Moved(moved) = member.on_time(over, false) else { panic!("still out") };
            assert_eq!(moved.cause, Cause::OutFor(Duration::from_secs(expected)));
            now = over;
        }
        member.on_outcome(now, answered(200), true, true);
        member.on_outcome(now, RESET, false, true);
        assert_eq!(member.due().unwrap().since(now), Duration::from_secs(5));
        member.failed_trials = 1000;
        assert_eq!(member.time_out(member.failed_trials), Duration::from_secs(50));
    }

    #[test]
    fn an_outlier_is_out_for_longer_each_time_and_tried_like_any_other() {
        let mut member = passive(5);
        let cause = Cause::FailureShare {
            failures: 1,
            requests: 2,
            within: Duration::from_secs(1),
            others: 0,
        };
        let mut now = at(0);
        assert_eq!(member.on_outlier(now, cause, 0, false), Verdict::Spared);
        for (repeats, expected) in [(0, 5), (1, 10), (2, 20), (9, 50)] {
            let Verdict::Moved(moved) = member.on_outlier(now, cause, repeats, true) else {
                panic!("not ejected")
            };
            assert_eq!((moved.to, moved.cause), (Phase::Ejected, cause));
            assert_eq!(member.on_outlier(now, cause, 0, true), Verdict::Same);
            let over = member.due().unwrap();
            assert_eq!(over.since(now), Duration::from_secs(expected));
            let Due::Moved(moved) = member.on_time(over, false) else { panic!("still out") };
            assert_eq!(moved.cause, Cause::OutFor(Duration::from_secs(expected)));
            assert!(matches!(
                member.on_outcome(over, answered(200), true, true),
                Verdict::Moved(_)
            ));
            now = over;
        }
    }

    #[test]
    fn without_a_number_of_failures_they_eject_nobody() {
        let mut member = passive(1);
        member.rule.failures = None;
        for n in 0..100 {
            assert_eq!(member.on_outcome(at(n), RESET, false, true), Verdict::Same);
        }
        assert!(member.recent.is_empty());
    }

    #[test]
    fn a_lost_trial_is_offered_again_but_a_free_one_is_left_alone() {
        let (mut member, start) = tried(1);
        let second = |n| start.after(Duration::from_secs(n));
        for n in 1..100 {
            assert_eq!(member.on_time(second(n), false), Due::Same, "{n}");
        }
        // Taken at 100, seen to be so 30 s later.
        for n in 100..130 {
            assert_eq!(member.on_time(second(n), true), Due::Same, "{n}");
        }
        assert_eq!(member.on_time(second(130), true), Due::Again);
        // Given back and taken by another: that one has all of its time.
        for (n, taken) in [(131, true), (150, false), (151, true), (180, true)] {
            assert_eq!(member.on_time(second(n), taken), Due::Same, "{n}");
        }
        assert_eq!(member.on_time(second(181), true), Due::Again);
    }

    proptest! {
        /// The twin keeps every failure since the member came in.
        #[test]
        fn equals_its_naive_twin(
            failures in 1u32..6,
            steps in proptest::collection::vec((0u64..6_000, any::<bool>(), 0u8..4), 0..200),
        ) {
            let mut member = passive(failures);
            let (mut now, mut all, mut spans) = (0, Vec::new(), 0u32);
            let mut until = None;
            for (gap, may_eject, kind) in steps {
                now += gap;
                if until.is_some_and(|over| now >= over) {
                    prop_assert!(matches!(member.on_time(at(now), false), Due::Moved(_)));
                    let good = kind == 0;
                    let outcome = if good { answered(200) } else { RESET };
                    member.on_outcome(at(now), outcome, true, may_eject);
                    spans = if good { 0 } else { spans + 1 };
                    until = (!good).then(|| now + 5_000 * [1, 2, 4, 8, 10][spans.min(4) as usize]);
                } else {
                    member.on_time(at(now), false);
                    member.on_outcome(at(now), RESET, false, may_eject);
                    if until.is_none() {
                        all.push(now);
                        let recent = all.iter().filter(|then| now - **then <= 10_000).count();
                        if recent >= failures as usize && may_eject {
                            until = Some(now + 5_000);
                            all.clear();
                        }
                    }
                }
                let expected = match until {
                    None => PassiveState::In,
                    Some(over) => PassiveState::Ejected { until: at(over) },
                };
                prop_assert_eq!(member.state(), expected);
                prop_assert!(member.recent.len() <= failures as usize);
            }
        }
    }
}
