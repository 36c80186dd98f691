//! The control loop over the workers: reports, and the orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::run::StartError;
use super::worker::Command;
use crate::control::access_log::Writer;
use crate::control::{Event, Signals, log, shortage};
use crate::ids::WorkerId;
use crate::net::{self, Ringer};
use crate::proxy::Guards;
use crate::stats::{Counter, Occupancy, Row, report};

/// How long the workers may take to cut what is under way.
const CUT_PATIENCE: Duration = Duration::from_secs(1);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every exchange was finished.
    Drained,
    /// So many connections were still open at the deadline or the second signal.
    Cut(u64),
}

/// All workers, seen from the control thread.
#[derive(Debug)]
pub(super) struct Crew {
    workers: Vec<(JoinHandle<()>, Ringer<Command>)>,
    rows: Vec<Arc<Row>>,
    occupancy: Arc<Occupancy>,
    /// The control thread's counters.
    control: Arc<Row>,
    ends: UnboundedReceiver<WorkerId>,
    log_writer: Option<Writer>,
    drain_timeout: Duration,
    draining: Arc<AtomicBool>,
    guards: Option<Arc<Guards>>,
}

impl Crew {
    pub(super) fn new(
        (rows, occupancy): (Vec<Arc<Row>>, Arc<Occupancy>),
        control: Arc<Row>,
        ends: UnboundedReceiver<WorkerId>,
        log_writer: Option<Writer>,
        drain_timeout: Duration,
    ) -> Self {
        let (workers, draining) = (Vec::new(), Arc::default());
        let guards = None;
        Self {
            workers,
            rows,
            occupancy,
            control,
            ends,
            log_writer,
            drain_timeout,
            draining,
            guards,
        }
    }

    /// Reports what rules decided, too.
    pub(super) fn counting(mut self, guards: Arc<Guards>) -> Self {
        self.guards = Some(guards);
        self
    }

    /// Whether the end has begun, for others to look at.
    pub(super) fn draining(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.draining)
    }

    pub(super) fn add(&mut self, thread: JoinHandle<()>, ringer: Ringer<Command>) {
        self.workers.push((thread, ringer));
    }

    /// Runs until the process is told to end. Signals are handled before `ready` is asked whether
    /// the workers run.
    pub(super) async fn serve(
        mut self,
        ready: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<Outcome, StartError> {
        let mut signals = Signals::new().map_err(StartError::System)?;
        ready()?;
        shortage::watch(self.rows.clone(), net::descriptors());
        loop {
            tokio::select! {
                event = signals.next() => match event {
                    Event::Terminate => break,
                    other => self.on_event(other),
                },
                Some(lost) = self.ends.recv() => return Err(StartError::WorkerLost(lost)),
            }
        }
        Ok(self.drain(&mut signals).await)
    }

    fn on_event(&self, event: Event) {
        match event {
            Event::Report => {
                let rules = self.guards.as_ref().map(|guards| guards.report()).unwrap_or_default();
                let counts = report(&self.rows, &self.control, &self.occupancy);
                log::raw(&(rules + &counts));
            }
            Event::HangUp => tracing::warn!("SIGHUP: this version cannot reload its configuration"),
            Event::Upgrade => tracing::warn!("SIGUSR2: this version cannot upgrade in place"),
            Event::Terminate => {}
        }
    }

    fn open_connections(&self) -> u64 {
        self.rows.iter().map(|row| row.get(Counter::ConnectionsActive)).sum()
    }

    async fn drain(mut self, signals: &mut Signals) -> Outcome {
        self.draining.store(true, Ordering::Relaxed);
        let connections = self.open_connections();
        tracing::info!(connections, timeout = ?self.drain_timeout, "draining");
        self.tell_all(|| Command::Drain);
        let (mut left, mut cut) = (self.workers.len(), None);
        let deadline = tokio::time::sleep(self.drain_timeout);
        tokio::pin!(deadline);
        while left > 0 {
            let over = tokio::select! {
                Some(_) = self.ends.recv() => {
                    left -= 1;
                    continue;
                }
                () = &mut deadline => true,
                event = signals.next() => match event {
                    Event::Terminate => true,
                    other => {
                        self.on_event(other);
                        false
                    }
                },
            };
            match (over, cut) {
                (true, None) => {
                    cut = Some(self.open_connections());
                    self.tell_all(|| Command::Cut);
                    deadline.set(tokio::time::sleep(CUT_PATIENCE));
                }
                // A worker that does not even end now is stuck.
                (true, Some(connections)) => return Outcome::Cut(connections),
                (false, _) => {}
            }
        }
        for (thread, _) in self.workers {
            // A panic of a worker has been printed by its thread.
            _ = thread.join();
        }
        if let Some(writer) = self.log_writer {
            writer.finish();
        }
        cut.map_or(Outcome::Drained, Outcome::Cut)
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for (_, ringer) in &self.workers {
            // The inbox holds more commands than are ever sent.
            _ = ringer.send(command());
        }
    }
}
