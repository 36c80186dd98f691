//! The queue under test: by itself, in all interleavings of small worlds of workers, and under the
//! real contention of threads.
#![allow(clippy::disallowed_types)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::interleave::{Schedule, explore};
use super::queue::{Look, Queue, QueueRefusal};
use super::slots::Slots;
use super::waiting::Waiting;
use crate::ids::{MemberId, WorkerId};
use crate::stats::{Counter, Row};

/// Tasks that were woken, in order.
type Ready = Arc<Mutex<VecDeque<usize>>>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Woken(usize, Ready);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        let mut ready = self.1.lock().unwrap();
        if !ready.contains(&self.0) {
            ready.push_back(self.0);
        }
    }
}

/// The tasks of one worker.
#[derive(Default)]
struct Tasks {
    tasks: Vec<Option<Task>>,
    ready: Ready,
}

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.ready.lock().unwrap().push_back(self.tasks.len());
        self.tasks.push(Some(Box::pin(task)));
    }

    fn next(&self) -> Option<usize> {
        self.ready.lock().unwrap().pop_front()
    }

    fn poll(&mut self, id: usize) {
        let waker = Waker::from(Arc::new(Woken(id, Arc::clone(&self.ready))));
        let Some(task) = &mut self.tasks[id] else { return };
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks[id] = None;
        }
    }

    fn run(&mut self) {
        while let Some(id) = self.next() {
            self.poll(id);
        }
    }

    fn is_done(&self) -> bool {
        self.tasks.iter().all(Option::is_none)
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

fn queue(shared: &Arc<Waiting>, worker: u16, length: usize) -> (Queue, Rc<RefCell<Vec<u16>>>) {
    let rung: Rc<RefCell<Vec<u16>>> = Rc::default();
    let bell = Rc::clone(&rung);
    let ring = Rc::new(move |worker: WorkerId| RefCell::borrow_mut(&bell).push(worker.0));
    let row = Arc::new(Row::default());
    (Queue::new(Arc::clone(shared), WorkerId(worker), length, row, ring), rung)
}

/// Who got what, in order.
type Got = Vec<(usize, Result<(), QueueRefusal>)>;

/// A worker with one member of one slot, which is taken; what its waiters got, in order.
struct One {
    queue: Rc<Queue>,
    slots: Rc<Slots>,
    got: Rc<RefCell<Got>>,
    tasks: Tasks,
}

const MEMBER: MemberId = MemberId(0);

impl One {
    fn new(length: usize) -> One {
        let slots = Rc::new(Slots::new(&[Some(1)]));
        assert!(slots.try_take(MEMBER));
        let queue = Rc::new(queue(&Arc::new(Waiting::new(1)), 0, length).0);
        One { queue, slots, got: Rc::default(), tasks: Tasks::default() }
    }

    fn waiter(&mut self, deadline: u32) {
        let id = self.tasks.tasks.len();
        let (queue, slots, got) = (self.queue.clone(), self.slots.clone(), self.got.clone());
        self.tasks.spawn(async move {
            let take = || if slots.try_take(MEMBER) { Look::Taken(()) } else { Look::Full };
            let result = queue.wait(deadline, take, || slots.has_free(MEMBER)).await;
            got.borrow_mut().push((id, result));
        });
        self.tasks.run();
    }

    fn free(&mut self) {
        self.slots.release(MEMBER);
        self.queue.slot_freed();
    }

    #[track_caller]
    fn expect(&mut self, expected: &[(usize, Result<(), QueueRefusal>)]) {
        self.tasks.run();
        assert_eq!(self.got.take(), expected);
    }
}

#[test]
fn first_come_first_served() {
    let mut one = One::new(9);
    (0..3).for_each(|_| one.waiter(100));
    assert!(one.queue.must_wait());
    for id in 0..3 {
        one.expect(&[]);
        one.free();
        one.expect(&[(id, Ok(()))]);
    }
    assert!(one.queue.is_empty() && !one.queue.must_wait());
}

#[test]
fn the_line_has_a_length_and_waiters_a_deadline() {
    let mut one = One::new(2);
    [5, 7, 100].into_iter().for_each(|deadline| one.waiter(deadline));
    one.expect(&[(2, Err(QueueRefusal::Full))]);
    one.queue.expire(4);
    one.expect(&[]);
    one.queue.expire(5);
    one.expect(&[(0, Err(QueueRefusal::Timeout))]);
    one.waiter(100);
    // Called in time, and polled late: it has what it waited for.
    one.free();
    one.queue.expire(7);
    one.expect(&[(1, Ok(()))]);
    one.free();
    one.expect(&[(3, Ok(()))]);
    assert!(!one.queue.must_wait());
    let mut none = One::new(0);
    none.waiter(100);
    none.expect(&[(0, Err(QueueRefusal::Full))]);
}

#[test]
fn who_was_called_in_vain_when_its_time_was_up_waits_no_longer() {
    let mut one = One::new(9);
    one.waiter(5);
    one.free();
    assert!(one.slots.try_take(MEMBER));
    one.queue.expire(5);
    one.expect(&[(0, Err(QueueRefusal::Timeout))]);
    assert!(!one.queue.must_wait());
}

#[test]
fn who_was_overtaken_keeps_its_place() {
    let mut one = One::new(9);
    (0..2).for_each(|_| one.waiter(100));
    one.free();
    assert!(one.slots.try_take(MEMBER));
    one.expect(&[]);
    one.free();
    one.expect(&[(0, Ok(()))]);
    one.free();
    one.expect(&[(1, Ok(()))]);
}

#[test]
fn who_leaves_passes_its_chance_on() {
    // Before its chance, with it, and too late for its deadline.
    for when in 0..3 {
        let mut one = One::new(9);
        [3, 100].into_iter().for_each(|deadline| one.waiter(deadline));
        match when {
            0 => one.tasks.tasks[0] = None,
            1 => {
                one.free();
                one.tasks.tasks[0] = None;
            }
            _ => {
                one.queue.expire(3);
                one.free();
            }
        }
        if when == 0 {
            one.free();
        }
        one.tasks.run();
        assert_eq!(one.got.borrow().last(), Some(&(1, Ok(()))), "{when}");
        assert!(one.queue.is_empty() && !one.queue.must_wait());
    }
}

#[test]
fn members_that_come_back_serve_all_that_wait() {
    let slots = Rc::new(Slots::new(&[Some(3)]));
    let (open, served) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (queue, _) = queue(&Arc::new(Waiting::new(1)), 0, 9);
    let (queue, mut tasks) = (Rc::new(queue), Tasks::default());
    for _ in 0..5 {
        let (queue, slots, open) = (queue.clone(), slots.clone(), open.clone());
        let served = served.clone();
        tasks.spawn(async move {
            let take = || match open.get() && slots.try_take(MEMBER) {
                true => Look::Taken(()),
                false => Look::Full,
            };
            let any_free = || open.get() && slots.has_free(MEMBER);
            queue.wait(100, take, any_free).await.unwrap();
            served.set(served.get() + 1);
        });
    }
    tasks.run();
    queue.wake_all();
    tasks.run();
    assert_eq!((served.get(), queue.len()), (0, 5));
    open.set(true);
    queue.wake_all();
    tasks.run();
    assert_eq!((served.get(), queue.len()), (3, 2));
}

#[test]
fn a_ring_that_is_lost_costs_time_only() {
    let (shared, slots) = (Arc::new(Waiting::new(2)), Rc::new(Slots::new(&[Some(1)])));
    let ((here, rung), (there, _)) = (queue(&shared, 0, 9), queue(&shared, 1, 9));
    let (there, mut tasks) = (Rc::new(there), Tasks::default());
    assert!(slots.try_take(MEMBER));
    let (line, places) = (there.clone(), slots.clone());
    tasks.spawn(async move {
        let take = || if places.try_take(MEMBER) { Look::Taken(()) } else { Look::Full };
        line.wait(100, take, || places.has_free(MEMBER)).await.unwrap();
    });
    tasks.run();
    assert!(here.must_wait() && here.is_empty());
    slots.release(MEMBER);
    here.slot_freed();
    assert_eq!(*rung.borrow(), [1]);
    tasks.run();
    assert!(!tasks.is_done());
    there.expire(1);
    tasks.run();
    assert!(tasks.is_done() && !here.must_wait());
}

#[test]
fn who_cannot_use_its_chance_passes_it_on() {
    // The member is free for the last waiter only, behind the others or on another worker.
    for last_is_here in [true, false] {
        let (shared, slots) = (Arc::new(Waiting::new(2)), Rc::new(Slots::new(&[Some(1)])));
        let ((here, rung), (there, _)) = (queue(&shared, 0, 9), queue(&shared, 1, 9));
        let (here, there, mut tasks) = (Rc::new(here), Rc::new(there), Tasks::default());
        assert!(slots.try_take(MEMBER));
        for may in [false, false, true] {
            let line = if may && !last_is_here { there.clone() } else { here.clone() };
            let slots = slots.clone();
            tasks.spawn(async move {
                let look = || match may {
                    true if slots.try_take(MEMBER) => Look::Taken(()),
                    false if slots.has_free(MEMBER) => Look::ForOthers,
                    _ => Look::Full,
                };
                line.wait(100, look, || slots.has_free(MEMBER)).await.unwrap();
            });
        }
        tasks.run();
        slots.release(MEMBER);
        here.slot_freed();
        tasks.run();
        assert_eq!(*rung.borrow(), if last_is_here { &[][..] } else { &[1] });
        there.poke();
        tasks.run();
        assert!(tasks.tasks[2].is_none() && tasks.tasks[0].is_some() && tasks.tasks[1].is_some());
        assert_eq!((slots.in_use(MEMBER), here.len(), there.len()), (1, 2, 0));
    }
}

/// What a request of a small world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    /// Takes any member, and gives it back.
    Any,
    /// Takes any member but this one.
    But(u16),
    /// Takes any member, and keeps it to the end.
    Keeps,
    /// Leaves as soon as its worker has nothing else to do.
    Leaves,
    /// Leaves when it is called.
    LeavesCalled,
}

