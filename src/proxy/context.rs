//! What every connection of one worker shares.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::auth::Auth;
use super::buffering::BufferHand;
use super::cache::CacheHand;
use super::guards::Post;
use super::handover::{Give, Newcomer};
use super::mirror::Mirrors;
use super::named::Ids;
use super::passthrough::Passthrough;
use super::path_edit::{Edited, PathEdit};
use super::route::Router;
use super::{access_log, forwarded, guard, keyed};
use crate::balancer::Pools;
use crate::clock;
use crate::config::{Config, ListenerConfig, Speaks};
use crate::http::{RequestHead, ResponseHead};
use crate::ids::{ListenerId, RouteId, WorkerId};
use crate::net::tls::TlsAcceptor;
use crate::rng::Rng;
use crate::stats::{Counter, Occupancy, Reason, Row};

/// Bytes that a kept head's buffers hold at the most.
const HEAD_KEPT: usize = 8 << 10;

/// One in so many connections of a busy worker goes to another each second.
const RELIEF_SHARE: usize = 16;

/// Heads kept for later exchanges, per worker.
const SCRATCH_KEPT: usize = 512;

/// One worker's reverse proxy.
#[derive(Debug)]
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// The routes.
    pub router: Router,
    /// The pools.
    pub pools: Pools,
    /// By route: the paths that members see.
    path_edits: Vec<Option<PathEdit>>,
    chance: RefCell<Rng>,
    /// By listener: where TLS goes that is not terminated here.
    pub(super) passthrough: Vec<Option<Passthrough>>,
    /// This worker's counters.
    pub row: Arc<Row>,
    /// What connections and requests have to pass.
    pub(super) post: Rc<Post>,
    /// Open connections, of all workers.
    pub occupancy: Arc<Occupancy>,
    /// Which of them this one is.
    pub worker: WorkerId,
    give: Option<Give>,
    /// Where connections go from here, as long as some should.
    relief: Cell<Option<Relief>>,
    /// Where access log lines go, if anywhere.
    pub access_log: Option<access_log::Sender>,
    /// TLS with clients, by listener.
    tls: Arc<[Option<TlsAcceptor>]>,
    /// Names for requests.
    pub(super) ids: Ids,
    /// Who may send requests, if any route asks.
    pub(super) auth: Option<Auth>,
    /// Copies of requests.
    pub(super) mirrors: Mirrors,
    /// This worker's hand in the cache, if a route has one.
    cache: Option<CacheHand>,
    /// This worker's part of the bodies that are taken in, if a route does that.
    buffers: Option<BufferHand>,
    /// Itself, for tasks that outlive a connection.
    itself: RefCell<Weak<Self>>,
    draining: Cell<bool>,
    cut: Cell<bool>,
    // Boxed: a connection's task holds a pointer, not two heads.
    #[allow(clippy::vec_box)]
    scratch: RefCell<Vec<Box<Scratch>>>,
}

/// The heads of one exchange; reused, so that parsing allocates nothing once they have grown.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    /// The target for a member, where it is not the client's.
    pub(super) edited: Edited,
}

/// The other workers, seen from one.
#[derive(Debug)]
pub struct Neighbours {
    /// Which worker this is.
    pub me: WorkerId,
    /// Everybody's connections.
    pub occupancy: Arc<Occupancy>,
    /// The way of connections to others; none: each worker keeps its own.
    pub give: Option<Give>,
}

