//! Two runs, or two groups of runs, side by side: ratios, and whether a difference is more than noise.
//! Pure: documents in, table out.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

use crate::units::show_micros;
use serde_json::{Value, json};
use std::fmt::Write;

/// What one figure of the two says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The second is better by more than noise explains.
    Better,
    /// The second is worse by more than noise explains.
    Worse,
    /// Nothing can be said.
    Noise,
}

/// One figure of both.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Medians of the two groups.
    pub values: (f64, f64),
    /// Second to first.
    pub ratio: f64,
    /// A ratio within 1 ± this may be noise.
    pub noise: f64,
    /// What it says.
    pub verdict: Verdict,
}

struct Figure {
    name: &'static str,
    path: &'static [&'static str],
    /// The same by time, if the document has it.
    by_time: Option<&'static str>,
    more_is_better: bool,
    is_micros: bool,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "per second",
        path: &["per_second"],
        by_time: Some("answers"),
        more_is_better: true,
        is_micros: false,
    },
    Figure {
        name: "p50",
        path: &["latency_us", "p50"],
        by_time: Some("p50_us"),
        more_is_better: false,
        is_micros: true,
    },
    Figure {
        name: "p90",
        path: &["latency_us", "p90"],
        by_time: Some("p50_us"),
        more_is_better: false,
        is_micros: true,
    },
    Figure {
        name: "p99",
        path: &["latency_us", "p99"],
        by_time: Some("p99_us"),
        more_is_better: false,
        is_micros: true,
    },
    Figure {
        name: "p99.9",
        path: &["latency_us", "p99.9"],
        by_time: Some("p99_us"),
        more_is_better: false,
        is_micros: true,
    },
    Figure {
        name: "max",
        path: &["latency_us", "max"],
        by_time: Some("max_us"),
        more_is_better: false,
        is_micros: true,
    },
];
/// Standard errors that a difference must exceed.
const ERRORS: f64 = 3.0;
/// Runs of each that show by themselves how runs differ.
const ENOUGH_RUNS: usize = 3;
/// Parts of a run that are taken as measurements of their own.
const BLOCKS: usize = 10;

/// Compares the runs `before` with the runs `after`; differences below `floor` are noise in any case.
#[must_use]
pub fn rows(before: &[Value], after: &[Value], floor: f64) -> Vec<Row> {
    FIGURES.iter().filter_map(|figure| row(figure, before, after, floor)).collect()
}

fn row(figure: &Figure, before: &[Value], after: &[Value], floor: f64) -> Option<Row> {
    let values = |documents: &[Value]| -> Vec<f64> {
        documents.iter().filter_map(|document| value(document, figure.path)).collect()
    };
    let (first, second) = (median(values(before))?, median(values(after))?);
    if first <= 0.0 || second <= 0.0 {
        return None;
    }
    let spread =
        (relative_error(figure, before).powi(2) + relative_error(figure, after).powi(2)).sqrt();
    let (ratio, noise) = (second / first, (ERRORS * spread).max(floor));
    // As far below as above: 1/2 is as much as 2.
    let verdict =
        match (ratio.max(1.0 / ratio) - 1.0 > noise, (ratio > 1.0) == figure.more_is_better) {
            (false, _) => Verdict::Noise,
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
        };
    Some(Row { name: figure.name, values: (first, second), ratio, noise, verdict })
}

fn value(document: &Value, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(document, |value, name| value.get(name))?.as_f64()
}

/// The standard error of a figure, against the figure: from run to run. One or two runs tell too little of
/// that, so there the errors from part to part of each run count as well.
fn relative_error(figure: &Figure, documents: &[Value]) -> f64 {
    let runs: Vec<f64> =
        documents.iter().filter_map(|document| value(document, figure.path)).collect();
    let between = standard_error(&runs);
    if documents.len() >= ENOUGH_RUNS {
        return between;
    }
    let within = documents.iter().map(|document| standard_error(&blocks(document, figure.by_time)));
    within.fold(between, f64::max)
}

/// Of the mean of `samples`, against that mean.
fn standard_error(samples: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    if samples.len() < 2 || mean <= 0.0 {
        return 0.0;
    }
    let variance =
        samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (variance / count).sqrt() / mean
}

/// Means of consecutive parts of a run. The first and last point may be partial, so they are left out.
fn blocks(document: &Value, name: Option<&str>) -> Vec<f64> {
    let points = document["by_time"]["points"].as_array().map(Vec::as_slice).unwrap_or_default();
    let points = points.get(1..points.len().saturating_sub(1)).unwrap_or_default();
    let Some(name) = name else { return Vec::new() };
    let values: Vec<f64> = points.iter().filter_map(|point| point[name].as_f64()).collect();
    let length = values.len().div_ceil(BLOCKS).max(1);
    values.chunks(length).map(|block| block.iter().sum::<f64>() / block.len() as f64).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    let lower =
        if values.len().is_multiple_of(2) { values.get(middle - 1).copied()? } else { upper };
    Some(f64::midpoint(lower, upper))
}

