//! The command line of the load tester.

use clap::{Args, Parser, Subcommand};
use loadtest::client::{self, Plan};
use loadtest::origin::{self, Options};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

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
    /// For example http://127.0.0.1:8080/1024
    url: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds.
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// Stop after this many requests, should that come first.
    #[arg(long)]
    requests: Option<u64>,
    #[arg(long, default_value = "GET")]
    method: String,
    /// A further header line, `Name: value`; may be repeated.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Send `Connection: close`: one connection per request.
    #[arg(long)]
    close: bool,
    /// The status of a good answer.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// The body length of a good answer [default: that of the first answer].
    #[arg(long)]
    length: Option<u64>,
    /// Seconds that an exchange may take.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Core to run on.
    #[arg(long)]
    core: Option<usize>,
    /// Report as one line of JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Origin(arguments) => serve(&arguments),
        Command::Run(arguments) => load(&arguments),
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

fn load(arguments: &RunArguments) -> io::Result<ExitCode> {
    let report = client::run(plan(arguments)?, arguments.core)?;
    println!("{}", if arguments.json { report.json() } else { report.text() });
    Ok(if report.failure_count() == 0 && report.answers > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn plan(arguments: &RunArguments) -> io::Result<Plan> {
    let (host, path) = split_url(&arguments.url)?;
    let port =
        if host.rsplit(']').next().is_some_and(|end| end.contains(':')) { "" } else { ":80" };
    let seconds = |value| Duration::try_from_secs_f64(value).map_err(io::Error::other);
    let mut request = format!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", arguments.method);
    for header in &arguments.headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if arguments.close {
        request.push_str("Connection: close\r\n");
    }
    request.push_str("\r\n");
    Ok(Plan {
        address: resolve(&format!("{host}{port}"))?,
        request: request.into_bytes(),
        is_head: arguments.method == "HEAD",
        connections: arguments.connections,
        duration: seconds(arguments.duration)?,
        requests: arguments.requests,
        status: arguments.status,
        length: arguments.length,
        timeout: seconds(arguments.timeout)?,
    })
}

/// Host (with its port, if any) and path of `http://host[:port][/path]`.
fn split_url(url: &str) -> io::Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("the URL begins with http://"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.is_empty() {
        return Err(invalid("the URL names no host"));
    }
    Ok((host, if path.is_empty() { "/" } else { path }))
}

#[allow(clippy::disallowed_methods, reason = "before the ring runs")]
fn resolve(host: &str) -> io::Result<SocketAddr> {
    host.to_socket_addrs()?.next().ok_or_else(|| invalid("the host has no address"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
