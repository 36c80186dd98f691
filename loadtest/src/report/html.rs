//! The report as one page that needs nothing else: tables, and curves as SVG. Made of the document,
//! so that a saved report can be drawn later.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

use crate::report::QUANTILES;
use crate::report::svg::{Axis, Chart, Line, escape};
use crate::units::show_micros;
use serde_json::Value;
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#667;--paper:#fff;--grid:#e4e6ea;--a:#1f6feb;--b:#d97706;--c:#15803d;--bad:#dc2626}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#99a1ab;--paper:#14171b;--grid:#2c3138;--a:#6cb0ff;--b:#fb923c;--c:#4ade80;--bad:#f87171}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:820px;margin:2em auto;padding:0 1em}\
h1{font-size:1.4em;margin:0 0 .1em}h2{font-size:1.05em;margin:1.6em 0 .4em}p.sub{color:var(--soft);margin:.1em 0 1em}\
.tiles{display:flex;flex-wrap:wrap;gap:.6em}.tiles div{border:1px solid var(--grid);border-radius:8px;padding:.5em .8em;min-width:5.2em}\
.tiles b{display:block;font-size:1.3em;font-variant-numeric:tabular-nums}.tiles span{color:var(--soft);font-size:.85em}.bad b{color:var(--bad)}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92em}td,th{padding:.28em .5em;text-align:right;border-bottom:1px solid var(--grid)}\
td:first-child,th:first-child{text-align:left}th{font-weight:600;color:var(--soft)}\
.note{border-left:4px solid var(--b);padding:.4em .8em;margin:.5em 0;background:color-mix(in srgb,var(--b) 9%,transparent)}\
.held{color:var(--c)}.broken{color:var(--bad)}\
svg{width:100%;height:auto;margin:.4em 0}svg text{fill:var(--soft);font-size:11.5px}svg .title{fill:var(--ink);font-size:14px;font-weight:600}\
.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:var(--grid)}.mark{stroke:var(--b);stroke-dasharray:3 3}\
.line{fill:none;stroke-width:1.7;stroke-linejoin:round}.one{stroke:var(--a);fill:none}.two{stroke:var(--b);fill:none}.three{stroke:var(--c);fill:none}.four{stroke:var(--bad);fill:none}";

/// The page of `document`.
#[must_use]
pub fn page(document: &Value) -> String {
    let target = document["plan"]["target"].as_str().unwrap_or_default();
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0}</title><style>{STYLE}</style><h1>{0}</h1><p class=\"sub\">{1}</p>",
        escape(target),
        escape(&subtitle(document))
    );
    tiles(&mut out, document);
    notes(&mut out, document);
    verdict(&mut out, document);
    latencies(&mut out, document);
    out.push_str(&percentile_chart(document));
    time_charts(&mut out, document);
    errors(&mut out, document);
    spread(&mut out, document);
    out.push_str("</html>\n");
    out
}

fn subtitle(document: &Value) -> String {
    let plan = &document["plan"];
    let rate = |value: &Value| value.as_f64().unwrap_or(0.0);
    let pace = match &plan["rate"] {
        Value::Array(ends) => match ends.as_slice() {
            [from, to] if from != to => {
                format!("open loop, {} to {} per second", rate(from), rate(to))
            }
            [from, ..] => format!("open loop, {} per second", rate(from)),
            [] => "open loop".to_owned(),
        },
        _ => "closed loop".to_owned(),
    };
    format!(
        "{pace}; connections: {}, requests under way on each: {}, threads: {}; {:.1} s",
        plan["connections"],
        plan["pipeline"],
        plan["threads"],
        document["seconds"].as_f64().unwrap_or(0.0)
    )
}

fn tiles(out: &mut String, document: &Value) {
    let float = |value: &Value| value.as_f64().unwrap_or(0.0);
    let errors = document["errors"].as_u64().unwrap_or(0);
    let latency = |name: &str| show_micros(float(&document["latency_us"][name]));
    let tiles = [
        ("answers", thousands(float(&document["answers"])), false),
        ("per second", thousands(float(&document["per_second"])), false),
        ("errors", thousands(errors as f64), errors > 0),
        ("p50", latency("p50"), false),
        ("p99", latency("p99"), false),
        ("p99.9", latency("p99.9"), false),
        ("longest", latency("max"), false),
    ];
    out.push_str("<div class=\"tiles\">");
    for (name, value, is_bad) in tiles {
        let class = if is_bad { " class=\"bad\"" } else { "" };
        _ = write!(out, "<div{class}><b>{value}</b><span>{name}</span></div>");
    }
    out.push_str("</div>");
}

