//! The rows as text: one line a counter, its total and its value on every worker.

use std::fmt::Write;
use std::sync::Arc;

use super::{Counter, Occupancy, Reason, Row};

fn line(out: &mut String, name: std::fmt::Arguments<'_>, values: &[u64], control: u64) {
    let total = values.iter().fold(control, |sum, v| sum.wrapping_add(*v));
    // Writing to a String cannot fail.
    _ = write!(out, "stat {name} total={total}");
    for (worker, value) in values.iter().enumerate() {
        _ = write!(out, " w{worker}={value}");
    }
    if control > 0 {
        _ = write!(out, " control={control}");
    }
    out.push('\n');
}

/// `stat NAME total=N w0=N w1=N`, a line each, ended by `stat end`. Every counter is listed; of
/// the errors those that happened. What the control thread counted is a last column `control=N`,
/// where it did. Of listeners with connections: how many each worker has, and how uneven that is
/// (100: even).
#[must_use]
pub fn report(rows: &[Arc<Row>], control: &Row, occupancy: &Occupancy) -> String {
    let mut out = String::new();
    for counter in Counter::ALL {
        let values: Vec<u64> = rows.iter().map(|r| r.get(*counter)).collect();
        line(&mut out, format_args!("{}", counter.name()), &values, control.get(*counter));
    }
    for reason in Reason::ALL {
        let values: Vec<u64> = rows.iter().map(|r| r.errors(*reason)).collect();
        if values.iter().any(|v| *v > 0) {
            let name = format_args!("error_{}_{}", reason.side().word(), reason.code());
            line(&mut out, name, &values, 0);
        }
    }
    for (listener, name) in occupancy.listeners() {
        let Some(imbalance) = occupancy.imbalance(listener) else { continue };
        let values: Vec<u64> = occupancy.of(listener).map(|count| count as u64).collect();
        line(&mut out, format_args!("connections_of_{name}"), &values, 0);
        let percent = (imbalance * 100.0).round();
        _ = writeln!(out, "stat imbalance_percent_of_{name} total={percent}");
    }
    out.push_str("stat end\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ListenerId, WorkerId};

    #[test]
    fn a_report_has_totals_and_a_column_per_worker() {
        let rows = [Arc::new(Row::default()), Arc::new(Row::default())];
        rows[0].add(Counter::Accepts, 2);
        rows[1].add(Counter::Accepts, 3);
        rows[1].error(Reason::NoRoute);
        rows[0].add(Counter::ConnectionsActive, 1);
        rows[0].sub(Counter::ConnectionsActive, 1);
        let control = Row::default();
        control.set(Counter::Probes, 7);
        let occupancy = Occupancy::new(["web".to_owned(), "idle".to_owned()], 2);
        for _ in 0..3 {
            assert!(occupancy.enter(WorkerId(1), ListenerId(0), 10));
        }
        assert!(occupancy.enter(WorkerId(0), ListenerId(0), 10));
        let text = report(&rows, &control, &occupancy);
        assert!(text.contains("stat connections_of_web total=4 w0=1 w1=3\n"), "{text}");
        assert!(text.contains("stat imbalance_percent_of_web total=150\n"), "{text}");
        assert!(!text.contains("of_idle"), "{text}");
        assert!(text.contains("stat accepts total=5 w0=2 w1=3\n"), "{text}");
        assert!(text.contains("stat connections_active total=0 w0=0 w1=0\n"), "{text}");
        assert!(text.contains("stat probes total=7 w0=0 w1=0 control=7\n"), "{text}");
        assert!(text.contains("stat error_route_no_route total=1 w0=0 w1=1\n"), "{text}");
        assert!(!text.contains("error_member"), "{text}");
        assert!(text.ends_with("stat end\n"));
    }
}
