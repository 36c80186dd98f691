//! The control thread: signals, reports, the health of members, certificates, and the writer of the access log.
//! It never touches a client's bytes, and may therefore wait.

mod access;
pub mod access_log;
pub mod admin;
mod auth;
mod certificates;
mod channel;
mod desk;
mod fetch;
pub mod log;
mod members;
mod monitor;
mod probe;
mod probes;
mod resolve;
pub mod shortage;
mod signals;

pub use access::watch_addresses;
pub use auth::AuthFiles;
pub use certificates::{Certificates, Shelves, TlsFileFault};
pub use desk::{Desk, MemberState, NoAnswer};
pub use monitor::Monitor;
pub use signals::{Event, Signals};
