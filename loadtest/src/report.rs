//! What a run found, as a document with stable names: the JSON report, and the base of all others.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

pub mod hdr_log;
pub mod html;
mod notes;
pub mod progress;
mod svg;
pub mod text;

use crate::load::{Outcome, ThreadOutcome};
use crate::plan::{Pace, Plan};
use crate::schedule::Arrivals;
use crate::slots::Slots;
use crate::tally::Portion;
use hdrhistogram::{Counter, Histogram};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The quantiles of reports, by name.
pub const QUANTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];
/// About this many points of time are kept in a report.
const POINTS: u128 = 240;
const SHORTEST_POINT: Duration = Duration::from_millis(100);
/// The connections' spread is drawn with at most so many.
const SPREAD_POINTS: usize = 100;

/// The report of `outcome`.
#[must_use]
pub fn document(plan: &Plan, outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let seconds = outcome.elapsed.as_secs_f64();
    let failures: Map<String, Value> =
        tally.failures.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
    let statuses: Map<String, Value> =
        tally.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
    let cpu: Duration = outcome.threads.iter().map(|thread| thread.cpu.ran).sum();
    let exchanges = tally.answers + tally.failure_count();
    let mut document = json!({
        "answers": tally.answers,
        "errors": tally.failure_count(),
        "connections": tally.connections,
        "bytes": tally.bytes,
        "seconds": round(seconds, 6),
        "per_second": round(tally.answers as f64 / seconds.max(1e-6), 1),
        "latency_us": latencies(&tally.latencies),
        "errors_by_kind": failures,
        "statuses": statuses,
        "service_us": latencies(&tally.service),
        "connect_us": latencies(&tally.connects),
        "plan": described(plan),
        "warm_up": { "answers": tally.warm_up.0, "errors": tally.warm_up.1 },
        "tester": {
            "cpu_us_per_exchange": round(cpu.as_secs_f64() * 1e6 / exchanges.max(1) as f64, 3),
            "busy_share": round(largest(&outcome.threads, busy), 3),
            "waited_share": round(largest(&outcome.threads, waited), 3),
            "threads": outcome.threads.iter().map(thread).collect::<Vec<_>>(),
        },
        "by_connection": spread(&tally.by_connection),
        "by_time": by_time(&tally.slots),
        "percentiles": percentiles(&tally.latencies),
    });
    if plan.tls.is_some() {
        document["handshake_us"] = latencies(&tally.handshakes);
        document["handshakes"] = json!({
            "full": tally.handshakes.len() - tally.resumed, "resumed": tally.resumed,
        });
    }
    if tally.by_request.len() > 1 {
        let names = plan.mix.requests().iter().map(|request| request.name.as_str());
        let requests = names.zip(&tally.by_request).map(request);
        document["by_request"] = Value::Array(requests.collect());
    }
    if let Pace::Open { .. } = plan.pace {
        document["open_loop"] = open_loop(plan, outcome);
    }
    document["notes"] = json!(notes::of(plan, outcome));
    document
}

/// Count, mean, deviation, quantiles and maximum.
fn latencies<C: Counter>(histogram: &Histogram<C>) -> Value {
    let mut map = Map::new();
    for (name, quantile) in QUANTILES {
        map.insert(name.to_owned(), json!(histogram.value_at_quantile(quantile)));
    }
    map.insert("max".to_owned(), json!(histogram.max()));
    map.insert("mean".to_owned(), json!(round(histogram.mean(), 1)));
    map.insert("stdev".to_owned(), json!(round(histogram.stdev(), 1)));
    map.insert("count".to_owned(), json!(histogram.len()));
    Value::Object(map)
}

fn described(plan: &Plan) -> Value {
    let loop_kind = match plan.pace {
        Pace::Closed => json!("closed"),
        Pace::Open { .. } => json!("open"),
    };
    let mut described = json!({
        "target": plan.target,
        "loop": loop_kind,
        "threads": plan.cores.len(),
        "connections": plan.connections,
        "pipeline": plan.depth,
        "warm_up_seconds": plan.warm_up.as_secs_f64(),
        "duration_seconds": plan.duration.as_secs_f64(),
        "timeout_seconds": plan.timeout.as_secs_f64(),
        "requests": plan.mix.requests().iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
    });
    if let Pace::Open { rate, arrivals, backlog } = plan.pace {
        described["rate"] = json!([rate.from, rate.to]);
        described["arrivals"] = json!(match arrivals {
            Arrivals::Even => "even",
            Arrivals::Poisson => "poisson",
        });
        described["backlog_seconds"] = json!(backlog.as_secs_f64());
    }
    if let Some(most) = plan.reconnect_after {
        described["reconnect_after"] = json!(most);
    }
    if let Some(tls) = &plan.tls {
        described["handshakes"] = json!(if tls.resume { "resumed" } else { "full" });
    }
    described
}

