//! One worker: a pinned thread with its own event loop, listening sockets, connections to members
//! and counters.

use std::cell::Cell;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::sync::mpsc::UnboundedSender;

use crate::balancer::{Observer, Pools, SharedPools};
use crate::config::{Config, Speaks};
use crate::ids::{ListenerId, PoolId, WorkerId};
use crate::net::tls::TlsAcceptor;
use crate::net::{self, Acceptor, Datagrams, Driver, FileSeat, Files, Inbox, Ringer, Stream, TICK};
use crate::proxy::auth::Auth;
use crate::proxy::{
    self, BufferHand, CacheHand, Context, DRAIN_PATIENCE, DiskSeat, Flows, Give, Neighbours,
    Newcomer, Origin, Place, Post, SharedBuffers, SharedCache, auth,
};
use crate::stats::{Counter, Occupancy, Reason, Row};

/// How long accepting pauses when the process has no descriptors left: trying at once would burn
/// the core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Ticks between two looks at how busy the worker is: a second.
const LOAD_TICKS: u32 = 10;

/// Connections accepted before others get their turn.
const ACCEPT_BATCH: usize = 64;

/// What the control thread tells a worker.
#[derive(Debug)]
pub(super) enum Command {
    /// Accept no more, finish what is under way, then end.
    Drain,
    /// Another worker freed a slot for a request that waits here.
    SlotFreed(PoolId),
    /// Another worker's fetch of this number made progress, for those who wait for it here.
    FlightProgressed(u64),
    /// Another worker has too much to do: this one serves the connection from here on.
    Adopt(Newcomer),
    /// End now: answers under way are cut, and their clients see that they are.
    Cut,
}

/// What a worker gets of `auth`.
pub(super) type AuthSeat = (Arc<auth::Shared>, Option<auth::Seat>);

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: WorkerId,
    pub(super) core: Option<usize>,
    pub(super) driver: Driver,
    pub(super) config: Arc<Config>,
    pub(super) shared: Arc<SharedPools>,
    pub(super) occupancy: Arc<Occupancy>,
    pub(super) post: Post,
    pub(super) row: Arc<Row>,
    pub(super) access_log: Option<proxy::access_log::Sender>,
    /// TLS with clients, by listener.
    pub(super) tls: Arc<[Option<TlsAcceptor>]>,
    /// The cache, if a route has one.
    pub(super) cache: Option<Arc<SharedCache>>,
    /// The way to its tier on disk, if it has one.
    pub(super) disk: Option<DiskSeat>,
    /// The way to the threads that work with files, if anything goes to disk.
    pub(super) files: Option<FileSeat>,
    /// What workers share of the bodies that are taken in, if a route does that.
    pub(super) buffers: Option<Arc<SharedBuffers>>,
    pub(super) observer: Observer,
    /// Who may send requests, if any route asks; and the way back of passwords' verdicts.
    pub(super) auth: Option<AuthSeat>,
    pub(super) sockets: Vec<(ListenerId, TcpListener)>,
    pub(super) datagrams: Vec<(ListenerId, UdpSocket)>,
    pub(super) inbox: Inbox<Command>,
    /// To every worker, in order.
    pub(super) peers: Vec<Ringer<Command>>,
    /// Told once the loop runs, or why it does not.
    pub(super) started: Sender<io::Result<()>>,
    /// Told when the worker has ended.
    pub(super) ended: UnboundedSender<WorkerId>,
}

/// Tells the control thread of the worker's end, whatever the cause.
struct Farewell(UnboundedSender<WorkerId>, WorkerId);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody listens any more once the process is about to exit.
        _ = self.0.send(self.1);
    }
}

impl Plan {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<JoinHandle<()>> {
        let name = format!("ringway-{}", self.id.0);
        std::thread::Builder::new().name(name).spawn(move || {
            let farewell = Farewell(self.ended.clone(), self.id);
            if let Some(core) = self.core
                && !net::pin(core)
            {
                tracing::warn!(worker = self.id.0, core, "cannot be pinned to its core");
            }
            let started = self.started.clone();
            if let Err(error) = net::block_on(self.driver, self.serve()) {
                // The main thread waits for exactly one word.
                _ = started.send(Err(error));
            }
            drop(farewell);
        })
    }

