//! The command line: arguments in, one of the commands, an exit code out.
//!
//! Exit codes: 0 ok, 1 the user's mistake (configuration, arguments), 2 the system refused, 70 a
//! bug.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod cli;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cli::Whom;
use cli::terminal::{EXIT_BUG, EXIT_USER, complain, finish, plural, print};
use ringway::config::{self, Checked, Config, LoadError, Report};
use ringway::control::admin::view::CertificatesView;
use ringway::control::{AuthFiles, Certificates, TlsFileFault};
use ringway::net::{Driver, DriverChoice};
use ringway::server::{self, Options, StartError, demo};

/// An io_uring, thread-per-core HTTP reverse proxy and load balancer.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve.
    Run(RunArgs),
    /// Three origins inside the process and a proxy in front of them: no file, no network needed.
    Demo(DemoArgs),
    /// Validate a configuration file and the certificates that it names: all mistakes at once.
    Check(CheckArgs),
    #[command(flatten)]
    Ask(cli::Ask),
    /// List the certificates that a running process shows, or those that a file names.
    Certs(CertsArgs),
}

/// Which configuration file: as an argument or an option, whichever comes to mind.
#[derive(Debug, Args)]
struct Which {
    /// The configuration file; without one: /etc/ringway/ringway.toml.
    #[arg(conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The same.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Which {
    fn path(&self) -> &Path {
        self.file.as_deref().or(self.config.as_deref()).unwrap_or_else(|| Path::new(cli::CONFIG))
    }
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    which: Which,
    /// How the workers reach the kernel.
    #[arg(long, value_enum, default_value_t = DriverArg::Auto)]
    driver: DriverArg,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Where the proxy listens.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How the workers reach the kernel.
    #[arg(long, value_enum, default_value_t = DriverArg::Auto)]
    driver: DriverArg,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    which: Which,
    /// Print the whole configuration with its defaults.
    #[arg(long)]
    effective: bool,
}

#[derive(Debug, Args)]
struct CertsArgs {
    #[command(flatten)]
    whom: Whom,
    /// Instead of asking a process: a configuration file.
    file: Option<PathBuf>,
    /// As JSON; only of a running process.
    #[arg(long, conflicts_with = "file")]
    json: bool,
}

/// How the workers reach the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DriverArg {
    /// io_uring, or epoll where io_uring is refused.
    Auto,
    /// io_uring or nothing.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

impl From<DriverArg> for DriverChoice {
    fn from(arg: DriverArg) -> Self {
        match arg {
            DriverArg::Auto => Self::Auto,
            DriverArg::IoUring => Self::IoUring,
            DriverArg::Epoll => Self::Epoll,
        }
    }
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Run(args) }) => run(&args),
        Ok(Cli { command: Command::Demo(args) }) => demo(&args),
        Ok(Cli { command: Command::Check(args) }) => check(&args),
        Ok(Cli { command: Command::Ask(ask) }) => cli::run(&ask),
        Ok(Cli { command: Command::Certs(args) }) => certs(&args),
        // Help and version are "errors" that go to the standard output.
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USER } else { 0 };
            finish(code, error.print())
        }
    }
}

fn run(args: &RunArgs) -> ExitCode {
    let checked = match load(args.which.path()) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    complain(&report_text(&checked.warnings));
    serve(Options { config: checked.config, driver: args.driver.into() })
}

fn serve(options: Options) -> ExitCode {
    match server::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refused(&error),
    }
}

fn refused(error: &StartError) -> ExitCode {
    complain(&format!("ringway: {error}\n"));
    ExitCode::from(error.exit_code())
}

