//! Plays a scenario: starts what it needs, drives the events by the clock, judges at the end.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

use super::assertion::Assertion;
use super::event::{Action, Event, Target};
use super::{Scenario, WrittenProcess};
use crate::load::{self, Outcome, Running};
use crate::origin::{self, Origin};
use crate::report::{self, round};
use crate::runtime;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(1);
const READY_WITHIN: Duration = Duration::from_secs(30);
const END_WITHIN: Duration = Duration::from_secs(10);

/// What a scenario came to.
pub struct Played {
    /// The report, with events and verdict.
    pub document: Value,
    /// What the load found.
    pub outcome: Outcome,
    /// Every assertion held, and every event could be done.
    pub held: bool,
}

/// An event that was begun.
struct Done {
    name: String,
    /// Seconds after the start of the measurement.
    at: f64,
    late: Duration,
    error: Option<String>,
    command: Option<(Child, bool)>,
}

/// Plays `scenario`.
///
/// # Errors
/// If something that it needs cannot be started.
pub fn play(scenario: &Scenario) -> io::Result<Played> {
    let mut stage = Stage { origin: None, processes: BTreeMap::new() };
    if let Some(options) = &scenario.origin {
        stage.origin = Some(origin::start(options.clone())?);
    }
    let mut plan = scenario.plan.clone();
    let addresses = stage.addresses();
    if let Some(address) = scenario.member.and_then(|member| addresses.get(member)) {
        plan.address = *address;
    }
    for (name, process) in &scenario.processes {
        let child = shell(&format!("exec {}", process.command), &scenario.folder, &addresses)
            .map_err(|error| io::Error::new(error.kind(), format!("process `{name}`: {error}")))?;
        stage.processes.insert(name.clone(), child);
        stage.await_ready(name, process)?;
    }
    let running = load::start(plan)?;
    let mut done = thread::scope(|scope| {
        scope.spawn(|| report::progress::watch(&running));
        drive(scenario, &running, &mut stage)
    });
    let outcome = running.join()?;
    for done in &mut done {
        done.end();
    }
    let mut document = report::document(&scenario.plan, &outcome);
    document["scenario"] = json!(scenario.name);
    document["events"] = done.iter().map(Done::described).collect();
    let held = judge(scenario, &outcome, &done, &mut document);
    Ok(Played { document, outcome, held })
}

/// The verdict as text.
#[must_use]
pub fn verdict(document: &Value) -> String {
    let mut out = String::new();
    for event in document["events"].as_array().into_iter().flatten() {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let error = if event["error"].is_null() {
            String::new()
        } else {
            format!("  FAILED: {}", text("error"))
        };
        _ = writeln!(
            out,
            "event         {:7.3} s  {}{error}",
            event["at"].as_f64().unwrap_or(0.0),
            text("name")
        );
    }
    for assert in document["verdict"]["asserts"].as_array().into_iter().flatten() {
        let text = |name: &str| assert[name].as_str().unwrap_or_default();
        let word = if assert["held"] == true { "held" } else { "NOT HELD" };
        _ = writeln!(out, "{word:14}{}  (found {})", text("that"), text("found"));
    }
    let word = if document["verdict"]["held"] == true { "all held" } else { "BROKEN" };
    _ = writeln!(out, "verdict       {word}");
    out
}

/// What runs beside the load. Ends with it.
struct Stage {
    origin: Option<Origin>,
    processes: BTreeMap<String, Child>,
}

impl Stage {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.origin.as_ref().map(|origin| origin.addresses().to_vec()).unwrap_or_default()
    }

    /// Waits until a process accepts connections.
    fn await_ready(&mut self, name: &str, process: &WrittenProcess) -> io::Result<()> {
        let Some(address) = process.ready else { return Ok(()) };
        let start = runtime::now();
        while !accepts(address) {
            let child = self.processes.get_mut(name);
            if let Some(status) = child.and_then(|child| child.try_wait().ok().flatten()) {
                return Err(io::Error::other(format!("process `{name}` ended: {status}")));
            }
            if runtime::now() - start > READY_WITHIN {
                return Err(io::Error::other(format!(
                    "process `{name}` does not listen at {address}"
                )));
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }

    fn signal(&self, target: &Target, signal: Signal, folder: &Path) -> Result<(), String> {
        let number = match target {
            Target::Pid(pid) => *pid,
            Target::PidFile(path) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                text.trim()
                    .parse()
                    .map_err(|_| format!("{}: no process number in it", path.display()))?
            }
            Target::Process(name) => {
                let child = self.processes.get(name).ok_or("no such process")?;
                i32::try_from(child.id()).map_err(|error| error.to_string())?
            }
        };
        let pid = Pid::from_raw(number).filter(|_| number > 1).ok_or("no process to signal")?;
        kill_process(pid, signal).map_err(|error| error.to_string())
    }

    fn member(&mut self, member: usize, starts: bool) -> Result<(), String> {
        let origin = self.origin.as_mut().ok_or("no origin")?;
        let result = if starts { origin.start(member) } else { origin.stop(member) };
        result.map_err(|error| error.to_string())
    }
}

