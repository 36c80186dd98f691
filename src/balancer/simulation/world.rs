//! The host: tasks, messages and the virtual clock.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::exchange::{Ending, exchange};
use super::oracle::Oracle;
use super::plan::Plan;
use super::tally::Tally;
use super::watch::Watch;
use super::{NOW, now};
use crate::balancer::health::{Admin, ProbeResult};
use crate::balancer::observer::{Observer, observer};
use crate::balancer::outcome::Observation;
use crate::balancer::pool::{Home, Pool};
use crate::balancer::pools::Pools;
use crate::balancer::shared::{SharedPool, SharedPools};
use crate::clock::micros;
use crate::ids::{MemberId, PoolId, WorkerId};
use crate::net::{Messages, Stream, TICK};
use crate::rng::Rng;
use crate::stats::Row;

pub(super) const POOL: PoolId = PoolId(0);

/// What is to happen.
enum Event {
    Arrive,
    /// A task goes on.
    Run(usize),
    /// A client leaves.
    Leave(usize),
    Probe(MemberId),
    Probed(MemberId, ProbeResult),
    Observed(Observation),
    /// The monitor's own time.
    Due,
    Order(MemberId, Admin),
    /// One worker rings another.
    Ring(WorkerId),
    Housekeep(WorkerId),
}

struct Woken(usize, Sender<usize>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Who is gone needs no waking.
        _ = self.1.send(self.0);
    }
}

type Task = Pin<Box<dyn Future<Output = Ending>>>;

struct Later(u64, u64, Event);

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Later {}
impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// One host.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) talks: bool,
    pub(super) shared: Arc<SharedPool>,
    pub(super) pools: Vec<(Pools, Rc<Pool>)>,
    pub(super) oracle: RefCell<Oracle>,
    pub(super) watch: RefCell<Watch>,
    pub(super) tally: RefCell<Tally>,
    pub(super) rng: RefCell<Rng>,
    later: RefCell<BinaryHeap<Reverse<Later>>>,
    order: Cell<u64>,
    /// When the monitor's own time comes next.
    planned: Cell<Option<u64>>,
    tasks: RefCell<BTreeMap<usize, (WorkerId, Task)>>,
    next_task: Cell<usize>,
    woken: (Sender<usize>, Receiver<usize>),
    rings: Rc<RefCell<Vec<WorkerId>>>,
    observed: Messages<Observation>,
    /// Keeps the bell open.
    _observer: Observer,
}

impl World {
    pub(super) fn new(plan: Plan, talks: bool) -> Rc<Self> {
        NOW.set(0);
        Stream::set_tick(0);
        let workers = usize::from(plan.workers);
        let all = SharedPools::new(std::slice::from_ref(&plan.config), workers);
        let shared = Arc::clone(&all.pools[0]);
        let (observer, observations) = observer().unwrap();
        let (observed, _) = observations.inbox.open().unwrap();
        let rings = Rc::new(RefCell::new(Vec::new()));
        let outbox = Rc::clone(&rings);
        let ring: Rc<dyn Fn(WorkerId, PoolId)> = Rc::new(move |to, _| outbox.borrow_mut().push(to));
        let build = |worker: u16| {
            let home = Home {
                worker: WorkerId(worker),
                row: &Arc::new(Row::default()),
                observer: &observer,
                clock: now,
                seed: plan.seed,
                ring: &ring,
            };
            let pool = Rc::new(Pool::new(POOL, &plan.config, &shared, home));
            (Pools::of(Rc::clone(&pool)), pool)
        };
        let pools = (0..plan.workers).map(build).collect();
        let watch = Watch::new(&plan.config, &shared);
        let oracle = Oracle::new(&plan);
        let world = Self {
            rng: RefCell::new(Rng::new(plan.seed ^ 0xC1)),
            watch: RefCell::new(watch),
            oracle: RefCell::new(oracle),
            tally: RefCell::default(),
            later: RefCell::default(),
            order: Cell::new(0),
            planned: Cell::new(None),
            tasks: RefCell::default(),
            next_task: Cell::new(0),
            woken: unbounded(),
            rings,
            observed,
            _observer: observer,
            pools,
            shared,
            talks,
            plan,
        };
        Rc::new(world)
    }

    pub(super) fn chance(&self, below: u64) -> u64 {
        self.rng.borrow_mut().below(below)
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.talks {
            eprintln!("{:>12} {}", NOW.get(), what());
        }
    }

    /// The tick of a worker: workers did not start at the same instant.
    pub(super) fn tick(worker: WorkerId) -> u32 {
        ((NOW.get() + u64::from(worker.0) * 23_000) / micros(TICK)) as u32
    }

    fn later(&self, at: u64, event: Event) {
        let order = self.order.replace(self.order.get() + 1);
        self.later.borrow_mut().push(Reverse(Later(at, order, event)));
    }