/// The comparison for people.
#[must_use]
pub fn text(rows: &[Row], before: &[Value], after: &[Value]) -> String {
    let mut out =
        format!("{:12}{:>14}{:>14}{:>9}{:>10}  verdict\n", "", "A", "B", "B / A", "noise");
    for row in rows {
        let is_micros = FIGURES.iter().any(|figure| figure.name == row.name && figure.is_micros);
        let show = |value: f64| if is_micros { show_micros(value) } else { format!("{value:.0}") };
        let verdict = match row.verdict {
            Verdict::Better => "B is better",
            Verdict::Worse => "B is WORSE",
            Verdict::Noise => "no difference that could not be noise",
        };
        _ = writeln!(
            out,
            "{:12}{:>14}{:>14}{:>9.3}{:>10}  {verdict}",
            row.name,
            show(row.values.0),
            show(row.values.1),
            row.ratio,
            format!("±{:.1} %", row.noise * 100.0)
        );
    }
    let errors = |documents: &[Value]| -> u64 {
        documents.iter().filter_map(|document| document["errors"].as_u64()).sum()
    };
    _ = writeln!(out, "{:12}{:>14}{:>14}", "errors", errors(before), errors(after));
    if before.len() < ENOUGH_RUNS || after.len() < ENOUGH_RUNS {
        out.push_str(
            "noise: 3 standard errors within the runs; how runs differ is hardly in it. Give three runs of each, or more: A1.json,A2.json,A3.json B1.json,B2.json,B3.json\n",
        );
    } else {
        out.push_str("noise: 3 standard errors of the difference, from run to run\n");
    }
    for (name, documents) in [("A", before), ("B", after)] {
        let limited =
            |document: &&Value| document["tester"]["busy_share"].as_f64().unwrap_or(0.0) > 0.9;
        if documents.iter().any(|document| limited(&document)) {
            _ = writeln!(
                out,
                "NOTE: the tester was the bottleneck in {name}: its throughput is not the target's"
            );
        }
    }
    let plans =
        |documents: &[Value]| documents.first().map(|document| comparable(&document["plan"]));
    if plans(before) != plans(after) {
        out.push_str("NOTE: the plans of A and B differ\n");
    }
    out
}

/// A plan without the address, which may differ.
fn comparable(plan: &Value) -> Value {
    let mut plan = plan.clone();
    if let Some(map) = plan.as_object_mut() {
        map.remove("target");
        map.remove("requests");
    }
    plan
}

/// The comparison for programs.
#[must_use]
pub fn json(rows: &[Row]) -> Value {
    let rows = rows.iter().map(|row| {
        json!({
            "name": row.name, "a": row.values.0, "b": row.values.1, "ratio": row.ratio, "noise": row.noise,
            "verdict": match row.verdict {
                Verdict::Better => "better",
                Verdict::Worse => "worse",
                Verdict::Noise => "noise",
            },
        })
    });
    json!({ "figures": rows.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose throughput per interval goes through `answers`.
    fn run(answers: &[u64], p99: u64) -> Value {
        let points: Vec<_> = answers
            .iter()
            .map(|n| json!({"answers": n, "p50_us": 10, "p99_us": p99, "max_us": p99}))
            .collect();
        let per_second = answers.iter().sum::<u64>() as f64 / answers.len() as f64;
        json!({
            "per_second": per_second, "errors": 1, "plan": {"loop": "closed"},
            "latency_us": {"p50": 10, "p90": 10, "p99": p99, "p99.9": p99, "max": p99},
            "by_time": {"points": points},
        })
    }

    fn verdicts(a: &[Value], b: &[Value]) -> Vec<(&'static str, Verdict)> {
        rows(a, b, 0.05).iter().map(|row| (row.name, row.verdict)).collect()
    }

    #[test]
    fn steady_runs_differ_by_little() {
        let steady = |level: u64, p99| run(&[level; 20], p99);
        let found = verdicts(&[steady(1000, 50)], &[steady(1200, 80)]);
        assert_eq!(found[0], ("per second", Verdict::Better));
        assert_eq!(found[1], ("p50", Verdict::Noise));
        assert_eq!(found[3], ("p99", Verdict::Worse));
        let found = verdicts(&[steady(1000, 50)], &[steady(1040, 50)]);
        assert_eq!(found[0].1, Verdict::Noise, "below the floor");
        let found = verdicts(&[steady(1000, 50)], &[steady(800, 30)]);
        assert_eq!((found[0].1, found[3].1), (Verdict::Worse, Verdict::Better));
    }

    #[test]
    fn unsteady_runs_prove_nothing() {
        let restless: Vec<u64> = (0..20).map(|n| if n / 4 % 2 == 0 { 200 } else { 1800 }).collect();
        let found = verdicts(&[run(&restless, 50)], &[run(&[1200; 20], 50)]);
        assert_eq!(found[0].1, Verdict::Noise);
    }

    #[test]
    fn several_runs_show_their_own_noise() {
        let group = |levels: [u64; 3]| levels.map(|level| run(&[level; 20], 50));
        let found = verdicts(&group([900, 1000, 1100]), &group([1000, 1120, 1240]));
        assert_eq!(found[0].1, Verdict::Noise);
        let found = verdicts(&group([990, 1000, 1010]), &group([1110, 1120, 1130]));
        assert_eq!(found[0].1, Verdict::Better);
    }

    #[test]
    fn the_table_says_what_it_is_worth() {
        let (a, b) = ([run(&[1000; 5], 50)], [run(&[1500; 5], 50)]);
        let mut other = b.clone();
        other[0]["plan"]["loop"] = "open".into();
        other[0]["tester"]["busy_share"] = 0.95.into();
        let text = text(&rows(&a, &other, 0.05), &a, &other);
        for part in
            ["1.500", "B is better", "plans of A and B differ", "bottleneck in B", "Give three"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
