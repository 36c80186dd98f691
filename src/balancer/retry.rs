//! Whether a request may be sent again: one decision, from all that bears on it. Pure: the caller
//! says what time it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::outcome::Outcome;
use crate::config::RetryConfig;
use crate::ids::WorkerId;

/// Seconds over which the budget is a share of the requests.
const WINDOW: usize = 10;

/// Requests and retries of one worker in each of the last seconds. Written by its worker only.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Row {
    /// A second in the upper half, a count in the lower one.
    requests: [AtomicU64; WINDOW],
    retries: [AtomicU64; WINDOW],
}

fn bump(cells: &[AtomicU64; WINDOW], second: u32) {
    if let Some(cell) = cells.get(second as usize % WINDOW) {
        let value = cell.load(Ordering::Relaxed);
        let fresh = (value >> 32) as u32 == second;
        let count = if fresh { value & u64::from(u32::MAX) } else { 0 };
        cell.store((u64::from(second) << 32) | count.wrapping_add(1), Ordering::Relaxed);
    }
}

/// The counts of the `span` seconds that end with `now`. A worker whose ticks run ahead may be in
/// the next second already: that counts as this one.
fn sum(cells: &[AtomicU64; WINDOW], now: u32, span: u32) -> u64 {
    cells
        .iter()
        .map(|cell| cell.load(Ordering::Relaxed))
        .filter(|value| now.saturating_sub((value >> 32) as u32) < span)
        .map(|value| value & u64::from(u32::MAX))
        .sum()
}

/// The retries that a pool may spend, host-wide: a share of its requests, and a floor. Without it,
/// retries would multiply the load on members that fail because of their load.
#[derive(Debug)]
pub(super) struct Budget {
    rows: Vec<Row>,
}

impl Budget {
    pub(super) fn new(workers: usize) -> Self {
        Self { rows: (0..workers).map(|_| Row::default()).collect() }
    }

    /// Counts a request. Owner worker only.
    pub(super) fn request(&self, worker: WorkerId, second: u32) {
        if let Some(row) = self.rows.get(worker.index()) {
            bump(&row.requests, second);
        }
    }

    /// Takes one retry; false if the budget is spent. Owner worker only. Two workers that take at
    /// the same instant may together take one too many.
    fn take(&self, worker: WorkerId, second: u32, config: &RetryConfig) -> bool {
        let all = |cells: fn(&Row) -> &[AtomicU64; WINDOW], span| -> u64 {
            self.rows.iter().map(|row| sum(cells(row), second, span)).sum()
        };
        let just_now = all(|row| &row.retries, 1);
        let within = || {
            let requests = all(|row| &row.requests, WINDOW as u32);
            let retries = all(|row| &row.retries, WINDOW as u32);
            retries.saturating_mul(100) < requests.saturating_mul(u64::from(config.budget))
        };
        let granted = just_now < u64::from(config.floor) || within();
        if granted && let Some(row) = self.rows.get(worker.index()) {
            bump(&row.retries, second);
        }
        granted
    }
}

/// What is known of a request when one attempt at it has failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// How the member behaved.
    pub outcome: Outcome,
    /// No byte of the request can have reached the member.
    pub unsent: bool,
    /// The method is idempotent (RFC 9110 section 9.2.2), or the client vouched for it.
    pub idempotent: bool,
    /// The body, if any, can be sent once more.
    pub replayable: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Time since the request's head was whole.
    pub age: Duration,
}

/// Why a request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `retry = "off"`, or `retry.on` does not name the failure.
    NotCovered,
    /// Doing it twice may not be the same as doing it once.
    NotIdempotent,
    /// Its body is gone.
    BodyGone,
    /// `retry.attempts` are used up.
    Attempts,
    /// `retry.deadline` has passed.
    Deadline,
    /// The budget is spent.
    Budget,
}

impl Refusal {
    /// Its word in logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotCovered => "not_covered",
            Self::NotIdempotent => "not_idempotent",
            Self::BodyGone => "body_gone",
            Self::Attempts => "attempts",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

/// The rules of one pool on one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) config: Option<&'a RetryConfig>,
    pub(super) budget: &'a Budget,
    pub(super) worker: WorkerId,
}

