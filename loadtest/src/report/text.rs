//! The report for people. Made of the document, so that a saved report reads the same.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

use crate::report::QUANTILES;
use crate::units::show_micros;
use serde_json::Value;
use std::fmt::Write;

/// The lines of `document`.
#[must_use]
pub fn lines(document: &Value) -> String {
    let mut out = String::new();
    let number = |name: &str| document[name].as_u64().unwrap_or(0);
    _ = writeln!(
        out,
        "{} answers in {:.2} s over {} connections, {:.0} per second, {} body bytes",
        number("answers"),
        document["seconds"].as_f64().unwrap_or(0.0),
        number("connections"),
        document["per_second"].as_f64().unwrap_or(0.0),
        number("bytes"),
    );
    row(&mut out, "latency", &document["latency_us"]);
    if !document["open_loop"].is_null() {
        row(&mut out, "from sending", &document["service_us"]);
    }
    row(&mut out, "connect", &document["connect_us"]);
    if !document["handshake_us"].is_null() {
        row(&mut out, "handshake", &document["handshake_us"]);
        let kinds = &document["handshakes"];
        _ = writeln!(out, "{:14}{} full, {} resumed", "", kinds["full"], kinds["resumed"]);
    }
    errors(&mut out, document);
    if let Some(requests) = document["by_request"].as_array() {
        for request in requests {
            let name = request["name"].as_str().unwrap_or_default();
            let (answers, errors) = (&request["answers"], &request["errors"]);
            _ = writeln!(out, "{name}: {answers} answers, {errors} errors");
            row(&mut out, "", &request["latency_us"]);
        }
    }
    open_loop(&mut out, &document["open_loop"]);
    spread(&mut out, document);
    if let Some(notes) = document["notes"].as_array() {
        for note in notes {
            _ = writeln!(out, "NOTE: {}", note.as_str().unwrap_or_default());
        }
    }
    out
}

fn row(out: &mut String, name: &str, latencies: &Value) {
    if latencies["count"].as_u64().unwrap_or(0) == 0 {
        return;
    }
    _ = write!(out, "{name:14}");
    for name in QUANTILES.iter().map(|(name, _)| *name).chain(["max"]) {
        let micros = latencies[name].as_f64().unwrap_or(0.0);
        _ = write!(out, "{name} {}   ", show_micros(micros));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
}

fn errors(out: &mut String, document: &Value) {
    _ = write!(out, "{:14}{}", "errors", document["errors"]);
    for (kind, count) in document["errors_by_kind"].as_object().into_iter().flatten() {
        _ = write!(out, "   {kind} {count}");
    }
    out.push('\n');
    let statuses = document["statuses"].as_object();
    if statuses.is_some_and(|statuses| statuses.len() > 1) {
        _ = write!(out, "{:14}", "statuses");
        for (status, count) in statuses.into_iter().flatten() {
            _ = write!(out, "{status}: {count}   ");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
}

fn open_loop(out: &mut String, open: &Value) {
    if open.is_null() {
        return;
    }
    let micros = |value: &Value| show_micros(value.as_f64().unwrap_or(0.0));
    _ = writeln!(
        out,
        "{:14}{} intended, {:.0} per second; {} waited for a free connection, at most {}; {} never sent",
        "open loop",
        open["intended"],
        open["intended_per_second"].as_f64().unwrap_or(0.0),
        open["waited_for_a_connection"],
        micros(&open["longest_wait_us"]),
        open["unsent"],
    );
    let lag = &open["tester_lag_us"];
    _ = writeln!(
        out,
        "{:14}p50 {}   p99 {}   max {}",
        "tester late",
        micros(&lag["p50"]),
        micros(&lag["p99"]),
        micros(&lag["max"])
    );
}

fn spread(out: &mut String, document: &Value) {
    let ends = |values: &Value| {
        let values = values.as_array()?;
        Some((values.first()?.as_u64()?, values.last()?.as_u64()?))
    };
    if let Some((least, most)) = ends(&document["by_connection"]["answers_sorted"]) {
        _ = writeln!(out, "{:14}{least} to {most} answers each", "connections");
    }
    let tester = &document["tester"];
    for (index, thread) in tester["threads"].as_array().into_iter().flatten().enumerate() {
        let percent = |name: &str| thread[name].as_f64().unwrap_or(0.0) * 100.0;
        _ = writeln!(
            out,
            "{:14}{} answers, {} errors, p50 {}, p99 {}, busy {:.0} %, waited for its core {:.0} %",
            format!("thread {index}"),
            thread["answers"],
            thread["errors"],
            show_micros(thread["p50_us"].as_f64().unwrap_or(0.0)),
            show_micros(thread["p99_us"].as_f64().unwrap_or(0.0)),
            percent("busy_share"),
            percent("waited_share"),
        );
    }
    let cost = tester["cpu_us_per_exchange"].as_f64().unwrap_or(0.0);
    _ = writeln!(out, "{:14}{} of processor time per exchange", "tester", show_micros(cost));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pace;
    use crate::report::{document, tests};

    #[test]
    fn a_report_reads_well() {
        let mut document = document(&tests::plan(Pace::Closed), &tests::outcome());
        document["notes"] = serde_json::json!(["mind the gap"]);
        assert_eq!(
            lines(&document),
            "1000 answers in 2.00 s over 4 connections, 500 per second, 10000 body bytes\n\
             latency       p50 500 us   p90 900 us   p95 950 us   p99 990 us   p99.9 999 us   p99.99 1.00 ms   max 1.00 ms\n\
             errors        3   connect 1   length 2\n\
             connections   250 to 250 answers each\n\
             thread 0      1000 answers, 3 errors, p50 500 us, p99 990 us, busy 25 %, waited for its core 0 %\n\
             tester        499 us of processor time per exchange\n\
             NOTE: mind the gap\n"
        );
    }
}
