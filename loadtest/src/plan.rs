//! What a run is to do: a checked plan, the same for every thread.

use crate::request::Mix;
use crate::schedule::Arrivals;
use crate::tls::ClientTls;
use crate::units::Rate;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What to send, how often, and over what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// For reports.
    pub target: String,
    /// Where to connect to.
    pub address: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<ClientTls>,
    /// What is sent and expected.
    pub mix: Arc<Mix>,
    /// Who decides when a request is sent.
    pub pace: Pace,
    /// Connections over all threads.
    pub connections: usize,
    /// Requests under way on one connection.
    pub depth: usize,
    /// A new connection after so many requests.
    pub reconnect_after: Option<u64>,
    /// Answers to requests of this first part count as warm-up only.
    pub warm_up: Duration,
    /// What is measured, from the end of the warm-up to the last request meant to be sent.
    pub duration: Duration,
    /// Stop after this many measured requests, should that come first.
    pub requests: Option<u64>,
    /// The longest that a request may take from its first byte sent, a connect included.
    pub timeout: Duration,
    /// Cores to run threads on; `None`: one thread on any.
    pub cores: Vec<Option<usize>>,
    /// For what is drawn.
    pub seed: u64,
}

/// Who decides when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The answers: each connection sends when an answer is in.
    Closed,
    /// The clock, whatever the answers do.
    Open {
        /// Requests per second over all threads.
        rate: Rate,
        /// How they follow each other.
        arrivals: Arrivals,
        /// A request that could not be sent within this time of its turn is given up.
        backlog: Duration,
    },
}

impl Plan {
    /// Connections of thread `index`.
    #[must_use]
    pub fn connections_of(&self, index: usize) -> usize {
        share(self.connections as u64, index as u64, self.cores.len() as u64) as usize
    }

    /// Measured requests of thread `index`, if their number is bounded.
    #[must_use]
    pub fn requests_of(&self, index: usize) -> Option<u64> {
        self.requests.map(|all| share(all, index as u64, self.cores.len() as u64))
    }
}

/// The part of `index` if `all` is divided as evenly as it goes by `of`.
fn share(all: u64, index: u64, of: u64) -> u64 {
    let of = of.max(1);
    all / of + u64::from(index < all % of)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_add_up() {
        for (all, of) in [(10, 3), (2, 4), (0, 2), (64, 1)] {
            let parts: Vec<u64> = (0..of).map(|index| share(all, index, of)).collect();
            assert_eq!(parts.iter().sum::<u64>(), all);
            assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }
    }
}
