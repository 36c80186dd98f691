//! What is counted: the one list of counters and of reasons, and a row of them per worker.
//!
//! Each row has a single writer, its worker; anyone may read. Must not know who serves them.

mod counters;
mod occupancy;
mod reason;
mod report;
mod row;

pub use counters::Counter;
pub use occupancy::Occupancy;
pub use reason::{Reason, Side};
pub use report::report;
pub use row::Row;
