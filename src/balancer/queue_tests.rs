//! The queue under test, by itself. In all interleavings: `queue_worlds.rs`; under the real contention of
//! threads: tests/slots_model.rs.
#![allow(clippy::disallowed_types)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::queue::{Look, Queue, QueueRefusal};
use super::slots::Slots;
use super::waiting::Waiting;
use crate::ids::{MemberId, WorkerId};
use crate::stats::Row;

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
pub(super) struct Tasks {
    pub(super) tasks: Vec<Option<Task>>,
    ready: Ready,
}

impl Tasks {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.ready.lock().unwrap().push_back(self.tasks.len());
        self.tasks.push(Some(Box::pin(task)));
    }

    pub(super) fn next(&self) -> Option<usize> {
        self.ready.lock().unwrap().pop_front()
    }

    pub(super) fn poll(&mut self, id: usize) {
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

    pub(super) fn is_done(&self) -> bool {
        self.tasks.iter().all(Option::is_none)
    }
}

pub(super) async fn yield_once() {
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
        let slots = Rc::new(Slots::new(None, &[Some(1)]));
        assert!(slots.try_take(MEMBER).is_taken());
        let queue = Rc::new(queue(&Arc::new(Waiting::new(1)), 0, length).0);
        One { queue, slots, got: Rc::default(), tasks: Tasks::default() }
    }

    fn waiter(&mut self, deadline: u32) {
        let id = self.tasks.tasks.len();
        let (queue, slots, got) = (self.queue.clone(), self.slots.clone(), self.got.clone());
        self.tasks.spawn(async move {
            let take =
                || if slots.try_take(MEMBER).is_taken() { Look::Taken(()) } else { Look::Full };
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
    assert!(one.slots.try_take(MEMBER).is_taken());
    one.queue.expire(5);
    one.expect(&[(0, Err(QueueRefusal::Timeout))]);
    assert!(!one.queue.must_wait());
}

#[test]
fn who_was_overtaken_keeps_its_place() {
    let mut one = One::new(9);
    (0..2).for_each(|_| one.waiter(100));
    one.free();
    assert!(one.slots.try_take(MEMBER).is_taken());
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
    let slots = Rc::new(Slots::new(None, &[Some(3)]));
    let (open, served) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (queue, _) = queue(&Arc::new(Waiting::new(1)), 0, 9);
    let (queue, mut tasks) = (Rc::new(queue), Tasks::default());
    for _ in 0..5 {
        let (queue, slots, open) = (queue.clone(), slots.clone(), open.clone());
        let served = served.clone();
        tasks.spawn(async move {
            let take = || match open.get() && slots.try_take(MEMBER).is_taken() {
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
    let (shared, slots) = (Arc::new(Waiting::new(2)), Rc::new(Slots::new(None, &[Some(1)])));
    let ((here, rung), (there, _)) = (queue(&shared, 0, 9), queue(&shared, 1, 9));
    let (there, mut tasks) = (Rc::new(there), Tasks::default());
    assert!(slots.try_take(MEMBER).is_taken());
    let (line, places) = (there.clone(), slots.clone());
    tasks.spawn(async move {
        let take = || if places.try_take(MEMBER).is_taken() { Look::Taken(()) } else { Look::Full };
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
        let (shared, slots) = (Arc::new(Waiting::new(2)), Rc::new(Slots::new(None, &[Some(1)])));
        let ((here, rung), (there, _)) = (queue(&shared, 0, 9), queue(&shared, 1, 9));
        let (here, there, mut tasks) = (Rc::new(here), Rc::new(there), Tasks::default());
        assert!(slots.try_take(MEMBER).is_taken());
        for may in [false, false, true] {
            let line = if may && !last_is_here { there.clone() } else { here.clone() };
            let slots = slots.clone();
            tasks.spawn(async move {
                let look = || match may {
                    true if slots.try_take(MEMBER).is_taken() => Look::Taken(()),
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
