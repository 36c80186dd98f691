//! The requests of one worker that wait for a slot of a pool, first come, first served.
//!
//! Rules that keep a free slot from standing beside a waiting request, whatever the workers do at
//! the same time: who comes shows itself, then looks for a free slot; who frees a slot looks for
//! sleepers; who leaves the line, in whatever way, looks once for the others; who cannot use its
//! chance looks once more, keeps its place and, if others could use it, passes it on. `Waiting`
//! is the part that workers share; a worker wakes only its own tasks. Must not know members: what
//! may be taken is a parameter. Time is ticks of the worker, given by its housekeeping.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::waiting::Waiting;
use crate::ids::WorkerId;
use crate::stats::{Counter, Row};

/// Why a request got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueRefusal {
    /// The line is as long as it may be.
    Full,
    /// The deadline passed.
    Timeout,
}

/// What a waiter found when it looked for a slot.
#[derive(Debug)]
pub enum Look<T> {
    /// A slot, which is taken now.
    Taken(T),
    /// No slot is free.
    Full,
    /// None that this request may take, but one that others could: it tried the member already.
    ForOthers,
}

/// How a waiter came by its chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chance {
    /// It was its turn.
    Turn,
    /// One in front of it could not use it.
    PassedBack,
    /// Another worker's sleepers could not use it. It ends with this worker's.
    Passed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asleep,
    Called(Chance),
    Late,
}

#[derive(Debug)]
struct Waiter {
    /// Rises along the line.
    number: u64,
    /// In ticks.
    deadline: u32,
    state: State,
    waker: Option<Waker>,
}

/// Wakes another worker, which then calls [`Queue::poke`] on its own thread.
pub type Ring = Rc<dyn Fn(WorkerId)>;

/// The line of one pool on one worker.
pub struct Queue {
    shared: Arc<Waiting>,
    worker: WorkerId,
    length: usize,
    row: Arc<Row>,
    ring: Ring,
    line: RefCell<VecDeque<Waiter>>,
    next: Cell<u64>,
    /// The tick of which [`Queue::expire`] was told last.
    now: Cell<u32>,
    /// Waiters that were called: this worker's chances but for those on their way.
    called: Cell<u64>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("worker", &self.worker).field("line", &self.line).finish()
    }
}

/// A waiter's place in the line, until dropped.
struct Place<'a, F: Fn() -> bool> {
    queue: &'a Queue,
    number: u64,
    any_free: &'a F,
}

impl<F: Fn() -> bool> Drop for Place<'_, F> {
    fn drop(&mut self) {
        self.queue.leave(self.number);
        // For those behind: what this one was given and did not take, or what else is free.
        if self.queue.shared.anybody_asleep() && (self.any_free)() {
            self.queue.slot_freed();
        }
    }
}

impl Queue {
    /// An empty line of at most `length` waiters for `worker`. A `ring` that does not arrive costs
    /// time, until the next [`Queue::expire`], but no waiter.
    #[must_use]
    pub fn new(
        shared: Arc<Waiting>,
        worker: WorkerId,
        length: usize,
        row: Arc<Row>,
        ring: Ring,
    ) -> Self {
        let (line, next, called) = (RefCell::default(), Cell::new(0), Cell::new(0));
        let now = Cell::new(0);
        Self { shared, worker, length, row, ring, line, next, now, called }
    }

