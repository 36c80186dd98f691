//! Descriptors that are held back: whoever asks why the process has none left must be let in.

use std::fs::File;

use crossbeam_channel::{Receiver, Sender, bounded};

/// How many are held.
const HELD: usize = 4;
/// What is open as long as they are not needed.
const NOTHING: &str = "/dev/null";

/// Descriptors that can be given up for a connection to the admin interface.
#[derive(Debug)]
pub(super) struct Spare {
    put: Sender<File>,
    held: Receiver<File>,
}

impl Spare {
    /// None yet.
    pub(super) fn new() -> Self {
        let (put, held) = bounded(HELD);
        Self { put, held }
    }

    /// Holds as many as it may.
    pub(super) fn fill(&self) {
        while !self.put.is_full() {
            // None are left: the next call tries again.
            let Ok(file) = File::open(NOTHING) else { return };
            if self.put.try_send(file).is_err() {
                return;
            }
        }
    }

    /// Gives one up; false: there is none. A worker may be faster than the caller to take it.
    pub(super) fn give_up(&self) -> bool {
        self.held.try_recv().is_ok()
    }
}
