//! Searches for the highest rate that a target sustains: by doubling until a step fails, then by
//! halving the gap. The search is pure; whoever drives it runs the steps.

use crate::load::Outcome;
use crate::plan::{Pace, Plan};
use crate::report::round;
use crate::units::show_micros;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// What a step must hold to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Which quantile is bounded, for example 0.99.
    pub quantile: f64,
    /// By what.
    pub latency: Duration,
    /// Errors up to this share of all exchanges.
    pub errors: f64,
}

/// What a step showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Requests per second asked for.
    pub rate: f64,
    /// Good answers per second.
    pub per_second: f64,
    /// Latencies in microseconds: p50, the bounded quantile, p99.9, the longest.
    pub micros: [u64; 4],
    /// Exchanges that failed.
    pub errors: u64,
    /// Whether it held, and how far that can be trusted.
    pub result: StepResult,
    /// It failed while the tester had no time left, or the tester's core was taken.
    pub tester_limited: bool,
}

/// Whether a step held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Yes, by more than chance explains.
    Held,
    /// No, by more than chance explains.
    Failed,
    /// So near the bound that another run might end otherwise.
    Close(bool),
}

/// Standard errors beyond which a step is sure.
const SURE: f64 = 2.0;

/// Judges a step of `rate` requests per second.
#[must_use]
pub fn judge(rate: f64, outcome: &Outcome, plan: &Plan, bound: &Bound) -> Step {
    let tally = &outcome.tally;
    let exchanges = tally.answers + tally.failure_count();
    let per_second = tally.answers as f64 / plan.duration.as_secs_f64().max(1e-6);
    let at = |quantile| tally.latencies.value_at_quantile(quantile);
    let micros = [at(0.5), at(bound.quantile), at(0.999), tally.latencies.max()];
    let (slow, error) = slow_share(outcome, bound);
    let allowed = 1.0 - bound.quantile;
    let broken =
        tally.failure_count() as f64 > bound.errors * exchanges as f64 || tally.answers == 0;
    let held = slow <= allowed && !broken;
    let result = match (broken, (slow - allowed).abs() <= SURE * error) {
        (true, _) => StepResult::Failed,
        (false, true) => StepResult::Close(held),
        (false, false) if held => StepResult::Held,
        (false, false) => StepResult::Failed,
    };
    let is_good = matches!(result, StepResult::Held | StepResult::Close(true));
    let tester_limited = outcome.threads.iter().any(|thread| {
        let wall = thread.wall.as_secs_f64().max(1e-6);
        let waited = thread.cpu.waited.unwrap_or_default().as_secs_f64();
        thread.cpu.ran.as_secs_f64() / wall > 0.9 && !is_good || waited / wall > 0.1
    });
    Step { rate, per_second, micros, errors: tally.failure_count(), result, tester_limited }
}

/// The share of answers slower than the bound, and its standard error. Slow answers come in bursts, so the
/// error is that of the shares of parts of the run, not of single answers.
fn slow_share(outcome: &Outcome, bound: &Bound) -> (f64, f64) {
    let limit = u64::try_from(bound.latency.as_micros()).unwrap_or(u64::MAX);
    let all = &outcome.tally.latencies;
    let below = if all.is_empty() { 0 } else { all.count_between(0, limit) };
    let slow = 1.0 - below as f64 / all.len().max(1) as f64;
    let slots = outcome.tally.slots.all();
    let shares: Vec<f64> = slots
        .chunks(slots.len().div_ceil(10).max(1))
        .filter_map(|part| {
            let (mut slow, mut count) = (0, 0);
            for slot in part {
                count += slot.latencies.len();
                slow += slot.latencies.len() - slot.latencies.count_between(0, limit);
            }
            (count > 0).then(|| slow as f64 / count as f64)
        })
        .collect();
    let count = shares.len() as f64;
    if shares.len() < 2 {
        return (slow, 0.0);
    }
    let mean = shares.iter().sum::<f64>() / count;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (slow, (variance / count).sqrt())
}

/// The search: which rate to try next.
#[derive(Clone, Debug)]
pub struct Search {
    precision: f64,
    most: f64,
    held: Option<f64>,
    failed: Option<f64>,
    next: Option<f64>,
    /// Runs at the rate that is tried, and how many of them held.
    tries: (u32, u32),
    confirming: bool,
}

/// Runs of a step that chance could decide, and of the rate that is found.
const TRIES: u32 = 3;

impl Search {
    /// One that begins at `from` requests per second, ends at `most`, and narrows the gap to `precision`.
    #[must_use]
    pub fn new(from: f64, most: f64, precision: f64) -> Self {
        let next = Some(from.min(most));
        Self { precision, most, held: None, failed: None, next, tries: (0, 0), confirming: false }
    }