fn open_loop(plan: &Plan, outcome: &Outcome) -> Value {
    let tally = &outcome.tally;
    let unsent = tally.failures.get(&crate::failure::Failure::Unsent).copied().unwrap_or(0);
    let intended = tally.answers + tally.failure_count();
    let seconds = plan.duration.as_secs_f64();
    json!({
        "intended": intended,
        "intended_per_second": round(intended as f64 / seconds, 1),
        "unsent": unsent,
        "waited_for_a_connection": tally.waited,
        "longest_wait_us": u64::try_from(tally.longest_wait.as_micros()).unwrap_or(u64::MAX),
        "tester_lag_us": latencies(&tally.lag),
        "kept_up": notes::kept_up(plan, outcome),
    })
}

fn thread(thread: &ThreadOutcome) -> Value {
    json!({
        "core": thread.core,
        "runtime": format!("{:?}", thread.driver).to_lowercase(),
        "connections": thread.connections,
        "answers": thread.answers,
        "errors": thread.errors,
        "p50_us": thread.p50_p99.0,
        "p99_us": thread.p50_p99.1,
        "busy_share": round(busy(thread), 3),
        "waited_share": round(waited(thread), 3),
    })
}

fn busy(thread: &ThreadOutcome) -> f64 {
    thread.cpu.ran.as_secs_f64() / thread.wall.as_secs_f64().max(1e-6)
}

fn waited(thread: &ThreadOutcome) -> f64 {
    thread.cpu.waited.unwrap_or_default().as_secs_f64() / thread.wall.as_secs_f64().max(1e-6)
}

fn largest(threads: &[ThreadOutcome], of: fn(&ThreadOutcome) -> f64) -> f64 {
    threads.iter().map(of).fold(0.0, f64::max)
}

fn request((name, portion): (&str, &Portion)) -> Value {
    json!({
        "name": name,
        "answers": portion.answers,
        "errors": portion.errors,
        "latency_us": portion.latencies.as_ref().map(latencies),
    })
}

/// How evenly the connections were served.
fn spread(portions: &[Portion]) -> Value {
    let mean = |portion: &Portion| portion.micros / portion.answers.max(1);
    let sorted = |value: &dyn Fn(&Portion) -> u64| {
        let mut values: Vec<u64> = portions.iter().map(value).collect();
        values.sort_unstable();
        let last = values.len().saturating_sub(1);
        let points = values.len().min(SPREAD_POINTS);
        let pick =
            |index: usize| values.get(index * last / points.saturating_sub(1).max(1)).copied();
        (0..points).filter_map(pick).collect::<Vec<_>>()
    };
    json!({
        "answers_sorted": sorted(&|portion| portion.answers),
        "mean_us_sorted": sorted(&mean),
        "with_errors": portions.iter().filter(|portion| portion.errors > 0).count(),
    })
}

fn by_time(slots: &Slots) -> Value {
    let span = slots.length().as_nanos() * slots.all().len() as u128 / POINTS;
    let span = Duration::from_nanos(u64::try_from(span).unwrap_or(u64::MAX));
    let slots = slots.coarse(nice(span));
    let seconds = slots.length().as_secs_f64();
    let points = slots.all().iter().enumerate().map(|(index, slot)| {
        let at = |quantile| slot.latencies.value_at_quantile(quantile);
        json!({
            "at": round(index as f64 * seconds, 3),
            "answers": slot.answers,
            "errors": slot.errors,
            "bytes": slot.bytes,
            "p50_us": at(0.5), "p99_us": at(0.99), "max_us": slot.latencies.max(),
        })
    });
    json!({ "interval_seconds": seconds, "points": points.collect::<Vec<_>>() })
}

