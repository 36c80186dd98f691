//! The control thread: signals, reports, and the writer of the access log. It never touches a
//! client's bytes, and may therefore wait.

pub mod access_log;
pub mod log;
mod signals;

pub use signals::{Event, Signals};