    /// The rate to try; `None` at the end.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        self.next
    }

    /// The highest rate that held, and whether a higher one failed.
    #[must_use]
    pub fn found(&self) -> (Option<f64>, Option<f64>) {
        (self.held, self.failed)
    }

    /// Takes the result of a run at the rate to try.
    pub fn tell(&mut self, result: StepResult) {
        let Some(rate) = self.next else { return };
        let held = matches!(result, StepResult::Held | StepResult::Close(true));
        self.tries = (self.tries.0 + 1, self.tries.1 + u32::from(held));
        let (runs, good) = self.tries;
        let decided = match result {
            _ if self.confirming => runs >= TRIES || runs - good >= TRIES.div_ceil(2),
            StepResult::Close(_) => runs >= TRIES || good * 2 > TRIES || (runs - good) * 2 > TRIES,
            _ => true,
        };
        if !decided {
            return; // once more
        }
        let held = if runs > 1 { good * 2 > runs } else { held };
        self.tries = (0, 0);
        if self.confirming && held {
            self.next = None;
            return;
        }
        if held {
            self.held = Some(rate);
        } else {
            self.failed = Some(rate);
            if self.confirming {
                self.held = None; // it does not hold after all: search below it
            }
        }
        self.confirming = false;
        self.go_on(rate);
    }

    fn go_on(&mut self, rate: f64) {
        self.next = match (self.held, self.failed) {
            (Some(held), None) if held >= self.most => None,
            (Some(held), None) => Some((held * 2.0).min(self.most)),
            (None, Some(failed)) if failed < 2.0 => None,
            (None, Some(failed)) => Some(failed / 2.0),
            (Some(held), Some(failed)) if failed / held <= 1.0 + self.precision => {
                self.confirming = true;
                self.tries = (0, 0);
                Some(held)
            }
            (Some(held), Some(failed)) => Some(f64::midpoint(held, failed)),
            (None, None) => Some(rate),
        };
    }
}

/// The plan of a step at `rate`.
#[must_use]
pub fn step_plan(plan: &Plan, rate: f64) -> Plan {
    let mut plan = plan.clone();
    if let Pace::Open { rate: planned, .. } = &mut plan.pace {
        (planned.from, planned.to) = (rate, rate);
    }
    plan
}

/// One line of the curve, as it is found.
#[must_use]
pub fn line(step: &Step) -> String {
    let [p50, bounded, p999, longest] = step.micros.map(|micros| show_micros(micros as f64));
    let word = match step.result {
        StepResult::Held => "held",
        StepResult::Failed => "failed",
        StepResult::Close(true) => "held, barely",
        StepResult::Close(false) => "failed, barely",
    };
    let limited = if step.tester_limited { "  (the tester was at its limit)" } else { "" };
    format!(
        "{:>10.0}{:>12.0}{p50:>12}{bounded:>12}{p999:>12}{longest:>12}{:>9}  {word}{limited}",
        step.rate, step.per_second, step.errors
    )
}

/// The names of the columns of `line`.
#[must_use]
pub fn heading(bound: &Bound) -> String {
    let bounded = format!("p{}", round(bound.quantile * 100.0, 4));
    format!(
        "{:>10}{:>12}{:>12}{bounded:>12}{:>12}{:>12}{:>9}",
        "rate", "answered/s", "p50", "p99.9", "max", "errors"
    )
}

/// What was found, for people: the curve by rate, the limit, and how sure that is.
#[must_use]
pub fn text(steps: &[Step], search: &Search, bound: &Bound) -> String {
    let mut sorted: Vec<&Step> = steps.iter().collect();
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let mut out = heading(bound);
    out.push('\n');
    for step in sorted {
        _ = writeln!(out, "{}", line(step));
    }
    let limit = show_micros(bound.latency.as_secs_f64() * 1e6);
    let name = format!("p{} below {limit}", round(bound.quantile * 100.0, 4));
    let (held, failed) = search.found();
    let runs_at = |rate: f64| {
        let runs = steps.iter().filter(|step| (step.rate - rate).abs() < 0.5);
        let good = runs
            .clone()
            .filter(|step| matches!(step.result, StepResult::Held | StepResult::Close(true)));
        (good.count(), runs.count())
    };
    match (held, failed) {
        (Some(held), Some(failed)) => {
            let (good, runs) = runs_at(held);
            _ = writeln!(
                out,
                "capacity      {held:.0} per second with {name}: held in {good} of {runs} runs; {failed:.0} did not hold"
            );
        }
        (Some(held), None) => {
            _ = writeln!(
                out,
                "capacity      more than {held:.0} per second with {name}: the search ended there"
            );
        }
        (None, Some(failed)) => {
            _ = writeln!(
                out,
                "capacity      none: {name} did not hold even at {failed:.1} per second"
            )
        }
        (None, None) => _ = writeln!(out, "capacity      nothing was tried"),
    }
    if steps.iter().any(|step| step.tester_limited && !matches!(step.result, StepResult::Held)) {
        out.push_str("NOTE: the tester was at its limit in a step that did not hold: the target may sustain more. Give the tester more cores\n");
    }
    out
}