fn notes(out: &mut String, document: &Value) {
    for note in document["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        _ = write!(out, "<p class=\"note\">{}</p>", escape(note));
    }
}

/// What a scenario asserted.
fn verdict(out: &mut String, document: &Value) {
    let Some(asserts) = document["verdict"]["asserts"].as_array() else { return };
    out.push_str("<h2>Verdict</h2><table><tr><th>assertion<th>found<th>");
    for assert in asserts {
        let text = |name: &str| escape(assert[name].as_str().unwrap_or_default());
        let (class, word) =
            if assert["held"] == true { ("held", "held") } else { ("broken", "NOT held") };
        _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=\"{class}\">{word}",
            text("that"),
            text("found")
        );
    }
    out.push_str("</table>");
}

fn latencies(out: &mut String, document: &Value) {
    out.push_str("<h2>Latencies</h2><table><tr><th>");
    for (name, _) in QUANTILES {
        _ = write!(out, "<th>{name}");
    }
    out.push_str("<th>max<th>mean");
    let mut row = |name: &str, latencies: &Value| {
        if latencies["count"].as_u64().unwrap_or(0) == 0 {
            return;
        }
        _ = write!(out, "<tr><td>{}", escape(name));
        for column in QUANTILES.iter().map(|(name, _)| *name).chain(["max", "mean"]) {
            _ = write!(out, "<td>{}", show_micros(latencies[column].as_f64().unwrap_or(0.0)));
        }
    };
    row("from the moment meant", &document["latency_us"]);
    row("from sending", &document["service_us"]);
    row("connecting", &document["connect_us"]);
    row("TLS handshake", &document["handshake_us"]);
    row("tester late", &document["open_loop"]["tester_lag_us"]);
    for request in document["by_request"].as_array().into_iter().flatten() {
        row(request["name"].as_str().unwrap_or_default(), &request["latency_us"]);
    }
    out.push_str("</table>");
}

/// Latency by percentile; each step to the right is ten times rarer.
fn percentile_chart(document: &Value) -> String {
    let rarity = |percent: f64| 1.0 / (1.0 - percent / 100.0).max(1e-9);
    let points: Vec<(f64, f64)> = document["percentiles"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|point| Some((point[0].as_f64()?, point[1].as_f64()?)))
        .filter(|(percent, _)| *percent < 100.0)
        .map(|(percent, micros)| (rarity(percent), micros))
        .collect();
    let furthest = points.last().map_or(10.0, |point| point.0).max(10.0);
    let words = [
        (1.0, "0 %"),
        (2.0, "50 %"),
        (10.0, "90 %"),
        (100.0, "99 %"),
        (1e3, "99.9 %"),
        (1e4, "99.99 %"),
        (1e5, "99.999 %"),
        (1e6, "99.9999 %"),
    ];
    let ticks =
        words.into_iter().filter(|(at, _)| *at <= furthest).map(|(at, word)| (at, word.to_owned()));
    let across = Axis { ends: (1.0, furthest), logarithmic: true, ticks: ticks.collect() };
    let (least, most) = ends(points.iter().map(|point| point.1));
    Chart {
        title: "Latency by percentile",
        across,
        up: Axis::logarithmic(least, most, show_round_micros),
        lines: vec![Line { name: "latency", class: "one", points }],
        marks: Vec::new(),
    }
    .draw()
}

