//! TLS on connections, by rustls: the only place that names it.
//!
//! `session` holds the state of one connection and does no I/O; the stream moves its bytes.
//! `handshake` establishes one; `server` and `client` say how, from the configuration;
//! `certificates`, `store` and `tickets` keep what all workers share.

mod certificates;
mod client;
mod handshake;
mod identity;
mod records;
mod server;
pub(super) mod session;
mod store;
mod talk;
mod tickets;
mod watch;

pub use certificates::{FileFault, LoadedCertificate};
pub use client::{TlsConnector, TlsFault, TlsPeer};
pub use handshake::{Refusal, Refused, Shaken};
pub use server::{Shelf, Termination, TlsAcceptor};
pub use talk::{Heard, Talk};
pub use watch::FileChange;
