//! `ringway members`, and the commands that change one of them.

use std::fmt::Write as _;
use std::process::ExitCode;

use ringway::clock;
use ringway::control::admin::view::{ChangeView, EvidenceView, MemberView, PoolView, PoolsView};
use serde::de::DeserializeOwned;

use super::client::segment;
use super::table::{Table, latency, span};
use super::terminal::{finish, print};
use super::{Target, Whom, failed};

pub(super) fn all(whom: &Whom, json: bool) -> Result<ExitCode, ExitCode> {
    show(whom, "/pools", json, |view: &PoolsView, now| pools(&view.pools, now))
}

pub(super) fn of_pool(whom: &Whom, pool: &str, json: bool) -> Result<ExitCode, ExitCode> {
    let path = format!("/pools/{}", segment(pool));
    show(whom, &path, json, |view: &PoolView, now| pools(std::slice::from_ref(view), now))
}

pub(super) fn one(
    whom: &Whom,
    pool: &str,
    address: &str,
    json: bool,
) -> Result<ExitCode, ExitCode> {
    let path = path_of(pool, address);
    show(whom, &path, json, |view: &EvidenceView, now| evidence(pool, view, now))
}

pub(super) fn set(target: &Target, state: &str) -> Result<ExitCode, ExitCode> {
    let path = format!("{}/state?state={state}", path_of(&target.pool, &target.address));
    let client = target.whom.client()?;
    let change: ChangeView = client.post(&path).map_err(|error| failed(&error))?;
    Ok(finish(0, print(&changed(&target.pool, &change))))
}

fn path_of(pool: &str, address: &str) -> String {
    format!("/pools/{}/members/{}", segment(pool), segment(address))
}

/// Prints an answer as it came, or for people.
fn show<A: DeserializeOwned>(
    whom: &Whom,
    path: &str,
    json: bool,
    text: impl Fn(&A, f64) -> String,
) -> Result<ExitCode, ExitCode> {
    let (view, raw) = whom.client()?.get(path).map_err(|error| failed(&error))?;
    let text = if json { format!("{raw}\n") } else { text(&view, clock::unix().as_secs_f64()) };
    Ok(finish(0, print(&text)))
}

fn changed(pool: &str, change: &ChangeView) -> String {
    let ChangeView { changed, member } = change;
    let MemberView { address, admin, standing, in_flight, .. } = member;
    let before = if *changed { "is now" } else { "was already" };
    format!("{pool} {address} {before} {admin}: standing {standing}, {in_flight} in flight\n")
}

const HEADER: [&str; 11] = [
    "POOL",
    "MEMBER",
    ">WEIGHT",
    "STANDING",
    "ADMIN",
    "PROBES",
    "REQUESTS",
    ">IN FLIGHT",
    ">SLOTS",
    ">LATENCY",
    "LAST CHANGE",
];

fn pools(pools: &[PoolView], now: f64) -> String {
    let mut table = Table::new(&HEADER);
    for pool in pools {
        for member in &pool.members {
            table.add(row(pool, member, now));
        }
    }
    let mut text = table.text();
    for pool in pools.iter().filter(|pool| pool.available == 0 || pool.waiting > 0) {
        // Writing to a String cannot fail.
        let PoolView { name, available, waiting, .. } = pool;
        writeln!(text, "{name}: {available} available, {waiting} waiting").unwrap_or_default();
    }
    text
}

fn row(pool: &PoolView, member: &MemberView, now: f64) -> Vec<String> {
    let dash = || "-".to_owned();
    let weight = if member.backup { "backup " } else { "" };
    let slots = member.max_connections.map(|most| {
        let used = member.slots_in_use.unwrap_or(0);
        format!("{used}/{most}")
    });
    let last = member.last_transition.as_ref().map(|last| {
        let age = span(now - last.at);
        format!("{age} ago: {} to {}: {}", last.from, last.to, last.cause)
    });
    vec![
        pool.name.clone(),
        member.address.clone(),
        format!("{weight}{}", member.weight),
        member.standing.clone(),
        member.admin.clone(),
        member.probes.clone().unwrap_or_else(dash),
        member.requests.clone(),
        member.in_flight.to_string(),
        slots.unwrap_or_else(dash),
        member.latency_us.map_or_else(dash, latency),
        last.unwrap_or_else(dash),
    ]
}

fn evidence(pool: &str, view: &EvidenceView, now: f64) -> String {
    let alone = PoolView {
        name: pool.to_owned(),
        available: 1,
        waiting: 0,
        max_connections: None,
        slots_in_use: None,
        members: vec![view.member.clone()],
    };
    let mut text = pools(&[alone], now);
    if let Some(until) = view.member.ejected_until {
        writeln!(text, "\nejected for another {}", span(until - now)).unwrap_or_default();
    }
    if view.evidence.is_empty() {
        text.push_str("\nnothing was seen of it: no probe, no failed request\n");
        return text;
    }
    text.push('\n');
    let mut table = Table::new(&[">SEEN", "WHAT", "HOW IT ENDED"]);
    for seen in view.evidence.iter().rev() {
        let age = format!("{} ago", span(now - seen.at));
        table.add(vec![age, seen.kind.clone(), seen.outcome.clone()]);
    }
    text.push_str(&table.text());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway::control::admin::view::{SeenView, TransitionView};

    fn member() -> MemberView {
        MemberView {
            address: "10.0.1.11:8080".to_owned(),
            name: None,
            weight: 2,
            backup: true,
            standing: "out".to_owned(),
            admin: "ready".to_owned(),
            probes: None,
            probes_in_a_row: None,
            requests: "ejected".to_owned(),
            ejected_until: Some(1010.0),
            in_flight: 3,
            max_connections: Some(200),
            slots_in_use: Some(3),
            latency_us: Some(1500),
            last_transition: Some(TransitionView {
                at: 880.0,
                from: "in".to_owned(),
                to: "ejected".to_owned(),
                cause: "a request failed: reset".to_owned(),
            }),
        }
    }

    #[test]
    fn members_are_a_table() {
        let pool = PoolView {
            name: "api".to_owned(),
            available: 0,
            waiting: 4,
            max_connections: None,
            slots_in_use: None,
            members: vec![member()],
        };
        let expected = "\
POOL  MEMBER            WEIGHT  STANDING  ADMIN  PROBES  REQUESTS  IN FLIGHT  SLOTS  LATENCY  LAST CHANGE
api   10.0.1.11:8080  backup 2  out       ready  -       ejected           3  3/200    1.5ms  2m ago: in to ejected: a request failed: reset
api: 0 available, 4 waiting
";
        assert_eq!(pools(&[pool], 1000.0), expected);
    }

    #[test]
    fn evidence_begins_with_the_latest() {
        let seen = |at, outcome: &str| SeenView {
            at,
            kind: "request".to_owned(),
            outcome: outcome.to_owned(),
        };
        let view = EvidenceView {
            member: member(),
            evidence: vec![seen(870.0, "timeout"), seen(880.0, "reset")],
        };
        let text = evidence("api", &view, 1000.0);
        let expected = "
ejected for another 10s

  SEEN  WHAT     HOW IT ENDED
2m ago  request  reset
2m ago  request  timeout
";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_change_is_one_line() {
        let mut change = ChangeView { changed: true, member: member() };
        let expected = "api 10.0.1.11:8080 is now ready: standing out, 3 in flight\n";
        assert_eq!(changed("api", &change), expected);
        change.changed = false;
        assert!(changed("api", &change).contains("was already ready"));
    }
}
