//! The options of a load, from the command line or a scenario file, and the plan made of them.

use super::invalid;
use crate::plan::{Pace, Plan};
use crate::request::{Mix, Written, read_mix};
use crate::schedule::Arrivals;
use crate::tls::{ClientTls, Trust};
use crate::units::{Rate, span};
use clap::Args;
use serde::Deserialize;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What to send, how often, and over what.
#[derive(Args, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// For example http://127.0.0.1:8080/1024, or https://...
    pub url: String,

    /// Connections, over all threads.
    #[arg(long, short, default_value_t = 64, help_heading = "Load")]
    pub connections: usize,
    /// How long to measure: 10, 2.5s, 1m.
    #[arg(long, short, value_parser = span, default_value = "10", help_heading = "Load")]
    #[serde(deserialize_with = "spans")]
    pub duration: Duration,
    /// Stop after this many requests, should that come first.
    #[arg(long, short = 'n', help_heading = "Load")]
    pub requests: Option<u64>,
    /// Before the measurement, load for so long without counting.
    #[arg(long, value_parser = span, default_value = "0", help_heading = "Load")]
    #[serde(deserialize_with = "spans")]
    pub warmup: Duration,
    /// Open loop: so many requests per second over all threads, whatever the answers do: 5000, 10k, or a ramp, 1k..20k.
    #[arg(long, short, help_heading = "Load")]
    pub rate: Option<String>,
    /// How the requests of an open loop follow each other: even or poisson.
    #[arg(long, default_value = "even", help_heading = "Load")]
    pub arrivals: String,
    /// Open loop: a request that finds no free connection for so long is not sent, and is an error [default: the timeout].
    #[arg(long, value_parser = span, help_heading = "Load")]
    #[serde(deserialize_with = "optional_spans")]
    pub backlog: Option<Duration>,
    /// Requests under way on one connection at the same time.
    #[arg(long, default_value_t = 1, help_heading = "Load")]
    pub pipeline: usize,
    /// A new connection after so many requests.
    #[arg(long, help_heading = "Load")]
    pub reconnect: Option<u64>,
    /// A new connection for each request: the same as --reconnect 1.
    #[arg(long, help_heading = "Load")]
    pub close: bool,
    /// The longest that a request may take.
    #[arg(long, value_parser = span, default_value = "10", help_heading = "Load")]
    #[serde(deserialize_with = "spans")]
    pub timeout: Duration,

    /// Threads, each pinned to a core of its own; `auto`: one per core that may be used [default: one, pinned nowhere].
    #[arg(long, short, help_heading = "Tester")]
    pub threads: Option<String>,
    /// Cores to pin threads to, one thread each: 0,1 or 2-5.
    #[arg(long, visible_alias = "core", help_heading = "Tester")]
    pub cores: Option<String>,
    /// For all that is drawn by chance.
    #[arg(long, default_value_t = 1, help_heading = "Tester")]
    pub seed: u64,

    /// Requests of several kinds: a TOML file (docs/loadtest.md).
    #[arg(long, help_heading = "Requests")]
    pub mix: Option<PathBuf>,
    /// The method of each request.
    #[arg(long, default_value = "GET", help_heading = "Requests")]
    pub method: String,
    /// A further header line, `Name: value`; may be repeated.
    #[arg(long = "header", short = 'H', help_heading = "Requests")]
    pub headers: Vec<String>,
    /// The body of each request.
    #[arg(long, help_heading = "Requests")]
    pub body: Option<String>,
    /// A file with the body of each request.
    #[arg(long, help_heading = "Requests")]
    pub body_file: Option<String>,
    /// The body of each request is so long.
    #[arg(long, help_heading = "Requests")]
    pub body_size: Option<String>,

    /// The status of a good answer.
    #[arg(long, default_value_t = 200, help_heading = "Answers")]
    pub status: u16,
    /// The body length of a good answer [default: that of the first answer].
    #[arg(long, help_heading = "Answers")]
    pub length: Option<u64>,
    /// The CRC-32 of a good answer's body in hexadecimal digits; `same`: that of the first answer.
    #[arg(long, help_heading = "Answers")]
    pub crc: Option<String>,

    /// Connect to this address instead of the one that the URL's host has.
    #[arg(long, help_heading = "Connection")]
    pub connect: Option<String>,
    /// Trust every certificate.
    #[arg(long, help_heading = "Connection")]
    pub insecure: bool,
    /// Trust what the certificates in this PEM file signed [default: the system's].
    #[arg(long, help_heading = "Connection")]
    pub ca: Option<PathBuf>,
    /// The name asked for in TLS [default: the URL's host].
    #[arg(long, help_heading = "Connection")]
    pub sni: Option<String>,
    /// TLS handshakes: full or resumed.
    #[arg(long, default_value = "full", help_heading = "Connection")]
    pub handshakes: String,
    /// The key exchange of TLS: hybrid (ML-KEM too, where the server has it) or x25519 alone.
    #[arg(long, default_value = "hybrid", help_heading = "Connection")]
    pub key_exchange: String,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections: 64,
            duration: Duration::from_secs(10),
            requests: None,
            warmup: Duration::ZERO,
            rate: None,
            arrivals: "even".to_owned(),
            backlog: None,
            pipeline: 1,
            reconnect: None,
            close: false,
            timeout: Duration::from_secs(10),
            threads: None,
            cores: None,
            seed: 1,
            mix: None,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            body_file: None,
            body_size: None,
            status: 200,
            length: None,
            crc: None,
            connect: None,
            insecure: false,
            ca: None,
            sni: None,
            handshakes: "full".to_owned(),
            key_exchange: "hybrid".to_owned(),
        }
    }
}