    async fn serve(self) {
        let (row, observer) = (&self.row, &self.observer);
        let peers: Rc<[_]> = self.peers.into();
        let disk = self.disk;
        let cache = self.cache.map(|it| CacheHand::new(it, self.id, disk, telling(&peers)));
        let neighbours = Neighbours {
            me: self.id,
            occupancy: self.occupancy,
            give: self.config.server.spread.then(|| giving(&peers)),
        };
        let ring: Rc<dyn Fn(WorkerId, PoolId)> = Rc::new(move |worker, pool| {
            if let Some(peer) = peers.get(worker.index()) {
                // One that does not arrive costs a tick.
                _ = peer.send(Command::SlotFreed(pool));
            }
        });
        let pools = Pools::new(&self.config.pools, &self.shared, self.id, row, observer, &ring);
        let (from_all, log) = ((neighbours, self.post), self.access_log);
        let auth = self.auth.and_then(|(shared, seat)| Auth::new(&self.config, &shared, seat));
        let files = self.files.map(|seat| Files::new(seat, Arc::clone(row)));
        let hand = |shared| BufferHand::new(shared, files.clone(), Arc::clone(row), self.id);
        let buffers = self.buffers.map(hand);
        let context = Context::new(self.config, pools, Arc::clone(row), from_all, log, self.tls);
        let context = context.with_auth(auth).with_cache(cache).with_buffers(buffers).shared();
        files.into_iter().for_each(|files| net::spawn(files.serve(), count_panic(&context)));
        context.open_mirrors();
        net::spawn(auth::serve(Rc::clone(&context)), count_panic(&context));
        net::spawn(proxy::serve_disk(Rc::clone(&context)), count_panic(&context));
        let (doors, flows) = open(self.sockets, self.datagrams, &context);
        for flows in &flows {
            net::spawn(Rc::clone(flows).serve(), count_panic(&context));
        }
        for door in &doors {
            let task = accept_all(Rc::clone(door), Rc::clone(&context));
            net::spawn(task, count_panic(&context));
        }
        let doors: Rc<[Rc<Door>]> = doors.into();
        let inbox = {
            let (doors, context) = (Rc::clone(&doors), Rc::clone(&context));
            let inbox = self.inbox;
            async move {
                let obey = |command| match command {
                    Command::Drain => {
                        let task = drain(Rc::clone(&doors), Rc::clone(&context));
                        net::spawn(task, count_panic(&context));
                    }
                    Command::SlotFreed(pool) => context.pools.poke(pool),
                    Command::FlightProgressed(flight) => {
                        if let Some(cache) = context.cache() {
                            cache.wake(flight);
                        }
                    }
                    Command::Adopt(newcomer) => adopt(&context, newcomer),
                    Command::Cut => {
                        for _ in 0..context.row.get(Counter::UpstreamActive) {
                            context.row.error(Reason::DrainCut);
                        }
                        net::reset_busy();
                        context.cut();
                    }
                };
                // Ends with the process.
                _ = inbox.serve(obey).await;
            }
        };
        net::spawn(inbox, count_panic(&context));
        _ = self.started.send(Ok(()));
        net::sweep(|tick| housekeep(&context, &doors, &flows, tick)).await;
        context.pools.close_idle();
    }
}

/// The way of a flight's progress to other workers.
fn telling(peers: &Rc<[Ringer<Command>]>) -> Box<dyn Fn(WorkerId, u64) -> bool> {
    let peers = Rc::clone(peers);
    Box::new(move |worker, flight| {
        let peer = peers.get(worker.index());
        peer.is_some_and(|peer| peer.send(Command::FlightProgressed(flight)).is_ok())
    })
}

/// The sockets of this worker, those for connections and those for datagrams.
type Opened = (Vec<Rc<Door>>, Vec<Rc<Flows>>);

/// Takes the sockets into the worker's loop.
fn open(
    sockets: Vec<(ListenerId, TcpListener)>,
    datagrams: Vec<(ListenerId, UdpSocket)>,
    context: &Rc<Context>,
) -> Opened {
    let most = net::descriptors() / 4 * 3;
    let (mut doors, mut flows) = (Vec::new(), Vec::new());
    for (listener, socket) in sockets {
        let port = socket.local_addr().map_or(0, |address| address.port());
        let acceptor = Acceptor::new(socket);
        let closed = Cell::new(false);
        doors.push(Rc::new(Door { acceptor, listener, port, most, closed }));
    }
    for (listener, socket) in datagrams {
        flows.push(Rc::new(Flows::new(context, listener, Datagrams::new(socket))));
    }
    (doors, flows)
}

