//! Slots and queue under the real contention of threads: never above the maximum, everybody served,
//! in order, by turn. (All interleavings of small worlds are run beside the code itself.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_types)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use ringway::balancer::{Look, Queue, Slots, Taking, Waiting};
use ringway::ids::{MemberId, WorkerId};
use ringway::stats::{Counter, Row};

const PATIENCE: Duration = Duration::from_secs(15);

/// A task that was woken joins the list.
struct Woken(usize, Arc<Mutex<VecDeque<usize>>>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push_back(self.0);
    }
}

/// What all threads share.
struct World {
    slots: Slots,
    waiting: Arc<Waiting>,
    /// What the members have to bear, counted by themselves, and what they may have to.
    busy: Vec<AtomicU32>,
    maxima: Vec<u32>,
    /// The same of all members together.
    all_busy: AtomicU32,
    total: Option<u32>,
    /// Counts those that were served.
    turn: AtomicUsize,
    lined_up: Barrier,
    ringers: Vec<Sender<()>>,
}

impl World {
    fn members(&self) -> impl Iterator<Item = MemberId> {
        (0..self.maxima.len() as u16).map(MemberId)
    }

    /// A member with a slot; and whether the queue must be told that others may have missed one.
    fn take(&self) -> (Option<MemberId>, bool) {
        let mut undone = false;
        let taken = self.members().find(|member| {
            let taking = self.slots.try_take(*member);
            undone |= taking == Taking::Undone;
            taking.is_taken()
        });
        (taken, undone)
    }

    fn any_free(&self) -> bool {
        self.members().any(|member| self.slots.has_free(member))
    }

    fn queue(self: &Arc<Self>, worker: u16, length: usize) -> (Queue, Arc<Row>) {
        let (row, world) = (Arc::new(Row::default()), Arc::clone(self));
        // Who has ended needs no ring.
        let ring = move |other: WorkerId| _ = world.ringers[other.index()].send(());
        let shared = Arc::clone(&self.waiting);
        (Queue::new(shared, WorkerId(worker), length, Arc::clone(&row), Rc::new(ring)), row)
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// One worker with `count` waiters that come at once; which was served, and as which of all.
fn work(world: &Arc<World>, worker: u16, count: usize, bell: &Receiver<()>) -> Vec<(usize, usize)> {
    let (queue, row) = world.queue(worker, count);
    let (queue, served) = (Rc::new(queue), Rc::new(RefCell::new(Vec::new())));
    let ready = Arc::new(Mutex::new((0..count).collect::<VecDeque<_>>()));
    let request = |id: usize| {
        let (queue, world, served) = (Rc::clone(&queue), Arc::clone(world), Rc::clone(&served));
        async move {
            let look = || {
                let (taken, undone) = world.take();
                if undone {
                    queue.slot_freed();
                }
                taken.map_or(Look::Full, Look::Taken)
            };
            let member = queue.wait(100, look, || world.any_free()).await.unwrap();
            served.borrow_mut().push((id, world.turn.fetch_add(1, Ordering::SeqCst)));
            let busy = &world.busy[member.index()];
            let load = busy.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(load <= world.maxima[member.index()], "above the maximum");
            let all = world.all_busy.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(world.total.is_none_or(|total| all <= total), "above the pool's maximum");
            yield_once().await;
            world.all_busy.fetch_sub(1, Ordering::SeqCst);
            busy.fetch_sub(1, Ordering::SeqCst);
            world.slots.release(member);
            queue.slot_freed();
        }
    };
    let mut tasks: Vec<Option<Pin<Box<dyn Future<Output = ()>>>>> =
        (0..count).map(|id| Some(Box::pin(request(id)) as _)).collect();
    let mut run = || {
        loop {
            let next = ready.lock().unwrap().pop_front();
            let Some(id) = next else { return tasks.iter().all(Option::is_none) };
            let waker = Waker::from(Arc::new(Woken(id, Arc::clone(&ready))));
            let Some(task) = &mut tasks[id] else { continue };
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                tasks[id] = None;
            }
        }
    };
    run();
    assert_eq!(row.get(Counter::QueueWaiting), count as u64);
    world.lined_up.wait();
    while !run() {
        bell.recv_timeout(PATIENCE).expect("nobody waits for ever");
        queue.poke();
    }
    assert!(queue.is_empty() && row.get(Counter::QueueWaiting) == 0);
    served.take()
}

/// Lines `count` requests up on each of `workers` threads, then lets them go.
fn run(workers: u16, count: usize, total: Option<u32>, maxima: &[u32]) -> Vec<Vec<(usize, usize)>> {
    let bounds: Vec<_> = maxima.iter().copied().map(Some).collect();
    let (ringers, bells): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
    let world = Arc::new(World {
        slots: Slots::new(total, &bounds),
        waiting: Arc::new(Waiting::new(usize::from(workers) + 1)),
        busy: maxima.iter().map(|_| AtomicU32::new(0)).collect(),
        maxima: maxima.to_vec(),
        all_busy: AtomicU32::new(0),
        total,
        turn: AtomicUsize::new(0),
        lined_up: Barrier::new(usize::from(workers) + 1),
        ringers,
    });
    let held: Vec<_> = std::iter::from_fn(|| world.take().0).collect();
    let start = |(worker, bell): (u16, Receiver<()>)| {
        let world = Arc::clone(&world);
        std::thread::spawn(move || work(&world, worker, count, &bell))
    };
    let threads: Vec<_> = (0..workers).zip(bells).map(start).collect();
    world.lined_up.wait();
    // A worker more gives everything free.
    let (queue, _) = world.queue(workers, 0);
    for member in held {
        world.slots.release(member);
        queue.slot_freed();
    }
    let served = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(!world.waiting.anybody());
    assert!(world.members().all(|member| world.slots.in_use(member) == 0));
    assert_eq!(world.slots.in_use_by_all(), 0);
    served
}

#[test]
fn everybody_is_served_in_order_and_never_too_many() {
    for (workers, count, total, maxima) in [
        (2, 2000, None, &[1][..]),
        (3, 1000, None, &[3]),
        (4, 500, None, &[1, 2]),
        (2, 2000, None, &[5, 1, 1]),
        (3, 1000, Some(2), &[1, 1, 1]),
        (4, 500, Some(3), &[1, 3]),
        (2, 2000, Some(1), &[1000, 1]),
    ] {
        for (worker, served) in run(workers, count, total, maxima).iter().enumerate() {
            let ids: Vec<_> = served.iter().map(|(id, _)| *id).collect();
            let wrong = (0..count).find(|at| ids.get(*at) != Some(at));
            assert_eq!((wrong, ids.len()), (None, count), "{maxima:?}, worker {worker}");
        }
    }
}

#[test]
fn workers_that_wait_get_the_same() {
    let served = run(3, 1000, None, &[1]);
    let mut order = vec![0; 3000];
    for (worker, served) in served.iter().enumerate() {
        served.iter().for_each(|(_, turn)| order[*turn] = worker);
    }
    let mut counts = [0_i32; 3];
    for (turn, worker) in order.iter().enumerate() {
        counts[*worker] += 1;
        let most = counts.iter().max().unwrap() - counts.iter().min().unwrap();
        assert!(most <= 1, "turn {turn}: {counts:?}");
    }
}
