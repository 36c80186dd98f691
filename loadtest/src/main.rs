//! The command line of the load tester.

use clap::{Args, Parser, Subcommand};
use loadtest::cli::load::Load;
use loadtest::load;
use loadtest::origin::{self, Options};
use loadtest::report::{self, hdr_log, html, progress, text};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Load tester and test origin for ringway.
#[derive(Parser)]
#[command(name = "ringway-loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer HTTP/1.1 requests: `GET /102400` with 102400 bytes, others with --size.
    Origin(OriginArguments),
    /// Send requests and verify every answer. Exits with 1 if any was bad.
    Run(RunArguments),
}

#[derive(Args)]
struct OriginArguments {
    /// Where to listen; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Bytes of an answer whose path is not a number.
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// Core to run on.
    #[arg(long)]
    core: Option<usize>,
    /// Answer in chunks instead of with a Content-Length.
    #[arg(long)]
    chunked: bool,
    /// Wait before each answer.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
}

#[derive(Args)]
struct RunArguments {
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    output: Output,
}

/// Where a report goes.
#[derive(Args)]
struct Output {
    /// Report as one line of JSON.
    #[arg(long, help_heading = "Report")]
    json: bool,
    /// Write the JSON report to this file too.
    #[arg(long, help_heading = "Report")]
    json_file: Option<PathBuf>,
    /// Write the report as a page, with its curves, to this file.
    #[arg(long, help_heading = "Report")]
    html: Option<PathBuf>,
    /// Write the latencies of each second to this file, in HdrHistogram's log format.
    #[arg(long, help_heading = "Report")]
    hdr_log: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Origin(arguments) => serve(&arguments),
        Command::Run(arguments) => run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ringway-loadtest: {error}");
        ExitCode::from(2)
    })
}

fn serve(arguments: &OriginArguments) -> io::Result<ExitCode> {
    let options = Options {
        bind: arguments.bind,
        size: arguments.size,
        chunked: arguments.chunked,
        delay: Duration::from_millis(arguments.delay_ms),
    };
    origin::run(options, arguments.core, |address, driver| {
        let mut out = io::stdout();
        // Whoever waits for the address has gone: serving is still of use to others.
        _ = writeln!(out, "listening {address}").and_then(|()| out.flush());
        eprintln!("runtime: {driver:?}");
    })?;
    Ok(ExitCode::SUCCESS)
}

fn run(arguments: &RunArguments) -> io::Result<ExitCode> {
    let plan = arguments.load.plan(Path::new(""))?;
    let files = arguments.output.open()?;
    let running = load::start(plan.clone())?;
    progress::watch(&running);
    let outcome = running.join()?;
    let document = report::document(&plan, &outcome);
    if let Some(mut log) = files.hdr_log {
        hdr_log::write(&mut log, &outcome, wall_clock(outcome.measured_from))?;
        log.flush()?;
    }
    arguments.output.write(&document)?;
    let good = outcome.tally.failure_count() == 0 && outcome.tally.answers > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files that are written to while or after a run; opened before it, so that a mistake shows at once.
struct Files {
    hdr_log: Option<BufWriter<File>>,
}

impl Output {
    fn open(&self) -> io::Result<Files> {
        for path in [&self.json_file, &self.html].into_iter().flatten() {
            create(path)?;
        }
        let hdr_log = self.hdr_log.as_ref().map(|path| create(path)).transpose()?;
        Ok(Files { hdr_log: hdr_log.map(BufWriter::new) })
    }

    fn write(&self, document: &Value) -> io::Result<()> {
        if let Some(path) = &self.json_file {
            writeln!(create(path)?, "{document}")?;
        }
        if let Some(path) = &self.html {
            create(path)?.write_all(html::page(document).as_bytes())?;
        }
        let shown = if self.json { format!("{document}\n") } else { text::lines(document) };
        io::stdout().write_all(shown.as_bytes())
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::create(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// What a clock on the wall showed at `instant`.
#[allow(clippy::disallowed_methods, reason = "a log tells when it was made")]
fn wall_clock(instant: std::time::Instant) -> SystemTime {
    SystemTime::now() - loadtest::runtime::now().saturating_duration_since(instant)
}
