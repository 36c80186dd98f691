//! What the end-to-end tests stand on: the real binary, and peers that work byte by byte.
//!
//! Everything here is blocking sockets and threads, and shares no code with the proxy: a mistake
//! in its parser must not hide in ours. Every read and write has a deadline, so a hang is a failure.

pub(crate) mod certs;
pub(crate) mod client;
pub(crate) mod coding;
pub(crate) mod dns;
pub(crate) mod load;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod origin;
pub(crate) mod proxy;
pub(crate) mod seccomp;
pub(crate) mod setup;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod tls;
pub(crate) mod wire;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, exchange};
pub(crate) use load::Load;
pub(crate) use member::{Member, Mode};
pub(crate) use message::{Message, answer_with, ok};
pub(crate) use origin::{Conn, Origin};
pub(crate) use proxy::{Proxy, run_to_end};
pub(crate) use setup::Setup;

/// How long anything that must happen may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; fails the test with `what` when it does not within [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