/// A slot in use, until dropped.
struct Held<'a> {
    queue: &'a Queue,
    slots: &'a Slots,
    busy: &'a [AtomicU32],
    member: MemberId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.busy[self.member.index()].fetch_sub(1, Ordering::SeqCst);
        self.slots.release(self.member);
        self.queue.slot_freed();
    }
}

/// Some workers, their requests, and members with maxima.
struct World {
    slots: Arc<Slots>,
    waiting: Arc<Waiting>,
    maxima: &'static [u32],
    /// What the members have to bear, counted by themselves.
    busy: Arc<[AtomicU32]>,
    rung: Arc<[AtomicBool]>,
    jobs: &'static [&'static [Job]],
    finished: AtomicUsize,
    /// Workers that found nothing more to do, with requests in their line.
    waiting_for_ever: AtomicUsize,
}

impl World {
    fn new(maxima: &'static [u32], jobs: &'static [&'static [Job]]) -> World {
        let bounds: Vec<_> = maxima.iter().copied().map(Some).collect();
        World {
            slots: Arc::new(Slots::new(&bounds)),
            waiting: Arc::new(Waiting::new(jobs.len())),
            maxima,
            busy: maxima.iter().map(|_| AtomicU32::new(0)).collect(),
            rung: jobs.iter().map(|_| AtomicBool::new(false)).collect(),
            jobs,
            finished: AtomicUsize::new(0),
            waiting_for_ever: AtomicUsize::new(0),
        }
    }

    fn request(&self, queue: &Rc<Queue>, job: Job) -> impl Future<Output = ()> + 'static {
        let (queue, slots, busy) = (queue.clone(), self.slots.clone(), self.busy.clone());
        let maxima = self.maxima;
        async move {
            let members = || (0..busy.len() as u16).map(MemberId);
            let usable = |member: &MemberId| job != Job::But(member.0);
            let take = || members().filter(usable).find(|member| slots.try_take(*member));
            let any_free = || members().any(|member| slots.has_free(member));
            let look = || match take() {
                Some(member) => Look::Taken(member),
                None if members().any(|member| !usable(&member) && slots.has_free(member)) => {
                    Look::ForOthers
                }
                None => Look::Full,
            };
            let at_once = if queue.must_wait() { None } else { take() };
            let member = match at_once {
                Some(member) => member,
                None => queue.wait(100, look, any_free).await.unwrap(),
            };
            let load = busy[member.index()].fetch_add(1, Ordering::SeqCst) + 1;
            assert!(load <= maxima[member.index()], "above the maximum");
            let held = Held { queue: &queue, slots: &slots, busy: &busy, member };
            yield_once().await;
            if job == Job::Keeps {
                std::future::pending().await
            }
            drop(held);
        }
    }

