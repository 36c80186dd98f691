//! Says in the log that the process has no descriptors left: seldom, and only while it is so.

use std::sync::Arc;
use std::time::Duration;

use crate::stats::{Counter, Reason, Row};

/// Between two looks, and so between two lines of the log.
const LOOK: Duration = Duration::from_secs(10);

/// What came of the want of descriptors so far: pauses of accepting, and requests refused.
fn seen(rows: &[Arc<Row>]) -> (u64, u64) {
    let sum = |of: &dyn Fn(&Row) -> u64| rows.iter().map(|row| of(row)).sum();
    (sum(&|row| row.get(Counter::AcceptPauses)), sum(&|row| row.errors(Reason::NoDescriptors)))
}

/// Watches the counters of the workers, on the control thread's runtime, until the runtime ends.
pub fn watch(rows: Vec<Arc<Row>>, descriptors: usize) {
    tokio::spawn(async move {
        let mut before = seen(&rows);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = seen(&rows);
            let (pauses, refused) = (now.0 - before.0, now.1 - before.1);
            if (pauses, refused) != (0, 0) {
                tracing::warn!(
                    descriptors,
                    accept_pauses = pauses,
                    requests_refused = refused,
                    "descriptors ran short in the last 10s: raise LimitNOFILE (ulimit -n)"
                );
            }
            before = now;
        }
    });
}