impl Drop for Stage {
    /// Processes get a moment to end by themselves.
    fn drop(&mut self) {
        for child in self.processes.values_mut() {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
                && matches!(child.try_wait(), Ok(None))
            {
                _ = kill_process(pid, Signal::CONT); // it may be stopped
                _ = kill_process(pid, Signal::TERM);
            }
        }
        let start = runtime::now();
        for child in self.processes.values_mut() {
            while matches!(child.try_wait(), Ok(None)) && runtime::now() - start < END_WITHIN {
                pause(Duration::from_millis(5));
            }
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Begins the events at their times, until the load is over.
fn drive(scenario: &Scenario, running: &Running, stage: &mut Stage) -> Vec<Done> {
    let mut events: Vec<&Event> = scenario.events.iter().collect();
    events.sort_by_key(|event| event.at);
    let mut done = Vec::new();
    for event in events {
        let start = loop {
            match running.started() {
                Some(start) => break start,
                None if running.is_over() => return done,
                None => pause(LOOK),
            }
        };
        let at = start + event.at;
        pause(at.saturating_duration_since(runtime::now()));
        if running.is_over() {
            break;
        }
        done.push(begin(event, scenario, stage, start));
    }
    done
}

fn begin(event: &Event, scenario: &Scenario, stage: &mut Stage, start: Instant) -> Done {
    let since = runtime::now() - start;
    let at = since.as_secs_f64() - scenario.plan.warm_up.as_secs_f64();
    let mut command = None;
    let result = match &event.action {
        Action::Run(text, may_fail) => match shell(text, &scenario.folder, &stage.addresses()) {
            Ok(child) => {
                command = Some((child, *may_fail));
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        },
        Action::Signal(target, signal) => stage.signal(target, *signal, &scenario.folder),
        Action::StopMember(member) => stage.member(*member, false),
        Action::StartMember(member) => stage.member(*member, true),
    };
    let late = since.saturating_sub(event.at);
    Done { name: event.name.clone(), at, late, error: result.err(), command }
}

impl Done {
    /// Waits for a command that is still running.
    fn end(&mut self) {
        let Some((mut child, may_fail)) = self.command.take() else { return };
        let start = runtime::now();
        let ended: Option<ExitStatus> = loop {
            match child.try_wait() {
                Ok(None) if runtime::now() - start < END_WITHIN => pause(Duration::from_millis(5)),
                Ok(status) => break status,
                Err(_) => break None,
            }
        };
        let failed = match ended {
            Some(status) if status.success() => return,
            Some(status) => status.to_string(),
            None => {
                _ = child.kill();
                _ = child.wait();
                "does not end".to_owned()
            }
        };
        if !may_fail {
            self.error = Some(failed);
        }
    }

    fn described(&self) -> Value {
        json!({
            "name": self.name,
            "at": round(self.at, 4),
            "late_us": u64::try_from(self.late.as_micros()).unwrap_or(u64::MAX),
            "error": self.error,
        })
    }
}

fn judge(scenario: &Scenario, outcome: &Outcome, done: &[Done], document: &mut Value) -> bool {
    let judged: Vec<Value> = scenario
        .assertions
        .iter()
        .map(|assertion| {
            let (held, found) = judge_one(assertion, outcome, done);
            json!({ "that": assertion.to_string(), "held": held, "found": found })
        })
        .collect();
    let all = done.len() == scenario.events.len();
    let held = judged.iter().all(|one| one["held"] == true)
        && done.iter().all(|d| d.error.is_none())
        && all;
    document["verdict"] = json!({ "held": held, "asserts": judged, "all_events_happened": all });
    held
}

fn judge_one(assertion: &Assertion, outcome: &Outcome, done: &[Done]) -> (bool, String) {
    let tally = &outcome.tally;
    let event = |name: &str| done.iter().find(|done| done.name == name).map(|done| done.at);
    let end = outcome.elapsed;
    let (window, span) = if assertion.has_window() {
        let Some((from, to)) = assertion.window(end, &event) else {
            return (false, "an event did not happen".to_owned());
        };
        (tally.slots.between(from, to), to.saturating_sub(from))
    } else {
        // To the end of its last slot, and exact latencies.
        (tally.slots.between(Duration::ZERO, end + tally.slots.length()), end)
    };
    let Some(counts) = window else { return (false, "nothing was counted".to_owned()) };
    let judgement = if assertion.has_window() {
        assertion.judge(&counts, span, &|share| counts.latencies.value_at_quantile(share))
    } else {
        assertion.judge(&counts, span, &|share| tally.latencies.value_at_quantile(share))
    };
    (judgement.held, judgement.found)
}

/// Commands find the members' addresses in MEMBER_0, MEMBER_1, ...
fn shell(command: &str, folder: &Path, members: &[SocketAddr]) -> io::Result<Child> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(io::stderr());
    for (index, address) in members.iter().enumerate() {
        shell.env(format!("MEMBER_{index}"), address.to_string());
    }
    if !folder.as_os_str().is_empty() {
        shell.current_dir(folder);
    }
    shell.spawn()
}

fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

#[allow(clippy::disallowed_methods, reason = "this thread drives no ring")]
fn pause(span: Duration) {
    thread::sleep(span);
}