    /// Whether a request that comes now must [`Queue::wait`] and not help itself to a slot: others
    /// wait already, on this worker or another.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.shared.anybody()
    }

    /// Waiters of this worker.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.borrow().len()
    }

    /// Whether this worker has no waiters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.borrow().is_empty()
    }

    /// Waits until `look` takes a slot, which it tries in its turn. `any_free` says whether a slot
    /// is free that a request could take which tried nothing yet. Of this queue `look` may call
    /// [`Queue::slot_freed`], and `any_free` nothing.
    /// Dropping the future leaves the line, and passes on a chance that was meant for it.
    ///
    /// # Errors
    /// The line is full, or [`Queue::expire`] found the tick `deadline` to be reached.
    pub async fn wait<T>(
        &self,
        deadline: u32,
        mut look: impl FnMut() -> Look<T>,
        any_free: impl Fn() -> bool,
    ) -> Result<T, QueueRefusal> {
        let place = self.enter(deadline, &any_free)?;
        if any_free() {
            // Perhaps somebody else's turn.
            self.slot_freed();
        }
        loop {
            let chance = poll_fn(|context| self.poll(place.number, context)).await?;
            if chance == Chance::Turn && self.let_pass(place.number) {
                continue;
            }
            if let Look::Taken(taken) = look() {
                return Ok(taken);
            }
            self.sleep_again(place.number);
            match look() {
                Look::Taken(taken) => return Ok(taken),
                Look::Full => {}
                Look::ForOthers => self.pass_on(place.number, chance),
            }
            if deadline <= self.now.get() {
                // It was called when its time was up.
                return Err(QueueRefusal::Timeout);
            }
        }
    }

    /// A slot was released on this worker (`Slots::release` comes first), or may otherwise be free:
    /// gives one waiter its chance, by turn over the workers that have some; false: nobody sleeps.
    pub fn slot_freed(&self) -> bool {
        let Some(worker) = self.shared.give_by_turn() else { return false };
        if worker == self.worker {
            self.call_those_given();
        } else if self.shared.ring(worker) {
            (self.ring)(worker);
        }
        true
    }

    /// This worker was rung: calls those of its waiters that were given a chance.
    pub fn poke(&self) {
        let passed = self.shared.answer(self.worker);
        self.call_those_given();
        if passed && self.shared.give(self.worker) {
            self.call(None, Chance::Passed);
        }
    }

    /// Members may have come back in: the first in line looks for a slot, and whoever finds one
    /// calls the next as long as any are free.
    pub fn wake_all(&self) {
        if self.shared.give(self.worker) {
            self.call(None, Chance::Turn);
        }
    }

    /// Refuses those whose deadline is `now` or earlier, in ticks. For each tick.
    pub fn expire(&self, now: u32) {
        self.now.set(now);
        // In case that a ring was lost.
        self.poke();
        let mut late = Vec::new();
        for waiter in self.line.borrow_mut().iter_mut() {
            if waiter.deadline <= now && waiter.state == State::Asleep {
                // A chance that goes with it is handed on when its place is dropped.
                self.shared.leave_asleep(self.worker);
                waiter.state = State::Late;
                late.extend(waiter.waker.take());
            }
        }
        late.into_iter().for_each(Waker::wake);
        self.check_invariants();
    }

    fn enter<'a, F: Fn() -> bool>(
        &'a self,
        deadline: u32,
        any_free: &'a F,
    ) -> Result<Place<'a, F>, QueueRefusal> {
        let mut line = self.line.borrow_mut();
        if line.len() >= self.length {
            return Err(QueueRefusal::Full);
        }
        let number = self.next.replace(self.next.get().wrapping_add(1));
        line.push_back(Waiter { number, deadline, state: State::Asleep, waker: None });
        drop(line);
        self.row.add(Counter::Queued, 1);
        self.row.add(Counter::QueueWaiting, 1);
        self.shared.sleep(self.worker);
        self.check_invariants();
        Ok(Place { queue: self, number, any_free })
    }

    /// Those that were called look in the order of the line.
    fn poll(&self, number: u64, context: &Context<'_>) -> Poll<Result<Chance, QueueRefusal>> {
        let mut line = self.line.borrow_mut();
        let called = |waiter: &&Waiter| matches!(waiter.state, State::Called(_));
        let is_first = self.called.get() > 0
            && line.iter().find(called).is_some_and(|waiter| waiter.number == number);
        let at = line.binary_search_by_key(&number, |waiter| waiter.number);
        let Some(waiter) = at.ok().and_then(|at| line.get_mut(at)) else {
            return Poll::Ready(Err(QueueRefusal::Timeout));
        };
        match waiter.state {
            State::Called(chance) if is_first => return Poll::Ready(Ok(chance)),
            State::Late => return Poll::Ready(Err(QueueRefusal::Timeout)),
            State::Called(_) | State::Asleep => {}
        }
        match &mut waiter.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Wakes the first that was called: nobody in front of it has yet to look.
    fn wake_first(&self) {
        if self.called.get() == 0 {
            return; // most often, and the line may be long
        }
        let waker = {
            let mut line = self.line.borrow_mut();
            let first = line.iter_mut().find(|waiter| matches!(waiter.state, State::Called(_)));
            first.and_then(|waiter| waiter.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn sleep_again(&self, number: u64) {
        if let Some(waiter) = self.line.borrow_mut().iter_mut().find(|w| w.number == number) {
            waiter.state = State::Asleep;
        }
        self.called.set(self.called.get().saturating_sub(1));
        self.shared.sleep_again(self.worker);
        self.wake_first();
        self.check_invariants();
    }

    fn leave(&self, number: u64) {
        let waiter = {
            let mut line = self.line.borrow_mut();
            let at = line.binary_search_by_key(&number, |waiter| waiter.number);
            at.ok().and_then(|at| line.remove(at))
        };
        match waiter.map(|waiter| waiter.state) {
            Some(State::Asleep) => self.shared.leave_asleep(self.worker),
            Some(State::Called(_)) => {
                self.called.set(self.called.get().saturating_sub(1));
                self.shared.leave_awake(self.worker);
            }
            Some(State::Late) | None => {}
        }
        self.row.sub(Counter::QueueWaiting, 1);
        self.wake_first();
        self.check_invariants();
    }

    /// The chance behind which `number` came is of no use to it, but may be to others: to those
    /// behind it, one after the other, then to those of other workers.
    fn pass_on(&self, number: u64, chance: Chance) {
        let behind = |waiter: &Waiter| waiter.number > number && waiter.state == State::Asleep;
        if self.line.borrow().iter().any(behind) {
            if self.shared.give(self.worker) {
                let passed = chance == Chance::Passed;
                self.call(Some(number), if passed { chance } else { Chance::PassedBack });
            } else {
                // All have chances of their own, which are on their way.
                self.call_those_given();
            }
        } else if chance != Chance::Passed {
            for worker in self.shared.others_asleep(self.worker) {
                if self.shared.ring_passed(worker) {
                    (self.ring)(worker);
                }
            }
        }
    }

    /// Gives the turn of `number` to the first sleeper in front of it, if there is one: it was
    /// called earlier, came too late, and is first again.
    fn let_pass(&self, number: u64) -> bool {
        let mut line = self.line.borrow_mut();
        let in_front =
            |waiter: &&mut Waiter| waiter.number < number && waiter.state == State::Asleep;
        let Some(first) = line.iter_mut().find(in_front) else { return false };
        first.state = State::Called(Chance::Turn);
        if let Some(own) = line.iter_mut().find(|waiter| waiter.number == number) {
            own.state = State::Asleep;
        }
        drop(line);
        self.wake_first();
        true
    }

    fn call_those_given(&self) {
        while self.shared.chances(self.worker) > self.called.get() && self.call(None, Chance::Turn)
        {
        }
    }

    /// Calls the first sleeper, or the first behind a waiter; its chance has been counted already.
    fn call(&self, behind: Option<u64>, chance: Chance) -> bool {
        let mut line = self.line.borrow_mut();
        let eligible = |waiter: &&mut Waiter| {
            waiter.state == State::Asleep && behind.is_none_or(|number| waiter.number > number)
        };
        let Some(waiter) = line.iter_mut().find(eligible) else { return false };
        waiter.state = State::Called(chance);
        drop(line);
        self.called.set(self.called.get().saturating_add(1));
        self.wake_first();
        true
    }

    /// The line and what other workers see of it agree.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            let line = self.line.borrow();
            let asleep = line.iter().filter(|waiter| waiter.state == State::Asleep).count();
            let called = line.iter().filter(|w| matches!(w.state, State::Called(_))).count();
            debug_assert_eq!(called as u64, self.called.get(), "{:?}", self.line);
            let seen = self.shared.waiters(self.worker);
            debug_assert_eq!((asleep + called) as u64, seen, "{:?}", self.line);
            debug_assert!(line.len() <= self.length);
        }
    }
}
