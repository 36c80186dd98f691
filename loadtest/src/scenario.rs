//! A scenario: a load, events at set times, and what must hold. Its file, checked.

pub mod assertion;
mod event;
pub mod run;

use crate::cli::load::Load;
use crate::cli::origin::Origin;
use crate::origin::Options;
use crate::plan::Plan;
use assertion::Assertion;
use event::{Action, Event};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    load: Load,
    origin: Option<Origin>,
    #[serde(default)]
    process: BTreeMap<String, WrittenProcess>,
    #[serde(default)]
    event: Vec<event::Written>,
    assert: Vec<String>,
}

/// A process that runs during the load.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenProcess {
    /// Run by `sh -c exec ...`.
    command: String,
    /// The load begins once this address accepts connections.
    ready: Option<std::net::SocketAddr>,
}

/// A checked scenario.
pub struct Scenario {
    name: String,
    plan: Plan,
    origin: Option<Options>,
    /// The load goes to this member of the origin, by itself.
    member: Option<usize>,
    processes: BTreeMap<String, WrittenProcess>,
    events: Vec<Event>,
    assertions: Vec<Assertion>,
    folder: PathBuf,
}

/// Reads and checks the scenario at `path`; paths in it begin at its folder.
///
/// # Errors
/// What is wrong, with line and column where the form is wrong.
pub fn read(path: &Path) -> io::Result<Scenario> {
    let named = |what: String| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {what}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    parse(&text, &folder).map_err(named)
}

fn parse(text: &str, folder: &Path) -> Result<Scenario, String> {
    let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut load = written.load;
    let member = member_of(&load.url);
    if member.is_some() {
        load.connect = Some("127.0.0.1:1".to_owned()); // known once the origin runs
    }
    let plan = load.plan(folder).map_err(|error| format!("load: {error}"))?;
    let origin = written.origin.map(|origin| origin.options(folder)).transpose();
    let origin = origin.map_err(|error| format!("origin: {error}"))?;
    let members = origin.as_ref().map_or(0, |origin| origin.members);
    if member.is_some_and(|member| member >= members) {
        return Err(format!("load: the origin has no such member: {}", plan.target));
    }
    let events = written.event.iter().map(Event::new).collect::<Result<Vec<_>, _>>()?;
    for event in &events {
        match &event.action {
            Action::StopMember(member) | Action::StartMember(member) if *member >= members => {
                return Err(format!("event `{}`: the origin has no member {member}", event.name));
            }
            Action::Signal(event::Target::Process(name), _)
                if !written.process.contains_key(name) =>
            {
                return Err(format!("event `{}`: there is no process `{name}`", event.name));
            }
            _ => {}
        }
        if event.at > plan.warm_up + plan.duration {
            return Err(format!("event `{}` is after the end of the load", event.name));
        }
    }
    let assertions =
        written.assert.iter().map(|text| text.parse()).collect::<Result<Vec<Assertion>, _>>()?;
    for assertion in &assertions {
        let unknown =
            assertion.events().find(|name| events.iter().all(|event| event.name != *name));
        if let Some(name) = unknown {
            return Err(format!("`{assertion}`: there is no event `{name}`"));
        }
    }
    let name = written.name.unwrap_or_else(|| plan.target.clone());
    let (processes, folder) = (written.process, folder.to_owned());
    Ok(Scenario { name, plan, origin, member, processes, events, assertions, folder })
}

/// Which member `http://member-1/...` names.
fn member_of(url: &str) -> Option<usize> {
    let (_, rest) = url.split_once("://member-")?;
    rest.split(['/', '?']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [load]
        url = "http://127.0.0.1:1/"
        duration = "10s"
        rate = "1k"
        [origin]
        bind = "127.0.0.1:0"
        members = 2
        [process.proxy]
        command = "true"
        [[event]]
        at = "2s"
        name = "kill"
        stop_member = 1
        [[event]]
        at = "4s"
        signal = "HUP"
        process = "proxy"
    "#;

    fn error(text: &str, assert: &str) -> String {
        let text = format!("assert = [{assert}]\n{text}");
        parse(&text, Path::new("")).err().unwrap_or_default()
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(error(GOOD, "'errors == 0', 'p99 < 5ms in kill..kill+1s'"), "");
        let check = |from: &str, to: &str, told: &str| {
            let found = error(&GOOD.replace(from, to), "");
            assert!(found.contains(told), "{told}: {found}");
        };
        check("stop_member = 1", "stop_member = 2", "no member 2");
        check("stop_member = 1", "", "one of");
        check("stop_member = 1", "stop_member = 1\nrun = 'true'", "one of");
        check("at = \"2s\"", "at = \"20s\"", "after the end");
        check("at = \"2s\"", "at = \"soon\"", "soon");
        check("process = \"proxy\"", "process = \"other\"", "no process `other`");
        check("process = \"proxy\"", "", "pid, pidfile");
        check("\"HUP\"", "\"NONE\"", "NONE");
        check("rate =", "rat =", "rat");
        check("127.0.0.1:1/", "member-2/", "no such member");
        assert!(error(GOOD, "'p99 < 5ms in crash..end'").contains("no event `crash`"));
        assert!(error(GOOD, "'p99 is small'").contains("p99 is small"));
    }
}
