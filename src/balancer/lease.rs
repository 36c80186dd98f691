//! The right to use one member for one exchange.

use std::net::SocketAddr;
use std::rc::Rc;

use super::outcome::Outcome;
use super::pool::{Chosen, Pool};
use crate::config::{PoolTimeouts, ProxyVersion};
use crate::ids::MemberId;
use crate::net::{Failure, Stream, dial};
use crate::stats::Counter;

/// A member counted as busy with this exchange, until dropped.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    chosen: Chosen,
    finished: bool,
}

/// A connection to the leased member.
#[derive(Debug)]
pub struct Connection {
    /// The connection.
    pub stream: Stream,
    /// Whether it served an exchange before: the member may have closed it meanwhile.
    pub reused: bool,
}

impl Lease {
    pub(super) fn new(pool: Rc<Pool>, chosen: Chosen) -> Self {
        pool.enter(chosen.member);
        Self { pool, chosen, finished: false }
    }

    /// The member.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.chosen.member
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.pool.address(self.chosen.member)
    }

    /// The pool's deadlines.
    #[must_use]
    pub fn timeouts(&self) -> &PoolTimeouts {
        self.pool.timeouts()
    }

    /// The header that the member gets in front of each connection, which is then its client's
    /// alone and never used again.
    #[must_use]
    pub fn announces(&self) -> Option<ProxyVersion> {
        self.pool.announces()
    }

    /// An idle connection if there is one. The one request that tries a member goes on a new one.
    #[must_use]
    pub fn reuse(&self) -> Option<Connection> {
        if self.chosen.trial || self.announces().is_some() {
            return None;
        }
        let stream = self.pool.take_idle(self.chosen.member)?;
        self.pool.row().add(Counter::UpstreamReuses, 1);
        Some(Connection { stream, reused: true })
    }

    /// A new connection.
    ///
    /// # Errors
    /// The member refused or could not be reached within `timeouts.connect`, or this host has no
    /// descriptors left.
    pub async fn dial(&self) -> Result<Connection, Failure> {
        let Some(address) = self.address() else { return Err(Failure::Other(0)) };
        let stream = dial(address, self.pool.timeouts().connect).await?;
        self.pool.row().add(Counter::UpstreamOpens, 1);
        Ok(Connection { stream, reused: false })
    }

    /// Gives a connection back for later use: its exchange is complete in both directions and the
    /// member keeps it open.
    pub fn keep(&self, connection: Connection) {
        if self.announces().is_none() {
            self.pool.put_idle(self.chosen.member, connection.stream);
        }
    }

    /// Tells how the member behaved, and keeps the lease: a connection may last for hours.
    pub fn settle(&mut self, outcome: Outcome) {
        self.finished = true;
        self.pool.learn(self.chosen, outcome);
    }

    /// Ends the lease and tells how the member behaved.
    pub fn finish(mut self, outcome: Outcome) {
        self.settle(outcome);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.finished {
            self.pool.learn(self.chosen, Outcome::Abandoned);
        }
        self.pool.leave(self.chosen.member);
    }
}