    /// One worker, to its end.
    fn work(&self, schedule: &Arc<Schedule>, me: usize) {
        let (rung, bell) = (Arc::clone(&self.rung), Arc::clone(schedule));
        let ring = move |worker: WorkerId| {
            rung[worker.index()].store(true, Ordering::SeqCst);
            bell.unblock(worker.index());
        };
        let (shared, row) = (Arc::clone(&self.waiting), Arc::new(Row::default()));
        let own = WorkerId(me as u16);
        let queue = Rc::new(Queue::new(shared, own, 9, row.clone(), Rc::new(ring)));
        let mut tasks = Tasks::default();
        for job in self.jobs[me] {
            tasks.spawn(self.request(&queue, *job));
        }
        let mut seen = vec![false; tasks.tasks.len()];
        let leaves = |job: &Job| *job == Job::Leaves;
        loop {
            if self.rung[me].swap(false, Ordering::SeqCst) {
                queue.poke();
                continue;
            }
            if let Some(id) = tasks.next() {
                let again = std::mem::replace(&mut seen[id], true);
                if again && self.jobs[me][id] == Job::LeavesCalled {
                    tasks.tasks[id] = None;
                } else {
                    tasks.poll(id);
                }
                continue;
            }
            if tasks.is_done() {
                break;
            }
            let mut asleep = self.jobs[me].iter().zip(&mut tasks.tasks);
            match asleep.find(|(job, task)| leaves(job) && task.is_some()) {
                Some((_, task)) => *task = None,
                None if schedule.block(me) => {}
                None => {
                    // All stand still, and what is kept must stay so until it was looked at.
                    let waits = usize::from(!queue.is_empty());
                    self.waiting_for_ever.fetch_add(waits, Ordering::SeqCst);
                    std::mem::forget(tasks);
                    return;
                }
            }
        }
        assert_eq!(row.get(Counter::QueueWaiting), 0);
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    fn check(&self) {
        let all = || (0..self.maxima.len() as u16).map(MemberId);
        let kept = self.jobs.concat().iter().filter(|job| **job == Job::Keeps).count();
        if kept == 0 {
            assert_eq!(self.finished.load(Ordering::SeqCst), self.jobs.len(), "one waits for ever");
            assert!(!self.waiting.anybody());
            assert!(all().all(|member| self.slots.in_use(member) == 0));
        } else if self.waiting_for_ever.load(Ordering::SeqCst) > 0 {
            assert!(all().all(|member| !self.slots.has_free(member)), "an idle slot and a waiter");
        }
    }
}

/// Maxima of members, requests of each worker, interruptions.
type Small = (&'static [u32], &'static [&'static [Job]], usize);

#[test]
fn in_every_interleaving_every_waiter_ends() {
    use Job::{Any, But, Keeps, Leaves, LeavesCalled};
    let worlds: &[Small] = &[
        (&[1], &[&[Any], &[Any]], 3),
        (&[1], &[&[Any, Any], &[Any, Any]], 2),
        (&[1], &[&[Any], &[Any], &[Any]], 2),
        (&[2], &[&[Any, Any], &[Any, Any]], 2),
        (&[1, 1], &[&[Any, Any], &[Any, Any]], 2),
        (&[1], &[&[Any, Leaves], &[Any]], 2),
        (&[1], &[&[Any], &[Leaves, Any]], 2),
        (&[1], &[&[Any, LeavesCalled], &[LeavesCalled, Any]], 2),
        (&[1, 1], &[&[Any, But(0)], &[But(0), Any]], 2),
        (&[1, 1], &[&[But(0), But(1)], &[But(0), But(1)]], 2),
        (&[1, 1], &[&[But(0)], &[But(0)], &[But(1), Any]], 1),
        (&[1, 1], &[&[But(0), Leaves, But(1)], &[Any, LeavesCalled, But(0)]], 2),
        (&[2], &[&[Any, Any, Keeps], &[Keeps]], 2),
        (&[2], &[&[Any, Any], &[Keeps, Keeps]], 2),
        (&[2], &[&[Any, Keeps, LeavesCalled], &[Any, Keeps]], 2),
        (&[2], &[&[Any, Keeps], &[Any, Leaves, Keeps]], 2),
        (&[3], &[&[Any, Any, Keeps], &[Any, Keeps, Keeps]], 2),
        (&[2], &[&[Any, Keeps], &[Any], &[Keeps]], 2),
    ];
    for (maxima, jobs, bound) in worlds {
        let body = |world: &World, schedule: &Arc<Schedule>, me: usize| world.work(schedule, me);
        let prepare = || World::new(maxima, jobs);
        let orders = explore(jobs.len(), *bound, prepare, body, World::check);
        println!("{orders} orders of {jobs:?}");
        assert!(orders > 10, "{orders} orders of {jobs:?}");
    }
}
