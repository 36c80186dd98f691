//! `GET /metrics`: the text format 0.0.4 of Prometheus.
//!
//! Every label is a worker, a reason, a word of a closed list, or a name of the configuration:
//! nothing that a client sends, and so a number of series that the configuration bounds.

use std::fmt::{self, Display, Write};

use super::{Occupant, Process};
use crate::balancer::{MemberFigures, Standing};
use crate::config::MemberConfig;
use crate::ids::PoolId;
use crate::proxy::Decision;
use crate::stats::{Counter, Reason};

/// The type of the answer.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label's value, escaped.
struct Label<'a>(&'a str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Writing to a String cannot fail.
fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").unwrap_or_default();
}

fn sample(out: &mut String, name: &str, labels: fmt::Arguments<'_>, value: impl Display) {
    writeln!(out, "{name}{{{labels}}} {value}").unwrap_or_default();
}

/// All of it.
pub(super) fn text(process: &Process) -> String {
    let mut out = String::with_capacity(64 << 10);
    about(&mut out, process);
    counters(&mut out, process);
    errors(&mut out, process);
    listeners(&mut out, process);
    rules(&mut out, process);
    pools(&mut out, process);
    members(&mut out, process);
    certificates(&mut out, process);
    out
}

fn certificates(out: &mut String, process: &Process) {
    let Some(shelves) = &process.certificates else { return };
    let name = "ringway_certificate_not_after_seconds";
    family(out, name, "gauge", "The end of a certificate in use, in seconds since 1970.");
    for (listener, all) in shelves.list() {
        for one in all {
            let chain = one.chain.display().to_string();
            let labels =
                format_args!("listener=\"{}\",chain=\"{}\"", Label(listener), Label(&chain));
            sample(out, name, labels, one.not_after.as_secs());
        }
    }
}

