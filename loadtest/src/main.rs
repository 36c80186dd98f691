//! The command line of the load tester.
#![allow(clippy::indexing_slicing, reason = "what a document does not have is null")]

use clap::{Args, Parser, Subcommand};
use loadtest::capacity::{self, Bound, Search};
use loadtest::cli;
use loadtest::compare::{self, Verdict};
use loadtest::load::{self, Outcome};
use loadtest::origin;
use loadtest::report::{self, hdr_log, html, progress, text};
use loadtest::scenario;
use loadtest::units::{share, size, span};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufWriter, Write};
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
    Origin(cli::origin::Origin),
    /// Send requests and verify every answer. Exits with 1 if any was bad.
    Run(RunArguments),
    /// Play a scenario: a load, timed events, and what must hold. Exits with 0 if all held, with 1 if not.
    Scenario(ScenarioArguments),
    /// Search for the highest rate at which a latency stays under a bound.
    Capacity(CapacityArguments),
    /// Compare two reports: ratios, and whether a difference is more than noise.
    Compare(CompareArguments),
    /// Show a saved JSON report as text or as a page.
    Show(ShowArguments),
}

#[derive(Args)]
struct RunArguments {
    #[command(flatten)]
    load: cli::load::Load,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct ScenarioArguments {
    /// The scenario, a TOML file (docs/loadtest.md).
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct CapacityArguments {
    #[command(flatten)]
    load: cli::load::Load,
    /// The bound of the latency.
    #[arg(long, value_parser = span, default_value = "10ms", help_heading = "Search")]
    under: Duration,
    /// Which latency is bounded: 99, 99.9.
    #[arg(long, default_value_t = 99.0, help_heading = "Search")]
    percentile: f64,
    /// Errors up to this share are borne.
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Search")]
    errors: f64,
    /// The first rate that is tried.
    #[arg(long, value_parser = size, default_value = "1000", help_heading = "Search")]
    from: u64,
    /// The highest rate that is tried.
    #[arg(long, value_parser = size, default_value = "10M", help_heading = "Search")]
    most: u64,
    /// End when a rate that holds and one that does not are this near each other.
    #[arg(long, value_parser = share, default_value = "5%", help_heading = "Search")]
    precision: f64,
    /// Report as JSON.
    #[arg(long, help_heading = "Report")]
    json: bool,
}

#[derive(Args)]
struct CompareArguments {
    /// A JSON report, or several of the same kind: A1.json,A2.json,A3.json
    before: String,
    /// What it is compared with.
    after: String,
    /// A difference below this share is taken as noise in any case.
    #[arg(long, value_parser = share, default_value = "5%")]
    floor: f64,
    /// Compare as JSON.
    #[arg(long)]
    json: bool,
    /// Exit with 1 if anything became worse.
    #[arg(long)]
    fail: bool,
}

#[derive(Args)]
struct ShowArguments {
    /// A JSON report.
    report: PathBuf,
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
    raise_limit();
    let result = match Arguments::parse().command {
        Command::Origin(arguments) => serve(&arguments),
        Command::Run(arguments) => run(&arguments),
        Command::Scenario(arguments) => play(&arguments),
        Command::Capacity(arguments) => search(&arguments),
        Command::Compare(arguments) => compare(&arguments),
        Command::Show(arguments) => show(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ringway-loadtest: {error}");
        ExitCode::from(2)
    })
}

fn serve(arguments: &cli::origin::Origin) -> io::Result<ExitCode> {
    let origin = origin::start(arguments.options(Path::new(""))?)?;
    let mut out = io::stdout();
    for address in origin.addresses() {
        _ = writeln!(out, "listening {address}"); // whoever waits for it may have gone
    }
    _ = out.flush();
    eprintln!("runtime: {:?}", origin.driver());
    origin.wait()?;
    Ok(ExitCode::SUCCESS)
}

fn play(arguments: &ScenarioArguments) -> io::Result<ExitCode> {
    let scenario = scenario::read(&arguments.file)?;
    let mut files = arguments.output.open()?;
    let played = scenario::run::play(&scenario)?;
    files.write_log(&played.outcome)?;
    arguments.output.write(&played.document)?;
    if !arguments.output.json {
        io::stdout().write_all(scenario::run::verdict(&played.document).as_bytes())?;
    }
    Ok(if played.held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn search(arguments: &CapacityArguments) -> io::Result<ExitCode> {
    let mut load = arguments.load.clone();
    if load.rate.is_some() || load.requests.is_some() {
        return Err(io::Error::other(
            "capacity chooses the rates itself: no --rate, no --requests",
        ));
    }
    load.rate = Some(arguments.from.to_string());
    if load.warmup.is_zero() {
        load.warmup = load.duration / 5;
    }
    let plan = load.plan(Path::new(""))?;
    let quantile = arguments.percentile / 100.0;
    if !(0.0..1.0).contains(&quantile) || arguments.precision <= 0.0 {
        return Err(io::Error::other("the percentile is below 100, the precision above 0%"));
    }
    let bound = Bound { quantile, latency: arguments.under, errors: arguments.errors };
    let mut search = Search::new(arguments.from as f64, arguments.most as f64, arguments.precision);
    let mut steps = Vec::new();
    eprintln!("{}", capacity::heading(&bound));
    while let Some(rate) = search.next() {
        let plan = capacity::step_plan(&plan, rate);
        let running = load::start(plan.clone())?;
        progress::watch(&running);
        let step = capacity::judge(rate, &running.join()?, &plan, &bound);
        eprintln!("{}", capacity::line(&step));
        search.tell(step.result);
        steps.push(step);
    }
    let shown = if arguments.json {
        format!("{}\n", capacity::json(&steps, &search, &bound))
    } else {
        format!("\n{}", capacity::text(&steps, &search, &bound))
    };
    io::stdout().write_all(shown.as_bytes())?;
    Ok(if search.found().0.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(arguments: &CompareArguments) -> io::Result<ExitCode> {
    let group = |list: &str| {
        list.split(',').map(|path| read(Path::new(path))).collect::<io::Result<Vec<_>>>()
    };
    let (before, after) = (group(&arguments.before)?, group(&arguments.after)?);
    let rows = compare::rows(&before, &after, arguments.floor);
    let shown = if arguments.json {
        format!("{}\n", compare::json(&rows))
    } else {
        compare::text(&rows, &before, &after)
    };
    io::stdout().write_all(shown.as_bytes())?;
    let worse = rows.iter().any(|row| row.verdict == Verdict::Worse);
    Ok(if worse && arguments.fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(arguments: &ShowArguments) -> io::Result<ExitCode> {
    arguments.output.write(&read(&arguments.report)?)?;
    Ok(ExitCode::SUCCESS)
}

/// A saved report.
fn read(path: &Path) -> io::Result<Value> {
    let named = |what: String| io::Error::other(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| named(error.to_string()))?;
    if document["latency_us"].is_null() {
        return Err(named("no report of this program".to_owned()));
    }
    Ok(document)
}

/// Connections need descriptors: as many as the system grants.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    _ = setrlimit(Resource::Nofile, limit); // what is there must do
}

fn run(arguments: &RunArguments) -> io::Result<ExitCode> {
    let plan = arguments.load.plan(Path::new(""))?;
    let mut files = arguments.output.open()?;
    let running = load::start(plan.clone())?;
    progress::watch(&running);
    let outcome = running.join()?;
    let document = report::document(&plan, &outcome);
    files.write_log(&outcome)?;
    arguments.output.write(&document)?;
    let good = outcome.tally.failure_count() == 0 && outcome.tally.answers > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Files that are written to while or after a run; opened before it, so that a mistake shows at once.
struct Files {
    hdr_log: Option<BufWriter<File>>,
}

impl Files {
    fn write_log(&mut self, outcome: &Outcome) -> io::Result<()> {
        let Some(log) = &mut self.hdr_log else { return Ok(()) };
        hdr_log::write(log, outcome, wall_clock(outcome.measured_from))?;
        log.flush()
    }
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

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