fn demo(args: &DemoArgs) -> ExitCode {
    let choice = args.driver.into();
    let origins = Driver::choose(choice)
        .map_err(StartError::Driver)
        .and_then(|(driver, _)| demo::start_origins(driver).map_err(StartError::Bind));
    let origins = match origins {
        Ok(origins) => origins,
        Err(error) => return refused(&error),
    };
    let admin = demo::admin_address();
    let text = demo::config(args.listen, admin, &origins);
    let advice = demo::advice(args.listen, admin);
    if let Err(error) = print(&format!("# The configuration that runs now:\n{text}{advice}\n")) {
        return finish(0, Err(error));
    }
    match config::load(&text, "demo") {
        Ok(checked) => serve(Options { config: checked.config, driver: choice }),
        Err(report) => {
            complain(&report_text(&report));
            ExitCode::from(EXIT_BUG)
        }
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    let file = args.which.path();
    let checked = match load(file) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    complain(&report_text(&checked.warnings));
    let odd = match load_certificates(file, &checked.config) {
        Ok((_, odd)) => odd,
        Err(code) => return code,
    };
    if let Err(code) = load_auth(file, &checked.config) {
        return code;
    }
    let summary = summary(file, &checked, odd);
    if args.effective {
        // The standard output is a configuration file then.
        complain(&summary);
        return finish(0, print(&config::effective(&checked.config)));
    }
    finish(0, print(&summary))
}

/// What is wrong or odd with the files of certificates is told; how many are odd.
fn load_certificates(file: &Path, config: &Config) -> Result<(Certificates, usize), ExitCode> {
    let mut warnings = Vec::new();
    let loaded = Certificates::load(config, &mut warnings);
    for warning in &warnings {
        complain(&format!("{}: warning: {warning}\n", file.display()));
    }
    loaded
        .map(|certificates| (certificates, warnings.len()))
        .map_err(|faults| complain_of_files(file, &faults))
}

/// What is wrong with the files of users and keys is told.
fn load_auth(file: &Path, config: &Config) -> Result<(), ExitCode> {
    AuthFiles::load(config).map(drop).map_err(|faults| complain_of_files(file, &faults))
}

fn complain_of_files(file: &Path, faults: &[TlsFileFault]) -> ExitCode {
    for fault in faults {
        complain(&format!("{}: error: {fault}\n", file.display()));
    }
    complain(&format!("{}: {}\n", file.display(), plural(faults.len(), "error")));
    ExitCode::from(EXIT_USER)
}

fn certs(args: &CertsArgs) -> ExitCode {
    let Some(file) = &args.file else { return cli::certificates(&args.whom, args.json) };
    let checked = match load(file) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    match load_certificates(file, &checked.config) {
        Ok((certificates, _)) => {
            let view = CertificatesView::of(&certificates.shelves());
            finish(0, print(&cli::certs::text(&view)))
        }
        Err(code) => code,
    }
}

/// `odd`: how many files there are warnings about.
fn summary(file: &Path, checked: &Checked, odd: usize) -> String {
    let config = &checked.config;
    let counts = [
        (config.listeners.len(), "listener"),
        (config.routes.len(), "route"),
        (config.pools.len(), "pool"),
        (checked.warnings.findings.len() + odd, "warning"),
    ];
    let counts = counts.iter().filter(|(count, what)| *count > 0 || *what != "warning");
    let counts: Vec<String> = counts.map(|(count, what)| plural(*count, what)).collect();
    format!("{}: ok, {}\n", file.display(), counts.join(", "))
}

/// Loads a configuration, or says why not.
fn load(file: &Path) -> Result<Checked, ExitCode> {
    config::load_file(file).map_err(|error| {
        match &error {
            LoadError::Mistakes(report) => {
                complain(&report_text(report));
                let errors = plural(report.errors(), "error");
                complain(&format!("{}: {errors}\n", file.display()));
            }
            LoadError::Read { source, .. } => {
                complain(&format!("ringway: {error}\n"));
                if source.kind() == io::ErrorKind::NotFound {
                    complain(
                        "help: \"ringway demo\" needs no file; \"ringway run --config FILE\" \
                         takes another one\n",
                    );
                }
            }
            LoadError::NotText { .. } => complain(&format!("ringway: {error}\n")),
        }
        ExitCode::from(EXIT_USER)
    })
}

/// With colours for a terminal.
fn report_text(report: &Report) -> String {
    if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("{report:#}")
    } else {
        report.to_string()
    }
}
