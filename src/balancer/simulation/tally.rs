//! What happened in a run.

/// What happened, to see that the run was worth it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) served: u64,
    pub(super) failed: u64,
    pub(super) left: u64,
    pub(super) nobody: u64,
    pub(super) queue_full: u64,
    pub(super) queue_late: u64,
    pub(super) waited: u64,
    pub(super) stayed: u64,
    pub(super) retries: u64,
    pub(super) trials: u64,
    pub(super) spared: u64,
    pub(super) transitions: u64,
}

impl Tally {
    fn each(&mut self) -> [&mut u64; 12] {
        [
            &mut self.served,
            &mut self.failed,
            &mut self.left,
            &mut self.nobody,
            &mut self.queue_full,
            &mut self.queue_late,
            &mut self.waited,
            &mut self.stayed,
            &mut self.retries,
            &mut self.trials,
            &mut self.spared,
            &mut self.transitions,
        ]
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.each().into_iter().zip(other.each()).for_each(|(ours, theirs)| *ours += *theirs);
    }

    /// A simulation in which little happens proves little.
    pub(super) fn assert_that_much_happened(&mut self) {
        let few = self.each().into_iter().any(|count| *count < 100);
        assert!(!few, "little happened: {self:?}");
    }
}