fn about(out: &mut String, process: &Process) {
    let name = "ringway_info";
    family(out, name, "gauge", "Which ringway runs; always 1.");
    sample(out, name, format_args!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
    let name = "ringway_uptime_seconds";
    family(out, name, "gauge", "Since the process started.");
    writeln!(out, "{name} {}", process.uptime().as_secs()).unwrap_or_default();
    let name = "ringway_draining";
    family(out, name, "gauge", "1: the process ends and takes no new clients.");
    writeln!(out, "{name} {}", u8::from(process.is_draining())).unwrap_or_default();
}

fn counters(out: &mut String, process: &Process) {
    for counter in Counter::ALL {
        let (suffix, kind) = if counter.is_gauge() { ("", "gauge") } else { ("_total", "counter") };
        let name = format!("ringway_{}{suffix}", counter.name());
        family(out, &name, kind, counter.prose());
        let of_control = process.control.get(*counter);
        if counter.is_of_control() || of_control > 0 {
            sample(out, &name, format_args!("worker=\"control\""), of_control);
        }
        if counter.is_of_control() {
            continue;
        }
        for (worker, row) in process.rows.iter().enumerate() {
            sample(out, &name, format_args!("worker=\"{worker}\""), row.get(*counter));
        }
    }
}

fn errors(out: &mut String, process: &Process) {
    let name = "ringway_errors_total";
    family(out, name, "counter", "Failures of exchanges, by side and reason: see counters.md.");
    for reason in Reason::ALL {
        let (side, code) = (reason.side().word(), reason.code());
        for (worker, row) in process.rows.iter().enumerate() {
            let labels = format_args!("side=\"{side}\",reason=\"{code}\",worker=\"{worker}\"");
            sample(out, name, labels, row.errors(*reason));
        }
    }
}

fn listeners(out: &mut String, process: &Process) {
    let name = "ringway_listener_connections";
    family(out, name, "gauge", "Open connections of clients.");
    for listener in process.listeners() {
        for (worker, count) in listener.connections.iter().enumerate() {
            let labels = format_args!("listener=\"{}\",worker=\"{worker}\"", Label(&listener.name));
            sample(out, name, labels, count);
        }
    }
    let name = "ringway_listener_imbalance";
    family(out, name, "gauge", "The most connections that a worker has, over the mean; 1 is even.");
    for listener in process.listeners() {
        if let Some(imbalance) = listener.imbalance {
            let labels = format_args!("listener=\"{}\"", Label(&listener.name));
            sample(out, name, labels, imbalance);
        }
    }
}

fn rules(out: &mut String, process: &Process) {
    let Some(guards) = &process.guards else { return };
    let name = "ringway_rule_decisions_total";
    family(out, name, "counter", "What access rules, rates and limits decided: see limits.md.");
    for (rule, decided) in guards.decisions() {
        for (decision, count) in Decision::ALL.into_iter().zip(decided) {
            let labels = format_args!("rule=\"{}\",decision=\"{}\"", Label(rule), decision.word());
            sample(out, name, labels, count);
        }
    }
}

fn pools(out: &mut String, process: &Process) {
    let all = || (0u16..).map(PoolId).zip(&process.config.pools);
    let name = "ringway_pool_members_available";
    family(out, name, "gauge", "Members that are in and have a weight.");
    for (id, pool) in all() {
        let labels = format_args!("pool=\"{}\"", Label(&pool.name));
        sample(out, name, labels, process.available(id, pool));
    }
    let name = "ringway_pool_waiting";
    family(out, name, "gauge", "Requests that wait for a member.");
    for (id, pool) in all() {
        let waiting = process.shared.pool_figures(id).map_or(0, |figures| figures.waiting);
        sample(out, name, format_args!("pool=\"{}\"", Label(&pool.name)), waiting);
    }
}

/// A gauge that a member may have.
type Gauge = (&'static str, &'static str, fn(&MemberConfig, &MemberFigures) -> Option<f64>);

const GAUGES: [Gauge; 6] = [
    ("ringway_member_in_flight", "Exchanges under way, over all workers.", |_, figures| {
        Some(f64::from(figures.in_flight))
    }),
    ("ringway_member_barred", "1: an operator wants no new requests there.", |_, figures| {
        Some(f64::from(u8::from(figures.barred)))
    }),
    ("ringway_member_weight", "As configured.", |config, _| Some(f64::from(config.weight))),
    ("ringway_member_max_connections", "As configured, where there is a bound.", |config, _| {
        config.max_connections.map(f64::from)
    }),
    ("ringway_member_slots_in_use", "Of max_connections, where there is a bound.", |_, figures| {
        figures.slots_in_use.map(f64::from)
    }),
    (
        "ringway_member_latency_seconds",
        "Median of about the last ten seconds, where it is measured (balance = least-time).",
        |_, figures| figures.latency.map(|latency| latency.as_secs_f64()),
    ),
];

struct MemberRow<'a> {
    labels: String,
    config: &'a MemberConfig,
    figures: MemberFigures,
}

fn members(out: &mut String, process: &Process) {
    let mut rows = Vec::new();
    for (id, pool) in (0u16..).map(PoolId).zip(&process.config.pools) {
        for Occupant { id: member, config, address } in process.occupants(id, pool) {
            let Some(figures) = process.shared.member_figures(id, member) else { continue };
            let labels = format!("pool=\"{}\",member=\"{}\"", Label(&pool.name), Label(&address));
            rows.push(MemberRow { labels, config, figures });
        }
    }
    for (name, help, value) in GAUGES {
        family(out, name, "gauge", help);
        for row in &rows {
            if let Some(value) = value(row.config, &row.figures) {
                sample(out, name, format_args!("{}", row.labels), value);
            }
        }
    }
    let name = "ringway_member_standing";
    family(out, name, "gauge", "What workers go by: 1 for the standing that it has, 0 for others.");
    for row in &rows {
        for standing in Standing::ALL {
            let labels = format_args!("{},standing=\"{}\"", row.labels, standing.word());
            sample(out, name, labels, u8::from(row.figures.standing == standing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped() {
        assert_eq!(Label("a\\b\"c\nd").to_string(), "a\\\\b\\\"c\\nd");
        let mut out = String::new();
        family(&mut out, "x", "gauge", "a\\b\nc");
        sample(&mut out, "x", format_args!("l=\"{}\"", Label("\"")), 0.0125);
        assert_eq!(out, "# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{l=\"\\\"\"} 0.0125\n");
    }
}
