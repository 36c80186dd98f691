//! What happened in a run.

/// What happened, to see that the run was worth it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    pub(super) outliers: u64,
    pub(super) transitions: u64,
}

impl Tally {
    fn each(&mut self) -> [&mut u64; 13] {
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
            &mut self.outliers,
            &mut self.transitions,
        ]
    }

    pub(super) fn add(&mut self, mut other: Self) {
        self.each().into_iter().zip(other.each()).for_each(|(ours, theirs)| *ours += *theirs);
    }

    /// A simulation in which little happens proves little.
    pub(super) fn assert_that_much_happened(self) {
        // Few are much worse than the others for long enough, and not out for another reason.
        let outliers = self.outliers * 4;
        let rare = |count: u64| count < 100;
        let few =
            rare(outliers) || Self { outliers, ..self }.each().into_iter().any(|it| rare(*it));
        assert!(!few, "little happened: {self:?}");
    }
}