pub(crate) fn spans<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    span(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn optional_spans<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    spans(from).map(Some)
}

impl Load {
    /// The plan; paths begin at `folder`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn plan(&self, folder: &Path) -> io::Result<Plan> {
        let url = Url::new(&self.url)?;
        let written = match &self.mix {
            Some(path) => read_mix(&folder.join(path))?,
            None => vec![self.request(url.path)],
        };
        let within = self.mix.as_ref().map(|path| folder.join(path));
        let within = within.as_deref().and_then(Path::parent).unwrap_or(folder);
        let mix = Arc::new(Mix::new(&written, url.authority, within)?);
        if self.connections == 0 || self.pipeline == 0 || self.reconnect == Some(0) {
            return Err(invalid("connections, pipeline and reconnect are at least 1"));
        }
        let mut cores = self.cores()?;
        cores.truncate(self.connections); // a thread without connections has nothing to do
        Ok(Plan {
            target: self.url.clone(),
            address: resolve(&self.connect.clone().unwrap_or_else(|| url.address()))?,
            tls: self.tls(&url, folder)?,
            mix,
            pace: self.pace()?,
            connections: self.connections,
            depth: self.pipeline,
            reconnect_after: if self.close { Some(1) } else { self.reconnect },
            warm_up: self.warmup,
            duration: self.duration,
            requests: self.requests,
            timeout: self.timeout,
            cores,
            seed: self.seed,
        })
    }

    fn request(&self, path: &str) -> Written {
        Written {
            name: None,
            method: self.method.clone(),
            path: path.to_owned(),
            weight: 1.0,
            headers: self.headers.clone(),
            body: self.body.clone(),
            body_file: self.body_file.clone(),
            body_size: self.body_size.clone(),
            status: self.status,
            length: self.length,
            crc: self.crc.clone(),
        }
    }

    fn pace(&self) -> io::Result<Pace> {
        let arrivals = match self.arrivals.as_str() {
            "even" => Arrivals::Even,
            "poisson" => Arrivals::Poisson,
            other => return Err(invalid(format!("arrivals are even or poisson, not `{other}`"))),
        };
        let Some(rate) = &self.rate else { return Ok(Pace::Closed) };
        let rate: Rate = rate.parse().map_err(invalid)?;
        Ok(Pace::Open { rate, arrivals, backlog: self.backlog.unwrap_or(self.timeout) })
    }

    fn tls(&self, url: &Url<'_>, folder: &Path) -> io::Result<Option<ClientTls>> {
        if !url.is_tls {
            return Ok(None);
        }
        let trust = match (&self.ca, self.insecure) {
            (_, true) => Trust::Anyone,
            (Some(path), false) => Trust::Authorities(folder.join(path)),
            (None, false) => Trust::system(),
        };
        let resume = match self.handshakes.as_str() {
            "full" => false,
            "resumed" => true,
            other => return Err(invalid(format!("handshakes are full or resumed, not `{other}`"))),
        };
        let name = self.sni.clone().unwrap_or_else(|| url.host().to_owned());
        let hybrid = match self.key_exchange.as_str() {
            "hybrid" => true,
            "x25519" => false,
            other => {
                return Err(invalid(format!("key_exchange is hybrid or x25519, not `{other}`")));
            }
        };
        Ok(Some(ClientTls { trust, name, resume, hybrid }))
    }

    fn cores(&self) -> io::Result<Vec<Option<usize>>> {
        let allowed = || -> Vec<usize> {
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        };
        let cores = match (&self.cores, self.threads.as_deref()) {
            (Some(list), None) => core_list(list)?,
            (None, None) => return Ok(vec![None]),
            (None, Some("auto")) => allowed(),
            (None, Some(count)) => {
                let count: usize =
                    count.parse().map_err(|_| invalid("threads: a number, or auto"))?;
                let allowed = allowed();
                let core = |index: usize| allowed.get(index % allowed.len().max(1)).copied();
                return if count == 0 {
                    Err(invalid("at least one thread"))
                } else {
                    Ok((0..count).map(core).collect())
                };
            }
            (Some(_), Some(_)) => return Err(invalid("either cores or threads")),
        };
        if cores.is_empty() {
            Err(invalid("no core to run on"))
        } else {
            Ok(cores.into_iter().map(Some).collect())
        }
    }
}

