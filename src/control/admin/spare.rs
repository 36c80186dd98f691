//! Descriptors that are held back: whoever asks why the process has none left must be let in.

use std::fs::File;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::Notify;
use tokio::time::sleep;

/// How many are held.
const HELD: usize = 4;
/// Between two attempts to fill it, while some are missing.
const PAUSE: Duration = Duration::from_millis(10);
/// What is open as long as they are not needed.
const NOTHING: &str = "/dev/null";

/// Descriptors that can be given up for a connection to the admin interface.
#[derive(Debug)]
pub(super) struct Spare {
    put: Sender<File>,
    held: Receiver<File>,
    /// One was given up.
    given: Notify,
}

impl Spare {
    /// None yet.
    pub(super) fn new() -> Self {
        let (put, held) = bounded(HELD);
        Self { put, held, given: Notify::new() }
    }

    /// Holds as many as it may; false: none are left for that, the next call tries again.
    pub(super) fn fill(&self) -> bool {
        while !self.put.is_full() {
            let Ok(file) = File::open(NOTHING) else { return false };
            if self.put.try_send(file).is_err() {
                break;
            }
        }
        true
    }

    /// Fills it again for ever: what was given up may be a worker's by the time its connection ends.
    pub(super) async fn keep_filled(&self) {
        loop {
            if self.fill() {
                self.given.notified().await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Gives one up; false: there is none. A worker may be faster than the caller to take it.
    pub(super) fn give_up(&self) -> bool {
        let given = self.held.try_recv().is_ok();
        self.given.notify_one();
        given
    }
}
