//! The right to use one member for one exchange.

use std::rc::Rc;

use super::membership::Site;
use super::outcome::Outcome;
use super::pool::{Chosen, Pool};
use super::pools::LeaseError;
use crate::config::{PoolTimeouts, ProxyVersion};
use crate::ids::MemberId;
use crate::net::{Buffer, Failure, Stream, dial};
use crate::stats::Counter;

/// A member counted as busy with this exchange, until dropped.
#[derive(Debug)]
pub struct Lease {
    pool: Rc<Pool>,
    chosen: Chosen,
    /// Who was chosen; another server may have its place by the time the exchange ends.
    site: Rc<Site>,
    finished: bool,
}

/// A connection to the leased member.
#[derive(Debug)]
pub struct Connection {
    /// The connection.
    pub stream: Stream,
    /// Whether it served an exchange before: the member may have closed it meanwhile.
    pub reused: bool,
    /// The tick at which it was established.
    pub(super) born: u32,
    /// Exchanges that it served, with the one under way.
    pub(super) exchanges: u32,
}

impl Lease {
    /// Of a member that was chosen just now.
    pub(super) fn new(pool: Rc<Pool>, chosen: Chosen) -> Result<Self, LeaseError> {
        pool.enter(chosen.member);
        let Some(site) = pool.site(chosen.member) else {
            // Never so: who is chosen has a weight, and who has a weight is somewhere.
            pool.leave(chosen.member);
            return Err(LeaseError::Nobody);
        };
        Ok(Self { pool, chosen, site, finished: false })
    }

    /// The member.
    #[must_use]
    pub const fn member(&self) -> MemberId {
        self.chosen.member
    }

    /// Whether the exchange is to tell if the member is back.
    #[cfg(test)]
    pub(super) const fn is_trial(&self) -> bool {
        self.chosen.trial
    }

    /// How it is reached.
    #[must_use]
    pub const fn site(&self) -> &Rc<Site> {
        &self.site
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
        let mut connection = self.pool.take_idle(self.chosen.member, &self.site)?;
        self.pool.row().add(Counter::UpstreamReuses, 1);
        connection.reused = true;
        connection.exchanges = connection.exchanges.saturating_add(1);
        Some(connection)
    }

    /// A new connection, which begins with `header`, in front of TLS: that of [`Lease::announces`].
    ///
    /// # Errors
    /// The member refused or could not be reached within `timeouts.connect`, or this host has no
    /// descriptors left.
    pub async fn dial(&self, header: &[u8]) -> Result<Connection, Failure> {
        let patience = self.pool.timeouts().connect;
        let mut stream = dial(&self.site.address, patience).await?;
        if !header.is_empty() {
            let mut out = Buffer::holding(header.len());
            out.tail().extend_from_slice(header);
            // Into an empty socket, where it does not wait.
            stream.send_within(&mut out, patience).await?;
        }
        if let Some(peer) = self.pool.tls(self.chosen.member) {
            // Large, and most pools do without.
            let connected = Box::pin(stream.connect_tls(&peer, patience)).await;
            connected.map_err(|(failure, why)| {
                self.pool.tell_tls(&self.site, &why);
                failure
            })?;
        }
        self.pool.row().add(Counter::UpstreamOpens, 1);
        Ok(Connection { stream, reused: false, born: Stream::tick(), exchanges: 1 })
    }

    /// Gives a connection back for later use: its exchange is complete in both directions and the
    /// member keeps it open. It is closed if it is worn out, or its member is not to be used.
    pub fn keep(&self, connection: Connection) {
        if self.announces().is_none() {
            self.pool.put_idle(self.chosen.member, &self.site, connection);
        }
    }

    /// Tells how the member behaved, and keeps the lease: a connection may last for hours.
    pub fn settle(&mut self, outcome: Outcome) {
        self.finished = true;
        self.pool.learn(self.chosen, &self.site, outcome);
    }

    /// Ends the lease and tells how the member behaved.
    pub fn finish(mut self, outcome: Outcome) {
        self.settle(outcome);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.finished {
            self.pool.learn(self.chosen, &self.site, Outcome::Abandoned);
        }
        self.pool.leave(self.chosen.member);
    }
}
