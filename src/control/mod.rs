//! The control thread: signals, reports, the health of members, and the writer of the access log.
//! It never touches a client's bytes, and may therefore wait.

pub mod access_log;
pub mod log;
mod members;
mod monitor;
mod probe;
mod probes;
mod resolve;
mod signals;

pub use monitor::Monitor;
pub use signals::{Event, Signals};
