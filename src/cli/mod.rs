//! The commands that ask a running process, over its admin interface. They may wait: nothing here
//! runs in a server.

pub(crate) mod certs;
mod client;
mod members;
mod purge;
mod stats;
mod table;
pub(crate) mod terminal;
mod top;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use client::{AskError, Client};
use ringway::config::{AdminAddress, load_file};
use terminal::{EXIT_SYSTEM, EXIT_USER, complain};

/// Where the configuration is unless another place is named.
pub(crate) const CONFIG: &str = "/etc/ringway/ringway.toml";

/// What a running process is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Print the counters of a running process.
    Stats {
        #[command(flatten)]
        whom: Whom,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the members of a running process, or tell what was seen of one of them.
    Members {
        #[command(flatten)]
        whom: Whom,
        /// Of this pool only.
        pool: Option<String>,
        /// This member only, with the last probes and failed requests.
        #[arg(requires = "pool")]
        address: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give a member no new requests; what is under way goes on.
    Drain(Target),
    /// Let a member have requests again, if it is fit for them.
    Ready(Target),
    /// Take a member out, whatever its health.
    Maintenance(Target),
    /// Throw answers out of the cache of a running process, or make them stale.
    Purge(purge::PurgeArgs),
    /// Show rates per worker and the load of pools, anew every second; once if not on a terminal.
    Top {
        #[command(flatten)]
        whom: Whom,
    },
}

/// Which process.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// Its admin address: IP:PORT or unix:/PATH. Without it: server.admin of the configuration.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<AdminAddress>,
    /// Its configuration file.
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// Which member.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[command(flatten)]
    whom: Whom,
    /// The name of its pool.
    pool: String,
    /// Its address, as "ringway members" shows it.
    address: String,
}

impl Whom {
    /// The way to the process, or the exit code after saying why there is none.
    fn client(&self) -> Result<Client, ExitCode> {
        let address = match &self.admin {
            Some(address) => address.clone(),
            None => self.configured()?,
        };
        match address {
            AdminAddress::Tcp(address) if address.port() == 0 => Err(user(
                "server.admin has port 0, so that the port is another one at each start\n\
                 help: its log says which; name it by --admin IP:PORT",
            )),
            address => Ok(Client::new(address)),
        }
    }

    fn configured(&self) -> Result<AdminAddress, ExitCode> {
        let file = self.config.display();
        let help = "help: say where the process listens, as in --admin 127.0.0.1:9901";
        match load_file(&self.config) {
            Ok(checked) => checked.config.server.admin.ok_or_else(|| {
                user(&format!(
                    "{file} does not set server.admin\nhelp: set it, as in admin = \
                     \"127.0.0.1:9901\" under [server], and start the process anew; or name \
                     another file by --config FILE, or the address by --admin ADDRESS"
                ))
            }),
            Err(ringway::config::LoadError::Mistakes(_)) => {
                Err(user(&format!("{file} has mistakes: ringway check {file}\n{help}")))
            }
            Err(error) => Err(user(&format!("{error}\n{help}; or --config FILE"))),
        }
    }
}

/// Lists the certificates of a running process.
pub(crate) fn certificates(whom: &Whom, json: bool) -> ExitCode {
    certs::run(whom, json).unwrap_or_else(|code| code)
}

/// Runs one of the commands.
pub(crate) fn run(ask: &Ask) -> ExitCode {
    let done = match ask {
        Ask::Stats { whom, json } => stats::run(whom, *json),
        Ask::Members { whom, pool: None, json, .. } => members::all(whom, *json),
        Ask::Members { whom, pool: Some(pool), address: None, json } => {
            members::of_pool(whom, pool, *json)
        }
        Ask::Members { whom, pool: Some(pool), address: Some(address), json } => {
            members::one(whom, pool, address, *json)
        }
        Ask::Drain(target) => members::set(target, "drain"),
        Ask::Ready(target) => members::set(target, "ready"),
        Ask::Maintenance(target) => members::set(target, "maintenance"),
        Ask::Purge(args) => purge::run(args),
        Ask::Top { whom } => top::run(whom),
    };
    done.unwrap_or_else(|code| code)
}

/// Says what the user did wrong.
fn user(what: &str) -> ExitCode {
    complain(&format!("ringway: {what}\n"));
    ExitCode::from(EXIT_USER)
}

/// Says why there was no answer, or no good one.
fn failed(error: &AskError) -> ExitCode {
    complain(&format!("ringway: {error}\n"));
    ExitCode::from(match error {
        AskError::Refused { status: 400..=499, .. } => EXIT_USER,
        _ => EXIT_SYSTEM,
    })
}