    /// For the task with this number.
    pub(super) async fn sleep_until(&self, task: usize, at: u64) {
        self.later(at, Event::Run(task));
        poll_fn(|_| if NOW.get() >= at { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Runs the plan to its end.
    pub(super) fn run(self: &Rc<Self>) -> Tally {
        self.later(0, Event::Arrive);
        self.plan_due();
        for worker in (0..self.plan.workers).map(WorkerId) {
            let first = micros(TICK) - u64::from(worker.0) * 23_000 % micros(TICK);
            self.later(first, Event::Housekeep(worker));
        }
        if let Some(health) = &self.plan.config.health {
            for member in 0..self.plan.config.members.len() as u16 {
                self.later(self.chance(micros(health.interval)), Event::Probe(MemberId(member)));
            }
        }
        for (at, member, admin) in &self.plan.orders {
            self.later(*at, Event::Order(*member, *admin));
        }
        loop {
            let next = self.later.borrow_mut().pop();
            let Some(Reverse(Later(at, _, event))) = next else { break };
            if at > self.plan.end {
                break;
            }
            NOW.set(at);
            self.happen(event);
            self.deliver();
        }
        let waiting: Vec<_> = self.tasks.borrow().keys().copied().collect();
        assert!(waiting.is_empty(), "exchanges that never ended: {waiting:?}");
        self.check_end();
        self.tally.take()
    }

    fn happen(self: &Rc<Self>, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Run(task) => self.poll(task),
            Event::Leave(task) => self.leave(task),
            Event::Probe(member) => self.probe(member),
            Event::Probed(member, result) => {
                self.watch.borrow_mut().probed(self, member, result);
                self.plan_due();
            }
            Event::Observed(seen) => {
                self.watch.borrow_mut().observed(self, seen);
                self.plan_due();
            }
            Event::Due => {
                self.planned.set(None);
                self.watch.borrow_mut().due(self);
                self.plan_due();
            }
            Event::Order(member, admin) => {
                self.watch.borrow_mut().order(self, member, admin);
            }
            Event::Ring(worker) => {
                Stream::set_tick(Self::tick(worker));
                self.pools[worker.index()].0.poke(POOL);
            }
            Event::Housekeep(worker) => {
                let tick = Self::tick(worker);
                Stream::set_tick(tick);
                self.pools[worker.index()].0.housekeep(tick);
                self.oracle.borrow_mut().check_waiters(self);
                self.later(NOW.get() + micros(TICK), Event::Housekeep(worker));
            }
        }
    }

    fn arrive(self: &Rc<Self>) {
        let storm = NOW.get() < self.plan.storm;
        let gap = if storm { self.plan.gap } else { 30_000 };
        let next = NOW.get() + self.chance(2 * gap);
        if next < self.plan.quiet {
            self.later(next, Event::Arrive);
        }
        let worker = WorkerId(self.chance(u64::from(self.plan.workers)) as u16);
        let task = self.next_task.replace(self.next_task.get() + 1);
        let run = Box::pin(exchange(Rc::clone(self), worker, task));
        self.tasks.borrow_mut().insert(task, (worker, run));
        if storm && self.chance(8) == 0 {
            self.later(NOW.get() + self.chance(300_000), Event::Leave(task));
        }
        self.poll(task);
    }

    fn poll(&self, task: usize) {
        let Some((worker, mut run)) = self.tasks.borrow_mut().remove(&task) else { return };
        Stream::set_tick(Self::tick(worker));
        let waker = Waker::from(Arc::new(Woken(task, self.woken.0.clone())));
        match run.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => _ = self.tasks.borrow_mut().insert(task, (worker, run)),
            Poll::Ready(ending) => self.end(task, ending),
        }
    }

    fn leave(&self, task: usize) {
        let Some((worker, run)) = self.tasks.borrow_mut().remove(&task) else { return };
        Stream::set_tick(Self::tick(worker));
        drop(run);
        self.end(task, Ending::Left);
    }

    fn end(&self, task: usize, ending: Ending) {
        self.say(|| format!("request {task}: {ending:?}"));
        let tally = &mut *self.tally.borrow_mut();
        match ending {
            Ending::Served => tally.served += 1,
            Ending::Failed => tally.failed += 1,
            Ending::Nobody => tally.nobody += 1,
            Ending::QueueFull => tally.queue_full += 1,
            Ending::QueueLate => tally.queue_late += 1,
            Ending::Left => tally.left += 1,
        }
        self.oracle.borrow_mut().ended(task);
    }

    fn probe(&self, member: MemberId) {
        let Some(health) = &self.plan.config.health else { return };
        let (at, script) = (NOW.get(), &self.plan.scripts[member.index()]);
        let (took, result) = script.probe(at, &mut self.rng.borrow_mut(), health.timeout);
        self.later(at + took + self.chance(1_000), Event::Probed(member, result));
        let interval = micros(health.interval);
        let next = interval * 9 / 10 + self.chance(interval / 5);
        self.later(at + next.max(took + 1_000), Event::Probe(member));
    }

    fn plan_due(&self) {
        if let Some(due) = self.watch.borrow().health.due() {
            // A timer is never early, and often a little late.
            let due = due.as_micros().max(NOW.get());
            if self.planned.get().is_none_or(|planned| planned > due) {
                self.planned.set(Some(due));
                self.later(due + self.chance(1_000), Event::Due);
            }
        }
    }

    /// Puts on its way what was sent.
    fn deliver(&self) {
        let delay = || 1 + self.chance(self.plan.delay.max(1));
        while let Ok(task) = self.woken.1.try_recv() {
            self.later(NOW.get() + self.chance(300), Event::Run(task));
        }
        for worker in self.rings.take() {
            // One in fifty, if any.
            let is_lost = self.chance(50) == 0 && self.plan.loses_rings;
            if !is_lost {
                self.later(NOW.get() + delay(), Event::Ring(worker));
            }
        }
        let mut seen = Vec::new();
        self.observed.drain(|observation| seen.push(observation));
        for observation in seen {
            self.later(NOW.get() + delay(), Event::Observed(observation));
        }
    }
}