/// The same for programs.
#[must_use]
pub fn json(steps: &[Step], search: &Search, bound: &Bound) -> Value {
    let (held, failed) = search.found();
    let steps = steps.iter().map(|step| {
        let [p50, bounded, p999, longest] = step.micros;
        json!({
            "rate": step.rate, "per_second": round(step.per_second, 1), "errors": step.errors,
            "p50_us": p50, "bounded_us": bounded, "p99.9_us": p999, "max_us": longest,
            "held": matches!(step.result, StepResult::Held | StepResult::Close(true)),
            "sure": !matches!(step.result, StepResult::Close(_)),
            "tester_limited": step.tester_limited,
        })
    });
    json!({
        "capacity": held, "failed_at": failed,
        "quantile": bound.quantile, "bound_us": bound.latency.as_secs_f64() * 1e6,
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{outcome, plan};
    use crate::schedule::Arrivals;
    use crate::units::Rate;

    /// Searches a target that holds up to `limit`; the rates tried, and what was found.
    fn search(limit: f64, mut search: Search) -> (Vec<f64>, Option<f64>, Option<f64>) {
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            assert!(tried.len() < 100, "{tried:?}");
            search.tell(if rate <= limit { StepResult::Held } else { StepResult::Failed });
        }
        let (held, failed) = search.found();
        (tried, held, failed)
    }

    #[test]
    fn the_limit_is_found_from_below_and_above() {
        for limit in [10.0, 777.0, 1000.0, 12_345.0, 90_000.0] {
            let (_, held, failed) = search(limit, Search::new(1000.0, 1e6, 0.05));
            let (held, failed) = (held.unwrap(), failed.unwrap());
            assert!(
                held <= limit && failed > limit && failed / held <= 1.05,
                "{limit}: {held} {failed}"
            );
        }
        let (tried, held, failed) = search(1e9, Search::new(1000.0, 5000.0, 0.05));
        assert_eq!(
            (tried, held, failed),
            (vec![1000.0, 2000.0, 4000.0, 5000.0], Some(5000.0), None)
        );
        assert_eq!(search(0.0, Search::new(10.0, 1e6, 0.05)).1, None);
    }

    #[test]
    fn what_chance_could_decide_is_tried_again() {
        let mut search = Search::new(1000.0, 1e6, 0.05);
        search.tell(StepResult::Close(true));
        assert_eq!(search.next(), Some(1000.0));
        search.tell(StepResult::Close(false));
        assert_eq!(search.next(), Some(1000.0));
        search.tell(StepResult::Close(false));
        assert_eq!((search.next(), search.found()), (Some(500.0), (None, Some(1000.0))));
    }

    #[test]
    fn what_was_found_is_confirmed_or_searched_again_below() {
        let mut search = Search::new(1000.0, 1e6, 0.5);
        for result in [StepResult::Held, StepResult::Failed, StepResult::Failed] {
            search.tell(result); // 1000, 2000, 1500
        }
        assert_eq!(search.next(), Some(1000.0));
        for _ in 0..2 {
            search.tell(StepResult::Failed);
        }
        assert_eq!((search.next(), search.found()), (Some(500.0), (None, Some(1000.0))));
        search.tell(StepResult::Held);
        for _ in 0..5 {
            search.tell(StepResult::Held);
        }
        assert_eq!((search.next(), search.found().1), (None, Some(1000.0)));
    }

    #[test]
    fn steps_are_judged_by_the_share_of_slow_answers() {
        let rate = Rate { from: 500.0, to: 500.0 };
        let plan =
            plan(Pace::Open { rate, arrivals: Arrivals::Even, backlog: Duration::from_secs(1) });
        let judged = |quantile, micros, errors| {
            let bound = Bound { quantile, latency: Duration::from_micros(micros), errors };
            judge(500.0, &outcome(), &plan, &bound).result
        };
        assert_eq!(judged(0.99, 2000, 0.1), StepResult::Held);
        assert_eq!(judged(0.5, 1, 0.1), StepResult::Failed);
        assert_eq!(judged(0.99, 2000, 0.0), StepResult::Failed, "three errors");
        // Half of the answers are slower, but all of those came in the second half of the time.
        assert!(matches!(judged(0.5, 500, 0.1), StepResult::Close(_)));
    }

    #[test]
    fn the_curve_is_told_with_its_certainty() {
        let step = |rate, result| Step {
            rate,
            per_second: rate,
            micros: [100, 900, 1000, 2000],
            errors: 0,
            result,
            tester_limited: rate > 1500.0,
        };
        let mut search = Search::new(1000.0, 1e6, 1.0);
        let mut steps = Vec::new();
        for result in [
            StepResult::Held,
            StepResult::Failed,
            StepResult::Held,
            StepResult::Close(false),
            StepResult::Held,
        ] {
            steps.push(step(search.next().unwrap(), result));
            search.tell(result);
        }
        let bound = Bound { quantile: 0.99, latency: Duration::from_millis(1), errors: 0.0 };
        let text = text(&steps, &search, &bound);
        assert!(
            text.contains(
                "1000 per second with p99 below 1.00 ms: held in 3 of 4 runs; 2000 did not hold"
            ),
            "{text}"
        );
        assert!(text.contains("the target may sustain more"), "{text}");
        assert_eq!(json(&steps, &search, &bound)["capacity"], 1000.0);
    }
}