impl Context {
    /// A context without connections.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        pools: Pools,
        row: Arc<Row>,
        (neighbours, post): (Neighbours, Post),
        access_log: Option<access_log::Sender>,
        tls: Arc<[Option<TlsAcceptor>]>,
    ) -> Self {
        let router = Router::new(&config);
        let edits = config.routes.iter().map(|route| route.path_edit.as_deref());
        let path_edits = edits.map(|edit| edit.map(PathEdit::new)).collect();
        let chance = RefCell::new(Rng::new(clock::now().as_micros()));
        let passthrough = config.listeners.iter().map(|listener| listener.passthrough.as_ref());
        let passthrough = passthrough.map(|passed| passed.map(Passthrough::new)).collect();
        let (draining, cut, scratch) = (Cell::new(false), Cell::new(false), RefCell::default());
        Self {
            config,
            router,
            pools,
            path_edits,
            chance,
            passthrough,
            row,
            post: Rc::new(post),
            occupancy: neighbours.occupancy,
            worker: neighbours.me,
            give: neighbours.give,
            relief: Cell::new(None),
            access_log,
            tls,
            ids: Ids::new(),
            auth: None,
            mirrors: Mirrors::default(),
            cache: None,
            buffers: None,
            itself: RefCell::default(),
            draining,
            cut,
            scratch,
        }
    }

    /// The same, with what its routes need to know who may send requests.
    #[must_use]
    pub fn with_auth(mut self, auth: Option<Auth>) -> Self {
        self.auth = auth;
        self
    }

    /// From now on copies of requests can be sent.
    pub fn open_mirrors(self: &Rc<Self>) {
        self.mirrors.open(self);
    }

    /// Whether a client's field of this name must not reach members, as they learn from it who the
    /// client is.
    #[inline]
    pub(super) fn claims(&self, name: &[u8]) -> bool {
        self.auth.as_ref().is_some_and(|auth| auth.claims(name))
    }

    /// The same with a cache.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<CacheHand>) -> Self {
        self.cache = cache;
        self
    }

    /// The same with room for bodies.
    #[must_use]
    pub fn with_buffers(mut self, buffers: Option<BufferHand>) -> Self {
        self.buffers = buffers;
        self
    }

    /// This worker's part of the bodies that are taken in, if a route does that.
    #[must_use]
    pub const fn buffers(&self) -> Option<&BufferHand> {
        self.buffers.as_ref()
    }

    /// The same, to be shared by the worker's tasks.
    #[must_use]
    pub fn shared(self) -> Rc<Self> {
        let shared = Rc::new(self);
        shared.itself.replace(Rc::downgrade(&shared));
        shared
    }

    /// This worker's hand in the cache, if a route has one.
    #[must_use]
    pub const fn cache(&self) -> Option<&CacheHand> {
        self.cache.as_ref()
    }

    pub(super) fn itself(&self) -> Option<Rc<Self>> {
        self.itself.borrow().upgrade()
    }

    /// From now on every answer closes its connection.
    pub fn drain(&self) {
        self.draining.set(true);
    }

    /// Whether the worker is about to end.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// From now on the worker is to end, whatever is under way.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// Takes a place on a worker; false if the listener is full, which is then counted.
    pub(super) fn take_place_on(&self, worker: WorkerId, listener: ListenerId) -> bool {
        let bound = self.listener(listener).map_or(0, |listener| listener.limits.connections);
        let taken = self.occupancy.enter(worker, listener, bound);
        if !taken {
            self.row.add(Counter::ConnectionsRefused, 1);
        }
        taken
    }

    /// Who should serve a new connection in place of this worker, if anybody.
    pub(super) fn lighter(&self) -> Option<WorkerId> {
        if self.give.is_none() || self.is_draining() {
            return None;
        }
        self.occupancy.lighter(self.worker)
    }

    /// Looks, once per second, whether connections should go to another worker. `load` is the share of
    /// its core that this one used, in thousandths.
    pub fn seek_relief(&self, load: u32) {
        self.occupancy.set_load(self.worker, load);
        let me = self.worker;
        let (to, left) = match (self.occupancy.excess(me), self.occupancy.idler(me)) {
            // The rest next time: what left is not yet what it is when it has arrived.
            (excess @ 1.., _) => (self.occupancy.lighter(me), excess.div_ceil(2)),
            (0, idler) => (idler, self.occupancy.on(me).div_ceil(RELIEF_SHARE)),
        };
        self.relief.set(to.map(|to| Relief { to, left }));
    }

    /// Where a connection between two requests should go, if from here; one of those that should.
    pub(super) fn relief(&self) -> Option<WorkerId> {
        let relief = self.relief.get().filter(|relief| relief.left > 0)?;
        if self.give.is_none() || self.is_draining() {
            return None;
        }
        self.relief.set(Some(Relief { left: relief.left - 1, ..relief }));
        Some(relief.to)
    }

    pub(super) fn give(&self, to: WorkerId, newcomer: Newcomer) -> Result<(), Newcomer> {
        let Some(give) = &self.give else { return Err(newcomer) };
        give.send(to, newcomer)?;
        self.row.add(Counter::ConnectionsMoved, 1);
        Ok(())
    }

    /// Whether the worker is to end at once.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// How TLS is spoken with clients of a listener, if it is.
    pub(super) fn acceptor(&self, id: ListenerId) -> Option<&TlsAcceptor> {
        self.tls.get(id.index())?.as_ref()
    }

    /// Which connections of a listener pass through with their TLS, if any do.
    pub(super) fn passes(&self, id: ListenerId) -> Option<&Passthrough> {
        self.passthrough.get(id.index())?.as_ref()
    }

    /// How the paths of a route are edited, if they are.
    pub(super) fn path_edit(&self, id: RouteId) -> Option<&PathEdit> {
        self.path_edits.get(id.index())?.as_ref()
    }

    /// Any number.
    pub(super) fn chance(&self) -> u64 {
        self.chance.borrow_mut().next()
    }

    /// What the clients of a listener speak.
    #[must_use]
    pub fn speaks(&self, id: ListenerId) -> Speaks {
        self.listener(id).map_or(Speaks::Http, ListenerConfig::speaks)
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&ListenerConfig> {
        self.config.listeners.get(id.index())
    }

    pub(super) fn take_scratch(&self) -> Box<Scratch> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn keep_scratch(&self, mut scratch: Box<Scratch>) {
        // One large head must not stay large for ever.
        scratch.request.shrink_to(HEAD_KEPT);
        scratch.response.shrink_to(HEAD_KEPT);
        scratch.edited.shrink_to(HEAD_KEPT);
        let mut kept = self.scratch.borrow_mut();
        if kept.len() < SCRATCH_KEPT {
            kept.push(scratch);
        }
    }
}