/// The next of 0.1, 0.2, 0.5, 1, 2, 5, ... seconds.
fn nice(span: Duration) -> Duration {
    let mut step = SHORTEST_POINT;
    for factor in [2, 5, 10].into_iter().cycle() {
        if step >= span {
            break;
        }
        step = match factor {
            2 => step * 2,
            5 => step / 2 * 5,
            _ => step * 2,
        };
    }
    step
}

/// The curve: share of the answers, in percent, and the latency that so many did not exceed.
fn percentiles(histogram: &Histogram<u64>) -> Value {
    let mut points = Vec::new();
    let mut last = None;
    for value in histogram.iter_quantiles(5) {
        let point = (round(value.quantile_iterated_to() * 100.0, 5), value.value_iterated_to());
        if last != Some(point) {
            points.push(json!([point.0, point.1]));
        }
        last = Some(point);
    }
    Value::Array(points)
}

pub(crate) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    if value.is_finite() { (value * scale).round() / scale } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cpu::ThreadTime;
    use crate::failure::Failure;
    use crate::request::{Mix, Written};
    use crate::runtime::{self, Driver};
    use crate::tally::{Good, Tally};
    use std::path::Path;
    use std::sync::Arc;

    pub(crate) fn plan(pace: Pace) -> Plan {
        let written: Written = toml::from_str("path = \"/a\"").unwrap();
        Plan {
            target: "http://h/a".to_owned(),
            address: ([127, 0, 0, 1], 1).into(),
            tls: None,
            mix: Arc::new(Mix::new(&[written], "h", Path::new("")).unwrap()),
            pace,
            connections: 4,
            depth: 1,
            reconnect_after: None,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(2),
            requests: None,
            timeout: Duration::from_secs(10),
            cores: vec![None],
            seed: 1,
        }
    }

    /// A run of two seconds: 1000 answers of 1 to 1000 us, evenly spread, and three errors.
    pub(crate) fn outcome() -> Outcome {
        let mut tally = Tally::new(4, 1).unwrap();
        for micros in 1..=1000 {
            let latency = Duration::from_micros(micros);
            let (connection, at) = (micros as usize % 4, Duration::from_millis(micros * 2 - 1));
            tally.answered(&Good {
                connection,
                request: 0,
                payload: 10,
                latency,
                service: latency,
                at,
            });
        }
        for failure in [Failure::Length, Failure::Connect, Failure::Length] {
            tally.failed(failure, 1, 0, Duration::from_millis(500));
        }
        tally.connections = 4;
        let wall = Duration::from_secs(2);
        let cpu = ThreadTime { ran: wall / 4, waited: Some(Duration::ZERO) };
        let thread = ThreadOutcome {
            core: Some(1),
            driver: Driver::Deferred,
            connections: 4,
            answers: 1000,
            errors: 3,
            p50_p99: (500, 990),
            cpu,
            wall,
        };
        Outcome { tally, threads: vec![thread], elapsed: wall, measured_from: runtime::now() }
    }

    #[test]
    fn names_are_stable() {
        let document = document(&plan(Pace::Closed), &outcome());
        assert_eq!(document["answers"], 1000);
        assert_eq!(document["errors"], 3);
        assert_eq!(document["connections"], 4);
        assert_eq!(document["bytes"], 10_000);
        assert_eq!(document["seconds"], 2.0);
        assert_eq!(document["per_second"], 500.0);
        let latency = &document["latency_us"];
        let found =
            ["p50", "p90", "p99", "p99.9", "max"].map(|name| latency[name].as_u64().unwrap());
        assert_eq!(found, [500, 900, 990, 999, 1000]);
        assert_eq!(document["errors_by_kind"], json!({ "connect": 1, "length": 2 }));
        assert_eq!(document["tester"]["busy_share"], 0.25);
        let points = document["by_time"]["points"].as_array().unwrap();
        assert_eq!(
            (points.len(), &points[0]["answers"], &points[5]["errors"]),
            (20, &json!(50), &json!(3))
        );
        assert_eq!(document["by_connection"]["answers_sorted"], json!([250, 250, 250, 250]));
    }

    #[test]
    fn points_of_time_are_of_round_lengths() {
        let shown: Vec<_> = [0, 100, 101, 400, 900, 1500, 3000, 70_000]
            .map(|millis| nice(Duration::from_millis(millis)).as_millis())
            .into();
        assert_eq!(shown, [100, 100, 200, 500, 1000, 2000, 5000, 100_000]);
    }
}
