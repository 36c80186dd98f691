//! The way from workers to the monitor: what they observe, without ever waiting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::outcome::Observation;
use crate::net::{Inbox, Ringer, inbox};

/// Observations on their way; more are dropped and counted.
const BOUND: usize = 4096;

/// A worker's end.
#[derive(Clone, Debug)]
pub struct Observer {
    ringer: Ringer<Observation>,
    dropped: Arc<AtomicU64>,
}

/// The monitor's end.
#[derive(Debug)]
pub struct Observations {
    /// What workers tell.
    pub inbox: Inbox<Observation>,
    /// How many observations were dropped because the inbox was full. Written by all workers.
    pub dropped: Arc<AtomicU64>,
}

/// The two ends.
///
/// # Errors
/// No descriptors are left.
pub fn observer() -> io::Result<(Observer, Observations)> {
    let (ringer, inbox) = inbox(BOUND)?;
    let dropped = Arc::new(AtomicU64::new(0));
    Ok((Observer { ringer, dropped: Arc::clone(&dropped) }, Observations { inbox, dropped }))
}

impl Observer {
    /// Tells the monitor, without waiting: a full inbox drops the observation and counts it. Costs
    /// a system call when the monitor is not awake already.
    pub fn tell(&self, observation: Observation) {
        if self.ringer.send(observation).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::{Fault, Outcome};
    use crate::ids::{MemberId, PoolId};

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (observer, observations) = observer().unwrap();
        let outcome = Outcome::Failed(Fault::Reset);
        let (pool, member) = (PoolId(0), MemberId(0));
        for _ in 0..BOUND + 3 {
            observer.clone().tell(Observation { pool, member, epoch: 0, outcome, trial: false });
        }
        assert_eq!(observations.dropped.load(Ordering::Relaxed), 3);
        let (messages, _bell) = observations.inbox.open().unwrap();
        let mut seen = 0;
        messages.drain(|_| seen += 1);
        assert_eq!(seen, BOUND);
        observer.tell(Observation { pool, member, epoch: 0, outcome, trial: false });
        messages.drain(|_| seen += 1);
        assert_eq!(seen, BOUND + 1);
    }
}