fn time_charts(out: &mut String, document: &Value) {
    let time = &document["by_time"];
    let interval = time["interval_seconds"].as_f64().unwrap_or(1.0);
    let points = time["points"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The last slot is rarely whole: its rate would say nothing.
    let whole = points.len().saturating_sub(1).max(1).min(points.len());
    let points = points.get(..whole).unwrap_or_default();
    let line = |name: &str, scale: f64| -> Vec<(f64, f64)> {
        let value = |point: &Value| {
            Some((point["at"].as_f64()? + interval / 2.0, point[name].as_f64()? * scale))
        };
        points.iter().filter_map(value).collect()
    };
    let across = || Axis::linear(points.len() as f64 * interval, |at| format!("{} s", short(at)));
    let marks: Vec<(f64, String)> = document["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| Some((event["at"].as_f64()?, event["name"].as_str()?.to_owned())))
        .collect();
    let (answers, errors) = (line("answers", 1.0 / interval), line("errors", 1.0 / interval));
    let most = answers.iter().chain(&errors).map(|point| point.1).fold(1.0, f64::max);
    let throughput = Chart {
        title: "Answers and errors per second",
        across: across(),
        up: Axis::linear(most, thousands),
        lines: vec![
            Line { name: "answers", class: "one", points: answers },
            Line { name: "errors", class: "four", points: errors },
        ],
        marks: marks.clone(),
    };
    // Where nothing was answered, there is no latency.
    let micros = |name: &str| -> Vec<(f64, f64)> {
        let gap = |(at, micros)| (at, if micros > 0.0 { micros } else { f64::NAN });
        line(name, 1.0).into_iter().map(gap).collect()
    };
    let (p50, p99, longest) = (micros("p50_us"), micros("p99_us"), micros("max_us"));
    let (least, most) =
        ends(p50.iter().chain(&longest).map(|point| point.1).filter(|micros| *micros > 0.0));
    let latency = Chart {
        title: "Latency over time",
        across: across(),
        up: Axis::logarithmic(least, most, show_round_micros),
        lines: vec![
            Line { name: "p50", class: "one", points: p50 },
            Line { name: "p99", class: "two", points: p99 },
            Line { name: "max", class: "four", points: longest },
        ],
        marks,
    };
    out.push_str(&throughput.draw());
    out.push_str(&latency.draw());
}

fn errors(out: &mut String, document: &Value) {
    let Some(kinds) = document["errors_by_kind"].as_object().filter(|kinds| !kinds.is_empty())
    else {
        return;
    };
    out.push_str("<h2>Errors</h2><table><tr><th>kind<th>count");
    for (kind, count) in kinds {
        _ = write!(out, "<tr><td>{}<td>{count}", escape(kind));
    }
    for (status, count) in document["statuses"].as_object().into_iter().flatten() {
        _ = write!(out, "<tr><td>answers with status {}<td>{count}", escape(status));
    }
    out.push_str("</table>");
}

/// By connection, by thread.
fn spread(out: &mut String, document: &Value) {
    let connections = &document["by_connection"];
    let values = |name: &str| -> Vec<f64> {
        connections[name].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let answers = values("answers_sorted");
    if answers.len() > 1 {
        let last = (answers.len() - 1) as f64;
        let points =
            answers.iter().enumerate().map(|(index, value)| (index as f64 / last * 100.0, *value));
        let chart = Chart {
            title: "Answers per connection, from the one with the fewest to the one with the most",
            across: Axis::linear(100.0, |at| format!("{at:.0} %")),
            up: Axis::linear(answers.iter().copied().fold(1.0, f64::max), thousands),
            lines: vec![Line { name: "answers", class: "three", points: points.collect() }],
            marks: Vec::new(),
        };
        out.push_str(&chart.draw());
    }
    out.push_str("<h2>Threads of the tester</h2><table><tr><th>core<th>connections<th>answers<th>errors<th>p50<th>p99<th>busy<th>waited for its core");
    for thread in document["tester"]["threads"].as_array().into_iter().flatten() {
        let micros = |name: &str| show_micros(thread[name].as_f64().unwrap_or(0.0));
        let percent = |name: &str| thread[name].as_f64().unwrap_or(0.0) * 100.0;
        let core = thread["core"].as_u64().map_or("any".to_owned(), |core| core.to_string());
        _ = write!(
            out,
            "<tr><td>{core}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{:.0} %<td>{:.0} %",
            thread["connections"],
            thread["answers"],
            thread["errors"],
            micros("p50_us"),
            micros("p99_us"),
            percent("busy_share"),
            percent("waited_share")
        );
    }
    out.push_str("</table>");
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::MAX, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
    if least > most { (1.0, 10.0) } else { (least, most) }
}

fn short(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0)
}

fn show_round_micros(micros: f64) -> String {
    match micros {
        m if m < 1e3 => format!("{} us", short(m)),
        m if m < 1e6 => format!("{} ms", short(m / 1e3)),
        m => format!("{} s", short(m / 1e6)),
    }
}

/// 1234567 as `1,234,567`.
fn thousands(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return short(value);
    }
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pace;
    use crate::report::{document, tests};

    #[test]
    fn a_page_holds_the_report_and_needs_nothing_else() {
        let mut document = document(&tests::plan(Pace::Closed), &tests::outcome());
        document["plan"]["target"] = "http://h/<script>".into();
        let page = page(&document);
        for part in ["500 us", "<b>1,000</b>", "length", "Latency by percentile", "25 %"] {
            assert!(page.contains(part), "{part}");
        }
        for outside in ["<script", "src=", "href=", "url(", "@import", "NaN", "null"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("</svg>").count(), 4);
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        assert!(page(&Value::Null).ends_with("</html>\n"));
    }

    #[test]
    fn numbers_read_well() {
        let shown: Vec<_> = [0.0, 0.25, 999.0, 1000.0, 1_234_567.0].map(thousands).into();
        assert_eq!(shown, ["0", "0.25", "999", "1,000", "1,234,567"]);
    }
}
