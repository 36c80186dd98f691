//! The process's own log: one line an event on the standard error, `key=value`.

use std::io::Write;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

/// Sends events to the standard error from now on: those of the level that `RUST_LOG` names
/// (`error`, `warn`, `info`, `debug`, `trace`) and above, without it those of `info`.
pub fn start() {
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    let wanted = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    let wanted: Level = wanted.unwrap_or(Level::INFO);
    // The resolver would complain of the same line of the system's files at each answer.
    let ours = Targets::new().with_target("ringway", wanted).with_default(Level::ERROR);
    let subscriber = tracing_subscriber::registry().with(ours).with(lines);
    // Fails if a log is there already, as in tests that start several servers.
    _ = tracing::subscriber::set_global_default(subscriber);
}

/// Text as it is, for reports of many lines.
pub fn raw(text: &str) {
    // A closed standard error must not stop the server.
    _ = std::io::stderr().lock().write_all(text.as_bytes());
}
