//! What the kernel says of the calling thread: how long it ran, and how long it waited for a core.
//! Tells whether a measurement was bounded by the tester instead of by its target.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time of a thread since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadTime {
    /// On a core.
    pub ran: Duration,
    /// Ready to run, but others had the core; `None` if the kernel does not count it.
    pub waited: Option<Duration>,
}

impl ThreadTime {
    /// That of the calling thread.
    #[must_use]
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(ran)), Some(Ok(waited))) if ran > 0 => {
                let waited = Some(Duration::from_nanos(waited));
                Self { ran: Duration::from_nanos(ran), waited }
            }
            _ => {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                let ran = Duration::try_from(time).unwrap_or_default();
                Self { ran, waited: None }
            }
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let waited = self.waited.zip(earlier.waited);
        Self {
            ran: self.ran.saturating_sub(earlier.ran),
            waited: waited.map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_seen_to_work() {
        let start = ThreadTime::now();
        let mut sum = 0_u64;
        while ThreadTime::now().since(start).ran < Duration::from_millis(5) {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(ThreadTime::now().ran > start.ran);
    }
}
