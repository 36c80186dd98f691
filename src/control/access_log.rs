//! The writer of the access log: a thread of its own, so that no ring waits for a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender as ChannelSender, bounded, select};

mod format;

use crate::config::{AccessLog, AccessLogFormat, Config};
use crate::proxy::access_log::{Record, Sender};
use crate::stats::{Counter, Row};

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    /// Dropped to end it.
    stop: ChannelSender<()>,
}

/// Where lines go.
enum Target {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

/// Starts the writer, if the configuration asks for one. It counts in `row`, the control thread's, what
/// nobody else does.
///
/// # Errors
/// The file cannot be opened for appending, or no thread can be started.
pub fn start(config: &Arc<Config>, row: Arc<Row>) -> io::Result<Option<(Sender, Writer)>> {
    let target = match &config.server.access_log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => Target::Stdout(io::stdout()),
        AccessLog::File(path) => {
            Target::File(OpenOptions::new().create(true).append(true).open(path)?)
        }
    };
    let (sender, records) = bounded(config.limits.access_log_queue);
    let (stop, stopped) = bounded(0);
    let config = Arc::clone(config);
    let thread = std::thread::Builder::new()
        .name("ringway-log".into())
        .spawn(move || write_all(&records, &stopped, target, &config, &row))?;
    Ok(Some((sender, Writer { thread, stop })))
}

impl Writer {
    /// Waits until every line handed over so far is written.
    pub fn finish(self) {
        drop(self.stop);
        // A panic of the writer has been printed by its thread.
        _ = self.thread.join();
    }
}

fn write_all(
    records: &Receiver<Record>,
    stopped: &Receiver<()>,
    target: Target,
    config: &Config,
    row: &Row,
) {
    let mut out = BufWriter::with_capacity(64 << 10, target);
    let mut line = Vec::with_capacity(512);
    let mut failing = false;
    loop {
        // Sleeps only when everything is written.
        let first = select! {
            recv(records) -> record => record.ok(),
            recv(stopped) -> _ => None,
        };
        let last = first.is_none();
        let mut result = Ok(());
        for record in first.into_iter().chain(records.try_iter()) {
            line.clear();
            match config.server.access_log_format {
                AccessLogFormat::Common => format::common(&mut line, &record, config),
                AccessLogFormat::Json => format::json(&mut line, &record, config),
            }
            let written = out.write_all(&line);
            if written.is_err() {
                row.add(Counter::AccessLogFailed, 1);
            }
            result = result.and(written);
        }
        result = result.and(out.flush());
        match (&result, failing) {
            (Err(error), false) => tracing::error!(%error, "cannot write the access log"),
            (Ok(()), true) => tracing::info!("the access log can be written again"),
            _ => {}
        }
        failing = result.is_err();
        if last {
            return;
        }
    }
}
