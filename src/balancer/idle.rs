//! The idle connections of one pool on one worker: taken, kept, aged. One is kept only for whoever it
//! leads to, and only while that may be asked.

use std::rc::Rc;

use super::availability::Standing;
use super::lease::Connection;
use super::membership::Site;
use super::pool::Pool;
use crate::ids::MemberId;
use crate::net::Stream;
use crate::stats::Counter;

/// Ticks between two looks at what members closed.
const LOOK_EVERY: u32 = 10;

impl Pool {
    /// An idle connection that is still open as far as this host knows, and on which nothing was
    /// sent unasked: that must never pass for an answer (RFC 9112 section 9.3). None if another server
    /// than `site` has the place by now.
    pub(super) fn take_idle(&self, member: MemberId, site: &Rc<Site>) -> Option<Connection> {
        if !self.is_there(member, site) {
            return None;
        }
        let mut lists = self.keepalive.borrow_mut();
        let list = lists.get_mut(member.index())?;
        while let Some(connection) = list.take() {
            self.row.sub(Counter::UpstreamIdle, 1);
            if list.is_worn(&connection, Stream::tick()) {
                self.row.add(Counter::UpstreamRetired, 1);
            } else if connection.stream.was_quiet() {
                return Some(connection);
            } else {
                self.row.add(Counter::UpstreamStale, 1);
            }
        }
        None
    }

    /// Keeps a connection to `site`, unless that has left.
    pub(super) fn put_idle(&self, member: MemberId, site: &Rc<Site>, connection: Connection) {
        if !self.idles(member) || !self.is_there(member, site) {
            return;
        }
        if let Some(list) = self.keepalive.borrow_mut().get_mut(member.index()) {
            let now = Stream::tick();
            if list.is_worn(&connection, now) {
                self.row.add(Counter::UpstreamRetired, 1);
                return;
            }
            let change = list.put(connection, now);
            self.row.add(Counter::UpstreamIdle, change.unsigned_abs());
        }
    }

    /// Whether connections to the member are kept: what gets no request keeps none.
    fn idles(&self, member: MemberId) -> bool {
        match self.shared.availability.standing(member) {
            Standing::Out => false,
            // Whose clients stay.
            Standing::Drain => self.is_sticky,
            Standing::In | Standing::Trial => true,
        }
    }

    /// Closes all.
    pub(super) fn close_idle(&self) {
        for keepalive in self.keepalive.borrow_mut().iter_mut() {
            self.row.sub(Counter::UpstreamIdle, keepalive.close_all() as u64);
        }
    }

    /// Closes those that are too old, whose member is out, and every tenth tick those that members
    /// closed.
    pub(super) fn age_idle(&self, tick: u32) {
        for (member, list) in (0u16..).map(MemberId).zip(self.keepalive.borrow_mut().iter_mut()) {
            let mut closed =
                if self.idles(member) { list.close_expired(tick) } else { list.close_all() };
            if tick.is_multiple_of(LOOK_EVERY) {
                let (old, dead) = (list.close_old(tick), list.close_dead());
                self.row.add(Counter::UpstreamRetired, old as u64);
                self.row.add(Counter::UpstreamStale, dead as u64);
                closed += old + dead;
            }
            self.row.sub(Counter::UpstreamIdle, closed as u64);
        }
    }
}