/// `0,2-4`.
pub(crate) fn core_list(text: &str) -> io::Result<Vec<usize>> {
    let wrong = || invalid(format!("`{text}`: cores are written 0,1 or 2-5"));
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last > 4096 {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    Ok(cores)
}

/// The parts of a URL.
struct Url<'a> {
    is_tls: bool,
    /// Host and port, as written.
    authority: &'a str,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn new(url: &'a str) -> io::Result<Self> {
        let (is_tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(invalid("the URL begins with http:// or https://")),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(invalid("the URL names no host"));
        }
        Ok(Self { is_tls, authority, path: if path.is_empty() { "/" } else { path } })
    }

    fn has_port(&self) -> bool {
        self.authority.rsplit(']').next().is_some_and(|end| end.contains(':'))
    }

    /// Without port and brackets.
    fn host(&self) -> &'a str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, _)) if self.has_port() => host,
            _ => self.authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn address(&self) -> String {
        let port = match (self.has_port(), self.is_tls) {
            (true, _) => "",
            (false, true) => ":443",
            (false, false) => ":80",
        };
        format!("{}{port}", self.authority)
    }
}

#[allow(clippy::disallowed_methods, reason = "before the ring runs")]
fn resolve(host: &str) -> io::Result<SocketAddr> {
    host.to_socket_addrs()
        .map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))?
        .next()
        .ok_or_else(|| invalid("the host has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let check = |url: &str, expected: (bool, &str, &str, &str)| {
            let found = Url::new(url).unwrap();
            assert_eq!(
                (found.is_tls, found.host(), found.address().as_str(), found.path),
                expected
            );
        };
        check("http://a", (false, "a", "a:80", "/"));
        check("https://a/b?c", (true, "a", "a:443", "/b?c"));
        check("http://[::1]:8080/", (false, "::1", "[::1]:8080", "/"));
        check("https://[::1]", (true, "::1", "[::1]:443", "/"));
        assert!(Url::new("a:80").is_err() && Url::new("http:///x").is_err());
    }

    #[test]
    fn plans_are_checked() {
        let plan = |change: &dyn Fn(&mut Load)| {
            let mut load = Load { url: "http://127.0.0.1:1/".to_owned(), ..Load::default() };
            change(&mut load);
            load.plan(Path::new("")).map_err(|error| error.to_string())
        };
        assert!(plan(&|_| ()).is_ok());
        let refused = |change: &dyn Fn(&mut Load), told: &str| {
            let error = plan(change).expect_err(told);
            assert!(error.contains(told), "{error}");
        };
        refused(&|load| load.connections = 0, "at least 1");
        refused(&|load| load.rate = Some("fast".to_owned()), "fast");
        refused(&|load| load.arrivals = "odd".to_owned(), "odd");
        refused(&|load| load.cores = Some("3-1".to_owned()), "3-1");
        refused(&|load| load.threads = Some("0".to_owned()), "one thread");
        refused(&|load| load.mix = Some("/nowhere/mix".into()), "/nowhere/mix");
        let few = plan(&|load| (load.cores, load.connections) = (Some("0-3".to_owned()), 2));
        assert_eq!(few.unwrap().cores.len(), 2);
    }
}
