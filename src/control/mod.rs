//! The control thread: signals, reports, the health of members, certificates, and the writer of the access log.
//! It never touches a client's bytes, and may therefore wait.

pub mod access_log;
mod certificates;
mod channel;
pub mod log;
mod monitor;
mod probe;
mod signals;

pub use certificates::{Certificates, TlsFileFault};
pub use monitor::Monitor;
pub use signals::{Event, Signals};
