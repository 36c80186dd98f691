//! Signals, as events of the control thread.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM or SIGINT: drain; the second one: end at once.
    Terminate,
    /// SIGUSR1: report the counters.
    Report,
    /// SIGHUP.
    HangUp,
    /// SIGUSR2.
    Upgrade,
}

/// The signals that the process handles.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    report: Signal,
    hang_up: Signal,
    upgrade: Signal,
}

impl Signals {
    /// Handles them from now on.
    ///
    /// # Errors
    /// The system refused.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            report: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Terminate,
            _ = self.interrupt.recv() => Event::Terminate,
            _ = self.report.recv() => Event::Report,
            _ = self.hang_up.recv() => Event::HangUp,
            _ = self.upgrade.recv() => Event::Upgrade,
        }
    }
}
