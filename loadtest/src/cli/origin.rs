//! The options of the test origin, from the command line or a scenario file.

use super::invalid;
use super::load::core_list;
use crate::origin::Options;
use crate::origin::behaviour::{Behaviour, Fault, Pace, with_share};
use crate::tls::Server;
use crate::units::Spread;
use clap::Args;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the origin is and does.
#[derive(Args, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Origin {
    /// Where the first member listens; port 0 takes a free one for each. The addresses are printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub bind: SocketAddr,
    /// Members, each with an address of its own: the ports that follow.
    #[arg(long, default_value_t = 1)]
    pub members: usize,
    /// Threads, each of which serves all members.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Cores to pin threads to, one thread each: 0,1 or 2-5.
    #[arg(long, visible_alias = "core")]
    pub cores: Option<String>,

    /// Bytes of an answer whose path is not a number: 1024, or uniform:1k..10k, exp:10k, normal:10k,2k, either:1k,1M,1%.
    #[arg(long, default_value = "1024", help_heading = "Answers")]
    pub size: String,
    /// Answer in chunks instead of with a Content-Length.
    #[arg(long, help_heading = "Answers")]
    pub chunked: bool,
    /// Wait before each answer: 5ms, uniform:1ms..5ms, exp:3ms, normal:5ms,1ms, either:1ms,200ms,1%.
    #[arg(long, help_heading = "Answers")]
    pub delay: Option<String>,
    /// The same in milliseconds.
    #[arg(long, conflicts_with = "delay", help_heading = "Answers")]
    pub delay_ms: Option<u64>,
    /// A status other than 200 and its share, 503:5%; may be repeated.
    #[arg(long = "status", help_heading = "Answers")]
    pub statuses: Vec<String>,
    /// Send bodies slowly: 1k/10ms.
    #[arg(long, help_heading = "Answers")]
    pub pace: Option<String>,
    /// A reset before the answer, within its head or its body, or no answer at all, and the share: before:1%, head:1%, body:1%, hang:1%; may be repeated.
    #[arg(long = "fault", help_heading = "Answers")]
    pub faults: Vec<String>,

    /// A connection ends with this many answers.
    #[arg(long, help_heading = "Connections")]
    pub keep_alive: Option<u64>,
    /// Speak TLS, with a certificate that is made at the start unless one is given.
    #[arg(long, help_heading = "Connections")]
    pub tls: bool,
    /// The certificate, a PEM file; needs --key.
    #[arg(long, requires = "key", help_heading = "Connections")]
    pub cert: Option<PathBuf>,
    /// Its key, a PEM file.
    #[arg(long, requires = "cert", help_heading = "Connections")]
    pub key: Option<PathBuf>,
    /// Write the certificate that was made to this file, for --ca of the client.
    #[arg(long, help_heading = "Connections")]
    pub write_cert: Option<PathBuf>,

    /// For all that is drawn by chance.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            bind: ([127, 0, 0, 1], 0).into(),
            members: 1,
            threads: None,
            cores: None,
            size: "1024".to_owned(),
            chunked: false,
            delay: None,
            delay_ms: None,
            statuses: Vec::new(),
            pace: None,
            faults: Vec::new(),
            keep_alive: None,
            tls: false,
            cert: None,
            key: None,
            write_cert: None,
            seed: 1,
        }
    }
}

impl Origin {
    /// The checked options; paths begin at `folder`. Makes a certificate where one is needed.
    ///
    /// # Errors
    /// What is wrong.
    pub fn options(&self, folder: &Path) -> io::Result<Options> {
        if self.members == 0 || self.threads == Some(0) || self.keep_alive == Some(0) {
            return Err(invalid("members, threads and keep-alive are at least 1"));
        }
        let last = u64::from(self.bind.port()) + self.members as u64;
        if last > 65_536 {
            return Err(invalid("there are not that many ports"));
        }
        let cores = match (&self.cores, self.threads) {
            (Some(list), None) => core_list(list)?.into_iter().map(Some).collect(),
            (None, threads) => vec![None; threads.unwrap_or(1)],
            (Some(_), Some(_)) => return Err(invalid("either cores or threads")),
        };
        Ok(Options {
            bind: self.bind,
            members: self.members,
            cores,
            behaviour: self.behaviour().map_err(invalid)?,
            keep_alive: self.keep_alive,
            tls: self.server(folder)?,
            seed: self.seed,
        })
    }

    fn behaviour(&self) -> Result<Behaviour, String> {
        let delay = match (&self.delay, self.delay_ms) {
            (Some(text), _) => Some(Spread::of_spans(text)?),
            (None, Some(millis)) => {
                Some(Spread::Fixed(Duration::from_millis(millis).as_secs_f64()))
            }
            (None, None) => None,
        };
        let statuses = self.statuses.iter().map(|text| with_share(text));
        let faults = self.faults.iter().map(|text| with_share::<Fault>(text));
        Ok(Behaviour {
            size: Spread::of_sizes(&self.size)?,
            chunked: self.chunked,
            delay: delay.filter(|delay| *delay != Spread::Fixed(0.0)),
            statuses: statuses.collect::<Result<_, _>>()?,
            faults: faults.collect::<Result<_, _>>()?,
            pace: self.pace.as_deref().map(str::parse::<Pace>).transpose()?,
        })
    }

    fn server(&self, folder: &Path) -> io::Result<Option<Server>> {
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            return Server::of_files(&folder.join(certificate), &folder.join(key)).map(Some);
        }
        if !self.tls && self.write_cert.is_none() {
            return Ok(None);
        }
        let (server, pem) = Server::generated()?;
        if let Some(path) = &self.write_cert {
            std::fs::write(folder.join(path), pem)?;
        }
        Ok(Some(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let options = |change: &dyn Fn(&mut Origin)| {
            let mut origin = Origin::default();
            change(&mut origin);
            origin.options(Path::new("")).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(options(&|_| ()), Ok(()));
        let refused = |change: &dyn Fn(&mut Origin), told: &str| {
            let error = options(change).expect_err(told);
            assert!(error.contains(told), "{error}");
        };
        refused(&|origin| origin.members = 0, "at least 1");
        refused(&|origin| origin.delay = Some("soon".to_owned()), "soon");
        refused(&|origin| origin.statuses = vec!["503".to_owned()], "share");
        refused(&|origin| origin.faults = vec!["tail:1%".to_owned()], "tail");
        refused(&|origin| origin.pace = Some("1k".to_owned()), "pace");
        refused(&|origin| (origin.bind.set_port(65_000), origin.members = 1000).1, "ports");
    }
}