/// A listening socket of this worker.
#[derive(Debug)]
struct Door {
    acceptor: Acceptor,
    listener: ListenerId,
    port: u16,
    /// Clients that the process takes: three of four descriptors. What they ask for needs some, too.
    most: usize,
    closed: Cell<bool>,
}

impl Door {
    fn is_crowded(&self, context: &Context) -> bool {
        context.occupancy.all() >= self.most
    }
}

fn count_panic(context: &Rc<Context>) -> impl FnOnce() + 'static {
    let row = Arc::clone(&context.row);
    move || row.add(Counter::Panics, 1)
}

fn housekeep(
    context: &Context,
    doors: &[Rc<Door>],
    flows: &[Rc<Flows>],
    tick: u32,
) -> ControlFlow<()> {
    if context.is_draining() {
        flows.iter().for_each(|flows| flows.close_when_over());
    }
    context.pools.housekeep(tick);
    if let Some(cache) = context.cache() {
        cache.housekeep(&context.row);
    }
    if let Some(buffers) = context.buffers() {
        buffers.housekeep();
    }
    if tick.is_multiple_of(LOAD_TICKS) {
        context.seek_relief(net::load());
    }
    context.row.set(Counter::Completions, net::completions());
    context.row.set(Counter::Wakes, net::wakes());
    let over = context.is_cut()
        || context.is_draining()
            && doors.iter().all(|door| door.closed.get())
            && flows.iter().all(|flows| flows.is_closed())
            // Those on their way here count, too.
            && context.occupancy.on(context.worker) == 0;
    if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

async fn accept_all(door: Rc<Door>, context: Rc<Context>) {
    while !door.closed.get() {
        let ready = door.acceptor.ready().await;
        if door.closed.get() {
            return;
        }
        if ready.is_err() || !accept_waiting(&door, &context) {
            context.row.add(Counter::AcceptPauses, 1);
            net::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Accepts what waits; false if the system has no room for more.
fn accept_waiting(door: &Door, context: &Rc<Context>) -> bool {
    for _ in 0..ACCEPT_BATCH {
        if door.is_crowded(context) {
            return false;
        }
        match door.acceptor.accept() {
            Ok(Some((stream, peer))) => welcome(door, context, stream, peer),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    true
}

fn welcome(door: &Door, context: &Rc<Context>, stream: Stream, peer: std::net::SocketAddr) {
    context.row.add(Counter::Accepts, 1);
    let Err(stream) = proxy::pass_on(context, door.listener, stream, peer, door.port) else {
        return;
    };
    // Without a place the connection is closed at once, and counted.
    if let Some(place) = Place::take(context, door.listener, peer.ip()) {
        start(context, place, stream, Origin::Accepted { peer, port: door.port });
    }
}

/// Serves a connection that another worker gave away.
fn adopt(context: &Rc<Context>, newcomer: Newcomer) {
    if let Some((place, stream, origin)) = newcomer.arrive(context) {
        start(context, place, stream, origin);
    }
}

fn start(context: &Rc<Context>, place: Place, stream: Stream, origin: Origin) {
    match (context.speaks(place.listener()), origin) {
        (Speaks::Http, origin) => {
            net::spawn(proxy::serve(place, stream, origin), count_panic(context));
        }
        (_, Origin::Accepted { peer, .. }) => {
            net::spawn(proxy::relay(place, stream, peer), count_panic(context));
        }
        // Only who asks again and again is moved.
        (_, Origin::Moved(_)) => {}
    }
}

/// The way of connections to other workers.
fn giving(peers: &Rc<[Ringer<Command>]>) -> Give {
    let peers = Rc::clone(peers);
    Give::new(move |to, newcomer: Newcomer| {
        let Some(peer) = peers.get(to.index()) else { return Err(newcomer) };
        peer.send(Command::Adopt(newcomer)).or_else(|back| match back {
            Command::Adopt(newcomer) => Err(newcomer),
            // Nothing else was sent.
            _ => Ok(()),
        })
    })
}

/// Closes the doors so that no connection on its way in is lost, then lets idle ones go.
async fn drain(doors: Rc<[Rc<Door>]>, context: Rc<Context>) {
    for door in doors.iter() {
        door.acceptor.refuse_new();
    }
    // Handshakes under way complete meanwhile.
    net::sleep(TICK).await;
    for door in doors.iter() {
        while let Ok(Some((stream, peer))) = door.acceptor.accept() {
            welcome(door, &context, stream, peer);
        }
        door.closed.set(true);
        door.acceptor.close();
    }
    context.drain();
    net::hurry_idle(DRAIN_PATIENCE);
}
