//! What every connection of one worker shares.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::access_log;
use super::cache::CacheHand;
use super::passthrough::Passthrough;
use super::route::Router;
use crate::balancer::Pools;
use crate::config::{Config, ListenerConfig, Speaks};
use crate::http::{RequestHead, ResponseHead};
use crate::ids::ListenerId;
use crate::net::tls::TlsAcceptor;
use crate::stats::{Counter, Row};

/// Bytes that a kept head's buffers hold at the most.
const HEAD_KEPT: usize = 8 << 10;

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
    /// By listener: where TLS goes that is not terminated here.
    pub(super) passthrough: Vec<Option<Passthrough>>,
    /// This worker's counters.
    pub row: Arc<Row>,
    /// Open connections per listener, over all workers.
    pub open: Arc<[AtomicUsize]>,
    /// Where access log lines go, if anywhere.
    pub access_log: Option<access_log::Sender>,
    /// TLS with clients, by listener.
    tls: Arc<[Option<TlsAcceptor>]>,
    /// This worker's hand in the cache, if a route has one.
    cache: Option<CacheHand>,
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
}

impl Context {
    /// A context without connections.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        pools: Pools,
        row: Arc<Row>,
        open: Arc<[AtomicUsize]>,
        access_log: Option<access_log::Sender>,
        tls: Arc<[Option<TlsAcceptor>]>,
    ) -> Self {
        let router = Router::new(&config);
        let passthrough = config.listeners.iter().map(|listener| listener.passthrough.as_ref());
        let passthrough = passthrough.map(|passed| passed.map(Passthrough::new)).collect();
        let (draining, cut, scratch) = (Cell::new(false), Cell::new(false), RefCell::default());
        Self {
            config,
            router,
            pools,
            passthrough,
            row,
            open,
            access_log,
            tls,
            cache: None,
            itself: RefCell::default(),
            draining,
            cut,
            scratch,
        }
    }

    /// The same with a cache.
    #[must_use]
    pub fn with_cache(mut self, cache: Option<CacheHand>) -> Self {
        self.cache = cache;
        self
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
        let mut kept = self.scratch.borrow_mut();
        if kept.len() < SCRATCH_KEPT {
            kept.push(scratch);
        }
    }
}

/// A place among a listener's connections, until dropped.
#[derive(Debug)]
pub struct Place {
    context: Rc<Context>,
    listener: ListenerId,
}

impl Place {
    /// A place, or none if the listener is full; the refusal is then counted.
    #[must_use]
    pub fn take(context: &Rc<Context>, listener: ListenerId) -> Option<Self> {
        let bound = context.listener(listener)?.limits.connections;
        let open = context.open.get(listener.index())?;
        if open.fetch_add(1, Ordering::Relaxed) >= bound {
            open.fetch_sub(1, Ordering::Relaxed);
            context.row.add(Counter::ConnectionsRefused, 1);
            return None;
        }
        context.row.add(Counter::ConnectionsActive, 1);
        Some(Self { context: Rc::clone(context), listener })
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
        if let Some(open) = self.context.open.get(self.listener.index()) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
        self.context.row.sub(Counter::ConnectionsActive, 1);
    }
}
