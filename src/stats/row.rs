//! One worker's counters.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Counter, Reason};

/// The counters of one worker, or of the control thread. Written by its owner only (so plain loads and stores do, which
/// cost what an ordinary addition costs); read by anyone. Starts on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct Row {
    counters: [AtomicU64; Counter::COUNT],
    errors: [AtomicU64; Reason::COUNT],
}

impl Default for Row {
    fn default() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; Counter::COUNT],
            errors: [const { AtomicU64::new(0) }; Reason::COUNT],
        }
    }
}

fn bump(cell: Option<&AtomicU64>, by: u64) {
    if let Some(cell) = cell {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }
}

impl Row {
    /// Adds `by`. Owner worker only.
    #[inline]
    pub fn add(&self, counter: Counter, by: u64) {
        bump(self.counters.get(counter as usize), by);
    }

    /// Takes `by` off a gauge. Owner worker only.
    #[inline]
    pub fn sub(&self, gauge: Counter, by: u64) {
        bump(self.counters.get(gauge as usize), by.wrapping_neg());
    }

    /// Sets a value that is measured elsewhere. Owner worker only.
    pub fn set(&self, counter: Counter, value: u64) {
        if let Some(cell) = self.counters.get(counter as usize) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Counts one failure. Owner worker only.
    pub fn error(&self, reason: Reason) {
        bump(self.errors.get(reason as usize), 1);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters.get(counter as usize).map_or(0, |c| c.load(Ordering::Relaxed))
    }

    /// Failures for this reason so far.
    #[must_use]
    pub fn errors(&self, reason: Reason) -> u64 {
        self.errors.get(reason as usize).map_or(0, |c| c.load(Ordering::Relaxed))
    }
}