impl Rules<'_> {
    /// Whether the request may be sent again; a yes is charged to the budget.
    pub(super) fn allow(&self, attempted: &Attempted, second: u32) -> Result<(), Refusal> {
        let config = self.config.ok_or(Refusal::NotCovered)?;
        if attempted.outcome.is_failure(&config.on) != Some(true) {
            return Err(Refusal::NotCovered);
        }
        if !attempted.unsent && !attempted.idempotent {
            return Err(Refusal::NotIdempotent);
        }
        if !attempted.unsent && !attempted.replayable {
            return Err(Refusal::BodyGone);
        }
        if attempted.attempts > config.attempts {
            return Err(Refusal::Attempts);
        }
        if attempted.age > config.deadline {
            return Err(Refusal::Deadline);
        }
        if !self.budget.take(self.worker, second, config) {
            return Err(Refusal::Budget);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Fault;
    use super::*;
    use crate::config::FailureSet;

    fn config() -> RetryConfig {
        let on = FailureSet {
            connect: true,
            reset: true,
            timeout: false,
            bad_answer: false,
            statuses: vec![503],
        };
        let deadline = Duration::from_secs(1);
        RetryConfig {
            on,
            attempts: 2,
            budget: 20,
            floor: 3,
            try_timeout: None,
            idempotency_key: false,
            deadline,
            body: 1024,
        }
    }

    const FAILED: Attempted = Attempted {
        outcome: Outcome::Failed(Fault::Reset),
        unsent: false,
        idempotent: true,
        replayable: true,
        attempts: 1,
        age: Duration::ZERO,
    };

    const fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, first_byte: Duration::ZERO }
    }

    #[test]
    fn every_rule_can_refuse() {
        let (config, budget) = (config(), Budget::new(1));
        let rules = Rules { config: Some(&config), budget: &budget, worker: WorkerId(0) };
        let unsent = Attempted { unsent: true, idempotent: false, replayable: false, ..FAILED };
        for (attempted, expected) in [
            (FAILED, Ok(())),
            (Attempted { outcome: Outcome::Failed(Fault::Connect), ..unsent }, Ok(())),
            (Attempted { outcome: answered(503), ..FAILED }, Ok(())),
            (Attempted { outcome: answered(502), ..FAILED }, Err(Refusal::NotCovered)),
            (
                Attempted { outcome: Outcome::Failed(Fault::Timeout), ..FAILED },
                Err(Refusal::NotCovered),
            ),
            (Attempted { outcome: Outcome::Abandoned, ..FAILED }, Err(Refusal::NotCovered)),
            (Attempted { idempotent: false, ..FAILED }, Err(Refusal::NotIdempotent)),
            (Attempted { replayable: false, ..FAILED }, Err(Refusal::BodyGone)),
            (Attempted { attempts: 3, ..FAILED }, Err(Refusal::Attempts)),
            (Attempted { age: Duration::from_secs(2), ..FAILED }, Err(Refusal::Deadline)),
        ] {
            // A second each, so that the floor lets all of them through.
            assert_eq!(rules.allow(&attempted, 100), expected, "{attempted:?}");
        }
        assert_eq!(rules.allow(&FAILED, 100), Err(Refusal::Budget));
        let off = Rules { config: None, ..rules };
        assert_eq!(off.allow(&FAILED, 200), Err(Refusal::NotCovered));
    }

    #[test]
    fn the_budget_is_a_share_of_all_workers_requests() {
        let config = RetryConfig { floor: 0, ..config() };
        let budget = Budget::new(2);
        for second in 50..60 {
            for _ in 0..10 {
                budget.request(WorkerId(0), second);
            }
        }
        let rules = Rules { config: Some(&config), budget: &budget, worker: WorkerId(1) };
        let granted = (0..100).filter(|_| rules.allow(&FAILED, 59).is_ok()).count();
        assert_eq!(granted, 20, "20 % of 100 requests");
        // Nine of the ten seconds have passed out of the window, and so have no retries.
        assert_eq!(rules.allow(&FAILED, 68), Err(Refusal::Budget));
        // All of them.
        assert_eq!(rules.allow(&FAILED, 69), Err(Refusal::Budget));
    }

    #[test]
    fn retries_of_a_worker_that_is_a_second_ahead_count() {
        let config = RetryConfig { floor: 0, ..config() };
        let budget = Budget::new(2);
        (0..10).for_each(|_| budget.request(WorkerId(0), 59));
        let rules = |worker| Rules { config: Some(&config), budget: &budget, worker };
        let granted = |worker, second| {
            (0..10).filter(|_| rules(worker).allow(&FAILED, second).is_ok()).count()
        };
        assert_eq!(granted(WorkerId(1), 60), 2, "20 % of 10 requests");
        assert_eq!(granted(WorkerId(0), 59), 0, "they are spent");
    }
}