/// So many connections are to go to this worker.
#[derive(Clone, Copy, Debug)]
struct Relief {
    to: WorkerId,
    left: usize,
}

/// A place among a listener's connections, until dropped.
#[derive(Debug)]
pub struct Place {
    context: Rc<Context>,
    listener: ListenerId,
    /// Among the connections of its client, where they are counted.
    seat: Cell<Option<keyed::Seat>>,
    /// Another worker has it.
    given: bool,
}

impl Place {
    /// A place, or none if the listener is full, or the peer may not come; the refusal is then counted.
    #[must_use]
    pub fn take(context: &Rc<Context>, listener: ListenerId, peer: IpAddr) -> Option<Self> {
        if !context.take_place_on(context.worker, listener) {
            return None;
        }
        Some(Self::taken(context, listener)).filter(|place| place.is_for(peer))
    }

    /// A place that was taken for a connection that comes from another worker.
    #[must_use]
    pub fn taken(context: &Rc<Context>, listener: ListenerId) -> Self {
        context.row.add(Counter::ConnectionsActive, 1);
        Self { context: Rc::clone(context), listener, seat: Cell::default(), given: false }
    }

    /// Whether the client of a new connection may come; the refusal is counted.
    #[must_use]
    pub(super) fn is_for(&self, peer: IpAddr) -> bool {
        let Some(config) = self.context.listener(self.listener) else { return false };
        // Else it is not known yet who comes.
        if config.proxy_protocol.is_none()
            && let Err(reason) = self.admit(config, peer)
        {
            self.context.row.error(reason);
            return false;
        }
        true
    }

    /// Whether the client of the connection may come and have one more; it has it then.
    pub(super) fn admit(&self, config: &ListenerConfig, client: IpAddr) -> Result<(), Reason> {
        let (context, id) = (&*self.context, self.listener);
        let relayed = config.speaks() != Speaks::Http;
        // Those of a trusted peer are of many clients: its requests tell of whom.
        if !relayed && forwarded::believes(config, client.to_canonical()) {
            return Ok(());
        }
        guard::admits(context, id, client, relayed)?;
        self.seat.set(guard::seat_connection(context, id, client)?);
        Ok(())
    }

    /// Gives the place to another worker, with what goes along.
    pub(super) fn give_to(mut self, to: WorkerId) -> Option<keyed::Seat> {
        self.context.occupancy.transfer(self.context.worker, to, self.listener);
        self.given = true;
        self.seat.take()
    }

    /// Has what came along from another worker.
    pub(super) fn sit(&self, seat: Option<keyed::Seat>) {
        self.seat.set(seat);
    }

    /// The worker's reverse proxy, to be kept.
    pub(super) const fn shared(&self) -> &Rc<Context> {
        &self.context
    }

    /// The worker's reverse proxy.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The listener.
    #[must_use]
    pub const fn listener(&self) -> ListenerId {
        self.listener
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            guard::unseat_connection(&self.context, self.listener, seat);
        }
        if !self.given {
            self.context.occupancy.leave(self.context.worker, self.listener);
        }
        self.context.row.sub(Counter::ConnectionsActive, 1);
    }
}
