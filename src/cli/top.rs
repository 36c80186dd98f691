//! `ringway top`: rates per worker, and the load of pools.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use ringway::clock::{self, Instant};
use ringway::control::admin::view::{PoolsView, StatsView};

use super::client::{AskError, Client};
use super::table::Table;
use super::terminal::{finish, print};
use super::{Whom, failed};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Clears the screen and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

struct Look {
    at: Instant,
    stats: StatsView,
    pools: PoolsView,
}

pub(super) fn run(whom: &Whom) -> Result<ExitCode, ExitCode> {
    let client = whom.client()?;
    let look = || look(&client).map_err(|error| failed(&error));
    let on_terminal = io::stdout().is_terminal();
    let mut before = look()?;
    loop {
        pause();
        let now = look()?;
        let text = page(&before, &now);
        if !on_terminal {
            return Ok(finish(0, print(&text)));
        }
        if let Err(error) = print(&format!("{CLEAR}{text}")) {
            return Ok(finish(0, Err(error)));
        }
        before = now;
    }
}

#[allow(clippy::disallowed_methods, reason = "a program of its own, without a ring")]
fn pause() {
    std::thread::sleep(PERIOD);
}

fn look(client: &Client) -> Result<Look, AskError> {
    let (stats, _) = client.get("/stats")?;
    let at = clock::now();
    let (pools, _) = client.get("/pools")?;
    Ok(Look { at, stats, pools })
}

fn page(before: &Look, now: &Look) -> String {
    let seconds = now.at.since(before.at).as_secs_f64();
    let state = if now.stats.draining { ", draining" } else { "" };
    let StatsView { version, uptime_seconds, .. } = &now.stats;
    let mut text = format!("ringway {version}, up for {uptime_seconds}s{state}\n\n");
    text.push_str(&workers(&before.stats, &now.stats, seconds));
    text.push('\n');
    text.push_str(&pools(&now.pools));
    text
}

fn workers(before: &StatsView, now: &StatsView, seconds: f64) -> String {
    let mut table = Table::new(&[
        "WORKER",
        ">REQUESTS/s",
        ">ERRORS/s",
        ">IN MB/s",
        ">OUT MB/s",
        ">CLIENTS",
        ">IN FLIGHT",
    ]);
    for worker in (0..now.workers).map(Some).chain([None]) {
        let value = |stats: &StatsView, name: &str| {
            let count = stats.counters.get(name);
            count.map_or(0, |count| match worker {
                Some(worker) => count.workers.get(worker).copied().unwrap_or(0),
                None => count.total,
            })
        };
        let errors = |stats: &StatsView| -> u64 {
            let counts = stats.errors.values();
            counts
                .map(|count| match worker {
                    Some(worker) => count.workers.get(worker).copied().unwrap_or(0),
                    None => count.total,
                })
                .sum()
        };
        let per_second = |before: u64, now: u64| rate(before, now, seconds);
        let rate = |name| per_second(value(before, name), value(now, name));
        table.add(vec![
            worker.map_or_else(|| "all".to_owned(), |worker| worker.to_string()),
            format!("{:.0}", rate("exchanges")),
            format!("{:.0}", per_second(errors(before), errors(now))),
            format!("{:.1}", rate("bytes_in") / 1e6),
            format!("{:.1}", rate("bytes_out") / 1e6),
            value(now, "connections_active").to_string(),
            value(now, "upstream_active").to_string(),
        ]);
    }
    table.text()
}

/// Of a counter that began anew, as another process answers, nothing is known.
fn rate(before: u64, now: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { now.saturating_sub(before) as f64 / seconds } else { 0.0 }
}

fn pools(view: &PoolsView) -> String {
    let mut table = Table::new(&["POOL", ">AVAILABLE", ">IN FLIGHT", ">WAITING"]);
    for pool in &view.pools {
        let in_flight: u64 = pool.members.iter().map(|member| u64::from(member.in_flight)).sum();
        table.add(vec![
            pool.name.clone(),
            format!("{}/{}", pool.available, pool.members.len()),
            in_flight.to_string(),
            pool.waiting.to_string(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use ringway::control::admin::view::{CountView, PoolView};

    fn stats(exchanges: [u64; 2], errors: [u64; 2]) -> StatsView {
        let count = |workers: [u64; 2]| CountView {
            total: workers.iter().sum(),
            workers: workers.to_vec(),
            control: 0,
        };
        StatsView {
            version: "1".to_owned(),
            uptime_seconds: 7,
            draining: false,
            workers: 2,
            counters: BTreeMap::from([("exchanges".to_owned(), count(exchanges))]),
            errors: BTreeMap::from([("route_no_route".to_owned(), count(errors))]),
            listeners: Vec::new(),
            rules: BTreeMap::new(),
        }
    }

    #[test]
    fn rates_are_differences_per_second() {
        let look = |at, exchanges, errors| Look {
            at: Instant::from_micros(at),
            stats: stats(exchanges, errors),
            pools: PoolsView {
                pools: vec![PoolView {
                    name: "api".to_owned(),
                    available: 0,
                    waiting: 5,
                    max_connections: None,
                    slots_in_use: None,
                    members: Vec::new(),
                }],
            },
        };
        let text = page(&look(0, [10, 20], [0, 0]), &look(2_000_000, [110, 20], [4, 0]));
        let expected = "\
ringway 1, up for 7s

WORKER  REQUESTS/s  ERRORS/s  IN MB/s  OUT MB/s  CLIENTS  IN FLIGHT
0               50         2      0.0       0.0        0          0
1                0         0      0.0       0.0        0          0
all             50         2      0.0       0.0        0          0

POOL  AVAILABLE  IN FLIGHT  WAITING
api         0/0          0        5
";
        assert_eq!(text, expected);
    }
}
