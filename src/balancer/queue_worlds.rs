//! Slots and queue in all interleavings of small worlds of workers, with the real code.
#![allow(clippy::disallowed_types)]

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::interleave::{Schedule, explore};
use super::queue::{Look, Queue};
use super::queue_tests::{Tasks, yield_once};
use super::slots::{Slots, Taking};
use super::waiting::Waiting;
use crate::ids::{MemberId, WorkerId};
use crate::stats::{Counter, Row};

/// What a request of a small world does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    /// Takes any member, and gives it back.
    Any,
    /// Takes any member but this one.
    But(u16),
    /// Takes any member, and keeps it to the end.
    Keeps,
    /// Takes the first member, or is refused: no line is open to it.
    Hasty,
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
    /// Of all members together, and of each.
    total: Option<u32>,
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
    fn new(total: Option<u32>, maxima: &'static [u32], jobs: &'static [&'static [Job]]) -> World {
        // 0 stands for no bound here.
        let bounds: Vec<_> = maxima.iter().map(|most| Some(*most).filter(|m| *m > 0)).collect();
        World {
            slots: Arc::new(Slots::new(total, &bounds)),
            waiting: Arc::new(Waiting::new(jobs.len())),
            total,
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
        let (total, maxima) = (self.total, self.maxima);
        async move {
            let members = || (0..busy.len() as u16).map(MemberId);
            let usable = |member: &MemberId| match job {
                Job::But(other) => member.0 != other,
                Job::Hasty => member.0 == 0,
                _ => true,
            };
            let take = || {
                let mut undone = false;
                let taken = members().filter(usable).find(|member| {
                    let taking = slots.try_take(*member);
                    undone |= taking == Taking::Undone;
                    taking.is_taken()
                });
                if undone {
                    queue.slot_freed();
                }
                taken
            };
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
                None if job == Job::Hasty => return,
                None => queue.wait(100, look, any_free).await.unwrap(),
            };
            let load = busy[member.index()].fetch_add(1, Ordering::SeqCst) + 1;
            let maximum = maxima[member.index()];
            assert!(maximum == 0 || load <= maximum, "above the maximum");
            let all: u32 = busy.iter().map(|busy| busy.load(Ordering::SeqCst)).sum();
            assert!(total.is_none_or(|total| all <= total), "above the pool's maximum");
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
            assert_eq!(self.slots.in_use_by_all(), 0);
        } else if self.waiting_for_ever.load(Ordering::SeqCst) > 0 {
            assert!(all().all(|member| !self.slots.has_free(member)), "an idle slot and a waiter");
        }
    }
}

/// Maxima of members, requests of each worker, interruptions.
type Small = (&'static [u32], &'static [&'static [Job]], usize);

fn explore_all(total: Option<u32>, worlds: &[Small]) {
    for (maxima, jobs, bound) in worlds {
        let body = |world: &World, schedule: &Arc<Schedule>, me: usize| world.work(schedule, me);
        let prepare = || World::new(total, maxima, jobs);
        let orders = explore(jobs.len(), *bound, prepare, body, World::check);
        println!("{orders} orders of {maxima:?} {jobs:?}");
        assert!(orders > 10, "{orders} orders of {jobs:?}");
    }
}

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
    explore_all(None, worlds);
}

/// The pool has a maximum beside those of its members.
#[test]
fn in_every_interleaving_the_pools_maximum_leaves_nobody_behind() {
    use Job::{Any, But, Hasty, Keeps, Leaves, LeavesCalled};
    let one: &[Small] = &[
        (&[0], &[&[Any], &[Any]], 3),
        (&[0, 0], &[&[Any, Any], &[Any, Any]], 2),
        (&[1, 1], &[&[Any, But(0)], &[But(0), Any]], 2),
        (&[1, 1], &[&[But(0), But(1)], &[But(0), But(1)]], 2),
        (&[1, 0], &[&[Any, LeavesCalled], &[Leaves, Any]], 2),
    ];
    explore_all(Some(1), one);
    // A place of the pool is taken in vain where the member's last slot went to another.
    let two: &[Small] = &[
        (&[1, 1], &[&[Keeps], &[Hasty], &[Keeps]], 2),
        (&[1, 1], &[&[But(1)], &[But(1)], &[But(0)]], 2),
        (&[1, 1, 1], &[&[But(1), Any], &[But(0), Any]], 2),
        (&[1, 0], &[&[But(1), Any], &[But(1), But(0)]], 2),
        (&[1, 1], &[&[But(0), Leaves, But(1)], &[Any, LeavesCalled, But(0)]], 2),
        (&[1, 2], &[&[Any, Keeps], &[Any, Keeps]], 2),
        (&[2], &[&[Any, Any, Keeps], &[Keeps]], 2),
    ];
    explore_all(Some(2), two);
}
