//! A run: its threads from start to end, and what they found together.

use crate::cpu::ThreadTime;
use crate::dial;
use crate::h1;
use crate::plan::Plan;
use crate::runtime::{self, Driver};
use crate::tally::Tally;
use crate::worker::{self, Live, Worker};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Sockets are closed through the ring: one more turn of it before it ends, else they stay open.
const RING_TURN: Duration = Duration::from_millis(5);

/// What a run found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All threads together.
    pub tally: Tally,
    /// Thread by thread.
    pub threads: Vec<ThreadOutcome>,
    /// From the start of the measurement to the last exchange that counts.
    pub elapsed: Duration,
    /// When the measurement began.
    pub measured_from: Instant,
}

/// What is known of one thread.
#[derive(Clone, Debug)]
pub struct ThreadOutcome {
    /// Where it ran, if it was pinned.
    pub core: Option<usize>,
    /// What it ran on.
    pub driver: Driver,
    /// Its connections.
    pub connections: usize,
    /// Its good exchanges.
    pub answers: u64,
    /// Its bad exchanges.
    pub errors: u64,
    /// Median and 99th percentile of its latencies, in microseconds.
    pub p50_p99: (u64, u64),
    /// Its time on a core, of `wall`.
    pub cpu: ThreadTime,
    /// From the start of the measurement to its end.
    pub wall: Duration,
}

/// A run that has begun.
pub struct Running {
    threads: Vec<thread::JoinHandle<io::Result<(Tally, ThreadOutcome, Instant)>>>,
    live: Vec<Arc<Live>>,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
}

struct Shared {
    ready: Barrier,
    start: OnceLock<Instant>,
}

/// Starts the threads of `plan`.
///
/// # Errors
/// If a thread cannot be started.
pub fn start(plan: Plan) -> io::Result<Running> {
    let plan = Arc::new(plan);
    let count = plan.cores.len();
    let shared = Arc::new(Shared { ready: Barrier::new(count), start: OnceLock::new() });
    let mut running = Running { threads: Vec::new(), live: Vec::new(), shared, plan };
    for (index, core) in running.plan.cores.iter().copied().enumerate() {
        let (plan, shared) = (Arc::clone(&running.plan), Arc::clone(&running.shared));
        let live: Arc<Live> = Arc::default();
        running.live.push(Arc::clone(&live));
        let body = move || {
            let part = Part { plan, shared: Arc::clone(&shared), live, index, core };
            let result = part.run();
            if result.is_err() && shared.start.get().is_none() {
                shared.ready.wait(); // the others must not wait for this thread
            }
            result
        };
        running.threads.push(thread::Builder::new().name(format!("load-{index}")).spawn(body)?);
    }
    Ok(running)
}

/// Runs `plan` to its end.
///
/// # Errors
/// If a core or the runtime cannot be had; errors of exchanges are counted in the outcome.
pub fn run(plan: Plan) -> io::Result<Outcome> {
    start(plan)?.join()
}

impl Running {
    /// When the load began: once all connections that could be opened were open.
    #[must_use]
    pub fn started(&self) -> Option<Instant> {
        self.shared.start.get().copied()
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(thread::JoinHandle::is_finished)
    }

    /// The plan it follows.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Good and bad exchanges so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        let sum = |(a, e): (u64, u64), live: &Arc<Live>| {
            (a + live.answers.load(Relaxed), e + live.errors.load(Relaxed))
        };
        self.live.iter().fold((0, 0), sum)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The first error of a thread.
    pub fn join(self) -> io::Result<Outcome> {
        let mut tally = Tally::new(0, self.plan.mix.requests().len()).map_err(io::Error::other)?;
        let mut threads = Vec::new();
        let mut ended = None;
        for thread in self.threads {
            let result = thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
            let (counted, outcome, end) = result?;
            tally.add(counted);
            threads.push(outcome);
            ended = ended.max(Some(end));
        }
        let start = self.shared.start.get().copied().unwrap_or_else(runtime::now);
        let measured_from = start + self.plan.warm_up;
        let elapsed =
            ended.map_or(Duration::ZERO, |end| end.saturating_duration_since(measured_from));
        Ok(Outcome { tally, threads, elapsed, measured_from })
    }
}

/// One thread's part in a run.
struct Part {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    live: Arc<Live>,
    index: usize,
    core: Option<usize>,
}

impl Part {
    fn run(self) -> io::Result<(Tally, ThreadOutcome, Instant)> {
        runtime::block_on(self.core, |driver| async move {
            let Self { plan, shared, live, index, core } = self;
            let worker = Rc::new(Worker::new(plan, index, driver, live)?);
            drop(monoio::spawn(worker::sweep(Rc::clone(&worker))));
            let connections = worker.plan.connections_of(index);
            let mut wires = Vec::new();
            for task in (0..connections)
                .map(|index| monoio::spawn(open_early(Rc::clone(&worker), index)))
                .collect::<Vec<_>>()
            {
                wires.push(task.await);
            }
            shared.ready.wait(); // nothing else has to happen on this thread now
            worker.begin(*shared.start.get_or_init(runtime::now));
            let tasks: Vec<_> = wires
                .into_iter()
                .enumerate()
                .map(|(index, wire)| monoio::spawn(h1::serve(Rc::clone(&worker), index, wire)))
                .collect();
            worker.timer.sleep_until(worker.measured_from()).await;
            let (before, from) = (ThreadTime::now(), runtime::now());
            for task in tasks {
                task.await;
            }
            let (cpu, wall) = (ThreadTime::now().since(before), runtime::now() - from);
            runtime::sleep(RING_TURN).await;
            let tally = worker.tally.borrow().clone();
            let quantile = |q| tally.latencies.value_at_quantile(q);
            let outcome = ThreadOutcome {
                core,
                driver,
                connections,
                answers: tally.answers,
                errors: tally.failure_count(),
                p50_p99: (quantile(0.5), quantile(0.99)),
                cpu,
                wall,
            };
            Ok((tally, outcome, worker.ended()))
        })?
    }
}

/// Opens connection `index` before the load begins; one that fails is opened again with its first request.
async fn open_early(worker: Rc<Worker>, index: usize) -> Option<crate::wire::Wire> {
    let wire = dial::open(&worker, index).await.ok();
    if let Some(watch) = worker.watch(index) {
        watch.deadline.set(None);
        watch.expired.set(false);
        if wire.is_none() {
            watch.socket.replace(None);
        }
    }
    wire
}
