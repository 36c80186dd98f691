//! What happens during a load, and when.

use crate::cli::load::spans;
use rustix::process::Signal;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// An event as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    #[serde(deserialize_with = "spans")]
    at: Duration,
    name: Option<String>,
    run: Option<String>,
    #[serde(default)]
    may_fail: bool,
    signal: Option<String>,
    pid: Option<i32>,
    pidfile: Option<PathBuf>,
    process: Option<String>,
    stop_member: Option<usize>,
    start_member: Option<usize>,
}

/// A checked event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// After the load began, the warm-up included.
    pub(super) at: Duration,
    pub(super) name: String,
    pub(super) action: Action,
}

/// What is done.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A command of the shell; its failure breaks the verdict unless it may fail.
    Run(String, bool),
    Signal(Target, Signal),
    StopMember(usize),
    StartMember(usize),
}

/// Who is signalled.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Pid(i32),
    PidFile(PathBuf),
    /// One that the scenario started.
    Process(String),
}

const SIGNALS: [(&str, Signal); 9] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("TERM", Signal::TERM),
    ("KILL", Signal::KILL),
    ("STOP", Signal::STOP),
    ("CONT", Signal::CONT),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

impl Event {
    pub(super) fn new(written: &Written) -> Result<Self, String> {
        let action = action(written);
        let default = match &action {
            Ok(Action::Run(command, _)) => command.clone(),
            Ok(Action::Signal(..)) => written.signal.clone().unwrap_or_default(),
            Ok(Action::StopMember(member)) => format!("stop-{member}"),
            Ok(Action::StartMember(member)) => format!("start-{member}"),
            Err(_) => String::new(),
        };
        let name = written.name.clone().unwrap_or(default);
        let action =
            action.map_err(|what| format!("event at {:?} `{name}`: {what}", written.at))?;
        Ok(Self { at: written.at, name, action })
    }
}

fn action(written: &Written) -> Result<Action, String> {
    let target = (written.pid, &written.pidfile, &written.process);
    match (&written.run, &written.signal, written.stop_member, written.start_member) {
        (Some(command), None, None, None) => Ok(Action::Run(command.clone(), written.may_fail)),
        (None, Some(signal), None, None) => {
            let word = signal.strip_prefix("SIG").unwrap_or(signal);
            let known = SIGNALS.iter().find(|(name, _)| *name == word);
            let (_, signal) =
                known.ok_or_else(|| format!("`{signal}` is no signal it can send"))?;
            let target = match target {
                (Some(pid), None, None) if pid > 1 => Target::Pid(pid),
                (None, Some(path), None) => Target::PidFile(path.clone()),
                (None, None, Some(name)) => Target::Process(name.clone()),
                _ => return Err("a signal goes to one of pid, pidfile and process".to_owned()),
            };
            Ok(Action::Signal(target, *signal))
        }
        (None, None, Some(member), None) => Ok(Action::StopMember(member)),
        (None, None, None, Some(member)) => Ok(Action::StartMember(member)),
        _ => Err("one of run, signal, stop_member and start_member".to_owned()),
    }
}
