//! The writer of the access log: a thread of its own, so that no ring waits for a disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, bounded};

mod format;

use crate::config::{AccessLog, AccessLogFormat, Config};
use crate::proxy::access_log::{Record, Sender};

/// The running writer. It ends when the last sender is dropped.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
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

/// Starts the writer, if the configuration asks for one.
///
/// # Errors
/// The file cannot be opened for appending, or no thread can be started.
pub fn start(config: &Arc<Config>) -> io::Result<Option<(Sender, Writer)>> {
    let target = match &config.server.access_log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => Target::Stdout(io::stdout()),
        AccessLog::File(path) => {
            Target::File(OpenOptions::new().create(true).append(true).open(path)?)
        }
    };
    let (sender, records) = bounded(config.limits.access_log_queue);
    let config = Arc::clone(config);
    let thread = std::thread::Builder::new()
        .name("ringway-log".into())
        .spawn(move || write_all(&records, target, &config))?;
    Ok(Some((sender, Writer { thread })))
}

impl Writer {
    /// Waits until the last line is written. All senders must have been dropped.
    pub fn finish(self) {
        // A panic of the writer has been printed by its thread.
        _ = self.thread.join();
    }
}

fn write_all(records: &Receiver<Record>, target: Target, config: &Config) {
    let mut out = BufWriter::with_capacity(64 << 10, target);
    let mut line = Vec::with_capacity(512);
    let mut failing = false;
    // Sleeps only when everything is written.
    while let Ok(record) = records.recv() {
        let mut next = Some(record);
        let mut result = Ok(());
        while let Some(record) = next {
            line.clear();
            match config.server.access_log_format {
                AccessLogFormat::Common => format::common(&mut line, &record, config),
                AccessLogFormat::Json => format::json(&mut line, &record, config),
            }
            result = result.and(out.write_all(&line));
            next = records.try_recv().ok();
        }
        result = result.and(out.flush());
        match (&result, failing) {
            (Err(error), false) => tracing::error!(%error, "cannot write the access log"),
            (Ok(()), true) => tracing::info!("the access log can be written again"),
            _ => {}
        }
        failing = result.is_err();
    }
}
