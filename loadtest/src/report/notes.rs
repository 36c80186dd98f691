//! What a reader of a report must know before believing it: who was the limit, and what was not sent.

use crate::failure::Failure;
use crate::load::{Outcome, ThreadOutcome};
use crate::plan::{Pace, Plan};
use crate::units::show_micros;

/// A thread that ran for more than this share of the time had nothing left to give.
const BUSY: f64 = 0.9;
/// A thread that waited for a core for more than this share was late through others.
const WAITED: f64 = 0.1;
/// Longer waits for a free connection mean a backlog.
const BACKLOG_MICROS: u128 = 100_000;
const LAG_MICROS: u64 = 1000;

/// Whether an open loop's requests were sent when they should be.
pub(super) fn kept_up(plan: &Plan, outcome: &Outcome) -> bool {
    let tally = &outcome.tally;
    let unsent = tally.failures.contains_key(&Failure::Unsent);
    let late = tally.longest_wait.as_micros() > BACKLOG_MICROS;
    plan.pace == Pace::Closed || !unsent && !late
}

/// One sentence per matter.
pub(super) fn of(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    for (index, thread) in outcome.threads.iter().enumerate() {
        let (busy, waited) = (super::busy(thread), super::waited(thread));
        if busy > BUSY {
            // An open loop that was in time was not the limit, whatever it cost.
            let in_time = plan.pace != Pace::Closed && kept_up(plan, outcome);
            let what = if in_time {
                "the tester has little left for a higher rate"
            } else {
                "the tester was the bottleneck; give it more threads or cores"
            };
            let percent = busy * 100.0;
            notes
                .push(format!("thread {index} was on its core {percent:.0} % of the time: {what}"));
        }
        if waited > WAITED {
            notes.push(format!(
                "thread {index} waited {:.0} % of the time for a core that others used: its latencies include that",
                waited * 100.0
            ));
        }
    }
    let tally = &outcome.tally;
    if let Pace::Open { backlog, .. } = plan.pace {
        if let Some(unsent) = tally.failures.get(&Failure::Unsent) {
            notes.push(format!(
                "{unsent} requests were never sent: no connection was free within {} of their turn; they are errors, and the percentiles are those of the others",
                show_micros(backlog.as_secs_f64() * 1e6)
            ));
        }
        if !kept_up(plan, outcome) {
            let disturbed = |thread: &ThreadOutcome| {
                super::waited(thread) > WAITED || super::busy(thread) > BUSY
            };
            let who = if outcome.threads.iter().any(disturbed) {
                "the target or the tester"
            } else {
                "the target"
            };
            notes.push(format!(
                "{who} did not keep up with {} connections: a request waited up to {} for a free one, which its latency includes",
                plan.connections,
                show_micros(tally.longest_wait.as_secs_f64() * 1e6)
            ));
        }
        let lag = tally.lag.value_at_quantile(0.99);
        if lag > LAG_MICROS {
            notes.push(format!(
                "the tester itself sent 1 % of the requests more than {} late: it needs a core of its own",
                show_micros(lag as f64)
            ));
        }
    }
    if tally.warm_up.1 > 0 {
        notes.push(format!("{} more errors happened during the warm-up", tally.warm_up.1));
    }
    if tally.answers == 0 {
        notes.push("there was no good answer".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::tests::{outcome, plan};
    use super::*;
    use crate::schedule::Arrivals;
    use crate::units::Rate;
    use std::time::Duration;

    #[test]
    fn a_quiet_run_needs_no_notes() {
        assert_eq!(of(&plan(Pace::Closed), &outcome()), Vec::<String>::new());
    }

    #[test]
    fn limits_of_the_tester_are_told() {
        let mut outcome = outcome();
        let thread = &mut outcome.threads[0];
        thread.cpu.ran = thread.wall * 95 / 100;
        thread.cpu.waited = Some(thread.wall / 5);
        let notes = of(&plan(Pace::Closed), &outcome).join("\n");
        assert!(notes.contains("95 % of the time: the tester was the bottleneck"), "{notes}");
        assert!(notes.contains("waited 20 %"), "{notes}");
    }

    #[test]
    fn a_backlog_is_told() {
        let rate = Rate { from: 1000.0, to: 1000.0 };
        let backlog = Duration::from_secs(1);
        let plan = plan(Pace::Open { rate, arrivals: Arrivals::Even, backlog });
        let mut outcome = outcome();
        assert!(kept_up(&plan, &outcome));
        outcome.threads[0].cpu.ran = outcome.threads[0].wall * 95 / 100;
        assert!(of(&plan, &outcome).join("\n").contains("little left for a higher rate"));
        outcome.tally.longest_wait = backlog;
        outcome.tally.failures.insert(Failure::Unsent, 7);
        let notes = of(&plan, &outcome).join("\n");
        assert!(!kept_up(&plan, &outcome));
        assert!(notes.contains("7 requests were never sent"), "{notes}");
        assert!(notes.contains("the target or the tester did not keep up"), "{notes}");
    }
}
