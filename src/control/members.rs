//! Members by name: what an answer changes, in which order, and what the log says of it.

use super::monitor::Watch;
use super::resolve::ResolveError;
use crate::balancer::{Changes, Found};
use crate::clock;
use crate::ids::{MemberId, PoolId};
use crate::net::Address;
use crate::stats::Counter;

/// How the name of a member does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    failing: bool,
    /// Addresses without a place.
    homeless: usize,
}

impl Watch {
    /// Takes what the name of a member resolved to.
    pub(super) fn on_answer(
        &mut self,
        id: PoolId,
        entry: usize,
        answer: Result<Vec<Found>, ResolveError>,
    ) {
        let pool = id.index();
        match &answer {
            Ok(_) => self.row.add(Counter::Resolutions, 1),
            Err(_) => self.row.add(Counter::ResolutionsFailed, 1),
        }
        self.note_failure(id, entry, answer.as_ref().err());
        let Ok(found) = answer else { return };
        let (Some(places), Some(roster), Some(probes)) =
            (self.places.get_mut(pool), self.rosters.get_mut(pool), self.probes.get_mut(pool))
        else {
            return;
        };
        let (now, before) = (clock::now(), roster.available());
        let busy = |member| self.shared.in_flight(id, member) > 0;
        let changes = places.on_answer(now, entry, found, busy);
        if !changes.is_empty() {
            roster.take(places, &changes, now);
            for (member, _) in &changes.left {
                probes.stop(*member);
            }
            for (member, _) in &changes.came {
                if let Some(last) =
                    self.last.get_mut(pool).and_then(|all| all.get_mut(member.index()))
                {
                    *last = None;
                }
                if let Some(site) = places.site(*member) {
                    probes.start(*member, site);
                }
            }
        }
        self.tell_changes(id, entry, &changes, before);
    }

    /// Says once that a name cannot be resolved, and once that it can again.
    fn note_failure(&mut self, id: PoolId, entry: usize, error: Option<&ResolveError>) {
        let name = self.names.get_mut(id.index()).and_then(|names| names.get_mut(entry));
        let pool = self.config.pools.get(id.index());
        let (Some(name), Some(pool)) = (name, pool) else { return };
        let Some(member) = pool.members.get(entry) else { return };
        let was_failing = std::mem::replace(&mut name.failing, error.is_some());
        let (pool, member) = (&pool.name, &member.address);
        match error {
            Some(error) if !was_failing => {
                tracing::warn!(%pool, name = %member, "cannot be resolved, its addresses stay: {error}");
            }
            None if was_failing => tracing::info!(%pool, name = %member, "resolved again"),
            _ => {}
        }
        let failing = self.names.iter().flatten().filter(|name| name.failing).count();
        self.row.set(Counter::NamesFailing, failing as u64);
    }

    /// Says which addresses came and left.
    fn tell_changes(&mut self, id: PoolId, entry: usize, changes: &Changes, before: usize) {
        self.count();
        let name = self.names.get_mut(id.index()).and_then(|names| names.get_mut(entry));
        let pool = self.config.pools.get(id.index()).zip(self.rosters.get(id.index()));
        let (Some(name), Some((pool, roster))) = (name, pool) else { return };
        let Some(member) = pool.members.get(entry) else { return };
        let (pool, member_name) = (&pool.name, &member.address);
        let say = |what, all: &[(MemberId, Address)]| {
            for (_, address) in all {
                tracing::info!(%pool, name = %member_name, %address, "{what}");
            }
        };
        say("address removed", &changes.left);
        say("address added", &changes.came);
        for (member, address) in &changes.came {
            let admin = roster.member(*member).map_or(roster.written(*member), |one| one.admin());
            if admin != roster.written(*member) {
                let state = admin.phase().word();
                tracing::warn!(%pool, name = %member_name, %address, state, "what an operator said of it holds");
            }
        }
        self.row.add(Counter::AddressesRemoved, changes.left.len() as u64);
        self.row.add(Counter::AddressesAdded, changes.came.len() as u64);
        if !changes.weighed.is_empty() {
            let addresses = changes.weighed.len();
            tracing::info!(%pool, name = %member_name, addresses, "weights changed");
        }
        let known = std::mem::replace(&mut name.homeless, changes.homeless);
        if changes.homeless > 0 && known != changes.homeless {
            let left_out = changes.homeless;
            tracing::warn!(%pool, name = %member_name, left_out, "more addresses than \"places\"");
        }
        match (before, roster.available()) {
            (0, available @ 1..) => tracing::info!(%pool, available, "serves"),
            (1.., 0) => tracing::error!(%pool, "no member is in"),
            _ => {}
        }
    }
}
