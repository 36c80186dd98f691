//! `eject` and `retry` of a pool: what counts as a member's failure, and what follows from it.

use toml::de::DeValue;

use super::check_route::push_once;
use super::checked_pool::{
    Comparison, EjectConfig, FailureSet, LatencyConfig, RetryConfig, SuccessRateConfig,
};
use super::document::{Findings, Table, number, span_of, wrong_type};
use super::error::{Mistake, Span};
use super::nearest::nearest;
use super::status::{self, FAILURE_MIN};

/// The words of `on`.
const WORDS: [&str; 4] = ["connect", "reset", "timeout", "bad-answer"];

pub(super) fn eject(pool: &Table<'_>, findings: &mut Findings) -> Option<EjectConfig> {
    let table = pool.switch("eject", findings)?;
    let default = FailureSet {
        connect: true,
        reset: true,
        timeout: true,
        bad_answer: true,
        statuses: vec![],
    };
    Some(EjectConfig {
        failures: failure_count(&table, findings),
        window: table.time("window", findings),
        out_for: table.time("for", findings),
        on: failures(&table, findings).unwrap_or(default),
        max_share: table.percent("max_share", findings),
        success_rate: table.switch("success_rate", findings).map(|table| SuccessRateConfig {
            compare: comparison(&table, findings),
            worse_by: table.percent("worse_by", findings),
        }),
        latency: table.switch("latency", findings).map(|table| LatencyConfig {
            compare: comparison(&table, findings),
            factor: table.count32("factor", findings),
            intervals: table.count32("intervals", findings),
            least: table.time("least", findings),
        }),
    })
}

fn comparison(table: &Table<'_>, findings: &mut Findings) -> Comparison {
    Comparison {
        interval: table.time("interval", findings),
        requests: table.count32("requests", findings),
        members: table.count32("members", findings),
    }
}

/// `None`: their number alone takes nobody out.
fn failure_count(table: &Table<'_>, findings: &mut Findings) -> Option<u32> {
    const DEFAULT: u32 = 5;
    let Some((key, value)) = table.get("failures") else { return Some(DEFAULT) };
    if value.get_ref().as_str() == Some("none") {
        return None;
    }
    let count = number(key, value, 1, 10_000, findings);
    Some(count.and_then(|count| u32::try_from(count).ok()).unwrap_or(DEFAULT))
}

pub(super) fn retry(pool: &Table<'_>, findings: &mut Findings) -> Option<RetryConfig> {
    let table = pool.switch("retry", findings)?;
    let default = FailureSet {
        connect: true,
        reset: true,
        timeout: true,
        bad_answer: false,
        statuses: vec![],
    };
    let on = failures(&table, findings).unwrap_or(default);
    let try_timeout = table.time_cap("try_timeout", findings);
    if let (false, Some(_), Some((_, value))) = (on.timeout, try_timeout, table.get("try_timeout"))
    {
        findings.add(span_of(value), Mistake::UselessTryTimeout);
    }
    Some(RetryConfig {
        on,
        try_timeout,
        idempotency_key: table.flag("idempotency_key", findings),
        attempts: table.count32("attempts", findings),
        budget: table.percent("budget", findings),
        floor: table.count32("floor", findings),
        deadline: table.time("deadline", findings),
        body: table.bounded("body", findings),
    })
}

/// One entry of `on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Word(usize),
    Status(u16),
}

/// The list `on`; `None`: absent.
fn failures(table: &Table<'_>, findings: &mut Findings) -> Option<FailureSet> {
    let (key, value) = table.get("on")?;
    let mut found: Vec<(Failure, Span)> = Vec::new();
    let items = match value.get_ref() {
        DeValue::Array(items) => {
            if items.is_empty() {
                findings.add(span_of(value), Mistake::EmptyList { key: key.name });
            }
            items.iter().collect()
        }
        _ => vec![value],
    };
    for item in items {
        let failure = match failure(item) {
            Some(Ok(failure)) => failure,
            Some(Err(mistake)) => {
                findings.add(span_of(item), mistake);
                continue;
            }
            None => {
                findings.add(span_of(item), wrong_type(key, item));
                continue;
            }
        };
        push_once(&mut found, failure, span_of(item), findings);
    }
    Some(set(found.into_iter().map(|(failure, _)| failure)))
}

/// `None`: a value of another type.
fn failure(item: &toml::Spanned<DeValue<'_>>) -> Option<Result<Failure, Mistake>> {
    if let DeValue::String(word) = item.get_ref()
        && !word.starts_with(|c: char| c.is_ascii_digit())
    {
        let known = WORDS.iter().position(|known| known == word);
        return Some(known.map(Failure::Word).ok_or_else(|| {
            let nearest = nearest(word, WORDS);
            Mistake::BadFailure { word: word.to_string(), nearest }
        }));
    }
    let status = status::status(item, FAILURE_MIN)?;
    Some(status.map(Failure::Status).map_err(Mistake::BadStatus))
}

fn set(failures: impl Iterator<Item = Failure>) -> FailureSet {
    let mut set = FailureSet::default();
    for failure in failures {
        match failure {
            Failure::Word(0) => set.connect = true,
            Failure::Word(1) => set.reset = true,
            Failure::Word(2) => set.timeout = true,
            Failure::Word(_) => set.bad_answer = true,
            Failure::Status(status) => set.statuses.push(status),
        }
    }
    set.statuses.sort_unstable();
    set
}
