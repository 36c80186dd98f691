//! Who is at which place of one pool, as one worker sees it, and how TLS is spoken with them.

use std::rc::Rc;

use super::membership::{Membership, Site};
use super::pool::{Pool, State};
use super::selection::Selector;
use crate::config::Balance;
use crate::ids::{MemberId, WorkerId};
use crate::net::Stream;
use crate::net::tls::{TlsConnector, TlsPeer};
use crate::stats::Counter;

/// Ticks for which the log is told nothing more of a pool's TLS: ten seconds.
const QUIET: u32 = 100;

impl Pool {
    /// With TLS to its members.
    pub(super) fn secure(mut self, tls: Option<&TlsConnector>) -> Self {
        self.tls = tls.cloned();
        let state = self.state.get_mut();
        let peers = state.sites.iter().map(|site| Some(tls?.peer(&site.as_ref()?.host)));
        state.tls = peers.collect();
        self
    }

    /// How TLS is spoken with a member, if it is.
    pub(super) fn tls(&self, member: MemberId) -> Option<TlsPeer> {
        self.tls.as_ref()?;
        self.state.borrow().tls.get(member.index())?.clone()
    }

    /// Tells the log why there is no TLS with a member: now and then, as requests that fail so may
    /// be many.
    pub(super) fn tell_tls(&self, site: &Site, why: &str) {
        let now = Stream::tick();
        if self.told.get().is_none_or(|last| now.saturating_sub(last) >= QUIET) {
            self.told.set(Some(now));
            tracing::warn!(pool = %self.name, member = %site.address, "no TLS with a member: {why}");
        }
    }

    /// Brings what is known of the members up to date.
    pub(super) fn refresh(&self, state: &mut State, tick: u32) {
        if let Some(new) = state.roster.refresh(&self.shared.availability, tick, self.clock) {
            self.seat(state, &new);
        }
    }

    /// Takes notice of who is there. Nothing of who had a place before is left for who has it now.
    fn seat(&self, state: &mut State, new: &Membership) {
        let mut lists = self.keepalive.borrow_mut();
        let members = state.sites.iter_mut().zip(&new.sites).zip(lists.iter_mut());
        for (member, ((site, new), list)) in (0u16..).map(MemberId).zip(members) {
            if site.as_deref() != new.as_ref() {
                *site = new.clone().map(Rc::new);
                self.row.sub(Counter::UpstreamIdle, list.close_all() as u64);
                state.latency.forget(member);
                if let (Some(tls), Some(peer)) = (&self.tls, state.tls.get_mut(member.index())) {
                    *peer = new.as_ref().map(|site| tls.peer(&site.host));
                }
            }
        }
        state.sticky = new.sticky.clone().map(Rc::new);
        state.selector = select(&self.balance, new, self.worker);
    }

    /// Who is at a place now.
    pub(super) fn site(&self, member: MemberId) -> Option<Rc<Site>> {
        self.state.borrow().sites.get(member.index())?.clone()
    }

    /// Whether `site` is still there.
    pub(super) fn is_there(&self, member: MemberId, site: &Rc<Site>) -> bool {
        let state = self.state.borrow();
        let now = state.sites.get(member.index()).and_then(Option::as_ref);
        now.is_some_and(|now| Rc::ptr_eq(now, site))
    }
}

/// The algorithm for these members.
pub(super) fn select(balance: &Balance, membership: &Membership, worker: WorkerId) -> Selector {
    Selector::new(balance, membership.table.as_ref(), &membership.weights, worker)
}
