//! One thread of a run: hands out turns to its connections, ends what takes too long, and counts.
//! Knows neither bytes nor protocols.

use crate::failure::Failure;
use crate::plan::{Pace, Plan};
use crate::rng::Rng;
use crate::runtime::{self, Driver};
use crate::schedule::{Arrivals, Schedule};
use crate::tally::{Good, Tally, micros};
use crate::timer::Timer;
use crate::tls;
use crate::units::Rate;
use socket2::Socket;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What other threads may see of one that runs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Live {
    /// Good exchanges so far. Written by: the owner only.
    pub answers: AtomicU64,
    /// Bad exchanges so far. Written by: the owner only.
    pub errors: AtomicU64,
}

/// One thread's state.
pub(crate) struct Worker {
    pub(crate) plan: Arc<Plan>,
    pub(crate) driver: Driver,
    pub(crate) timer: Rc<Timer>,
    pub(crate) tls: Option<tls::Client>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) rng: RefCell<Rng>,
    watches: Vec<Watch>,
    source: RefCell<Source>,
    start: Cell<Instant>,
    ended: Cell<Instant>,
    live: Arc<Live>,
}

/// The deadline of a connection, and a second handle of its socket by which the sweep ends it.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) deadline: Cell<Option<Instant>>,
    pub(crate) socket: RefCell<Option<Socket>>,
    pub(crate) expired: Cell<bool>,
}

/// One request's turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// When it is meant to be sent.
    pub(crate) intended: Instant,
    /// Which request of the mix.
    pub(crate) request: usize,
}

enum Source {
    /// Measured requests left, if bounded.
    Closed(Option<u64>),
    /// The schedules of warm-up and measurement, each with its offset, and how long a turn may wait.
    Open(VecDeque<(Duration, Schedule)>, Duration),
}

const SWEEP: Duration = Duration::from_millis(50);

impl Worker {
    pub(crate) fn new(
        plan: Arc<Plan>,
        index: usize,
        driver: Driver,
        live: Arc<Live>,
    ) -> io::Result<Self> {
        let connections = plan.connections_of(index);
        let tally = Tally::new(connections, plan.mix.requests().len()).map_err(io::Error::other)?;
        let seed = plan.seed.wrapping_add(index as u64);
        let now = runtime::now();
        Ok(Self {
            driver,
            timer: Timer::start()?,
            tls: plan.tls.as_ref().map(tls::Client::new).transpose()?,
            tally: RefCell::new(tally),
            rng: RefCell::new(Rng::new(seed)),
            watches: (0..connections).map(|_| Watch::default()).collect(),
            source: RefCell::new(source(&plan, index, seed)),
            start: Cell::new(now),
            ended: Cell::new(now),
            plan,
            live,
        })
    }

    pub(crate) fn begin(&self, start: Instant) {
        self.start.set(start);
        self.ended.set(self.measured_from());
    }

    pub(crate) fn measured_from(&self) -> Instant {
        self.start.get() + self.plan.warm_up
    }

    /// When the last exchange that counts ended.
    pub(crate) fn ended(&self) -> Instant {
        self.ended.get()
    }

    pub(crate) fn watch(&self, index: usize) -> Option<&Watch> {
        self.watches.get(index)
    }

    /// Whether answers decide when the next request is sent.
    pub(crate) fn is_closed_loop(&self) -> bool {
        self.plan.pace == Pace::Closed
    }

    /// Counts the status of an answer.
    pub(crate) fn count_status(&self, turn: &Turn, status: u16) {
        if turn.intended >= self.measured_from() {
            *self.tally.borrow_mut().statuses.entry(status).or_default() += 1;
        }
    }

    /// The next turn, when it has come; `None` if there is none any more.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let now = runtime::now();
        let turn = self.take(now, false)?;
        if turn.intended <= now {
            self.note_wait(now - turn.intended);
            return Some(turn);
        }
        self.timer.sleep_until(turn.intended).await;
        let lag = runtime::now().saturating_duration_since(turn.intended);
        if turn.intended >= self.measured_from() {
            self.tally.borrow_mut().lag.saturating_record(micros(lag));
        }
        Some(turn)
    }

    /// The next turn if it has come already.
    pub(crate) fn turn_at(&self, now: Instant) -> Option<Turn> {
        let turn = self.take(now, true)?;
        self.note_wait(now - turn.intended);
        Some(turn)
    }

    fn note_wait(&self, wait: Duration) {
        if !wait.is_zero() {
            let mut tally = self.tally.borrow_mut();
            tally.waited += 1;
            tally.longest_wait = tally.longest_wait.max(wait);
        }
    }

    /// Takes a turn off the source; with `due`, only one that has come.
    fn take(&self, now: Instant, due: bool) -> Option<Turn> {
        let (start, end) = (self.start.get(), self.measured_from() + self.plan.duration);
        let draw = || self.plan.mix.draw(&mut self.rng.borrow_mut());
        loop {
            let mut source = self.source.borrow_mut();
            match &mut *source {
                Source::Closed(_) if now >= end => return None,
                Source::Closed(left) => {
                    if let Some(left) = left
                        && now >= self.measured_from()
                    {
                        *left = left.checked_sub(1)?;
                    }
                    return Some(Turn { intended: now, request: draw() });
                }
                Source::Open(parts, backlog) => {
                    let (offset, schedule) = parts.front_mut()?;
                    let Some(at) = schedule.peek() else {
                        parts.pop_front();
                        continue;
                    };
                    let intended = start + *offset + at;
                    if due && intended > now {
                        return None;
                    }
                    schedule.advance();
                    let is_late = intended + *backlog < now;
                    drop(source);
                    let turn = Turn { intended, request: draw() };
                    if !is_late {
                        return Some(turn);
                    }
                    self.failed(Failure::Unsent, &turn, usize::MAX);
                }
            }
        }
    }

    /// Counts a good exchange.
    pub(crate) fn answered(
        &self,
        turn: &Turn,
        sent: Instant,
        now: Instant,
        (connection, payload): (usize, u64),
    ) {
        let from = self.measured_from();
        let mut tally = self.tally.borrow_mut();
        if turn.intended < from {
            tally.warm_up.0 += 1;
            return;
        }
        tally.answered(&Good {
            connection,
            request: turn.request,
            payload,
            latency: now - turn.intended,
            service: now - sent,
            at: now - from,
        });
        self.ended.set(now);
        self.live.answers.store(tally.answers, Ordering::Relaxed);
    }

    /// Counts a bad exchange.
    pub(crate) fn failed(&self, failure: Failure, turn: &Turn, connection: usize) {
        let expired = self.watch(connection).is_some_and(|watch| watch.expired.get());
        let failure = if expired { Failure::Timeout } else { failure };
        let (from, now) = (self.measured_from(), runtime::now());
        let mut tally = self.tally.borrow_mut();
        if turn.intended < from {
            tally.warm_up.1 += 1;
            return;
        }
        tally.failed(failure, connection, turn.request, now.saturating_duration_since(from));
        self.ended.set(now);
        self.live.errors.store(tally.failure_count(), Ordering::Relaxed);
    }
}

/// Shuts down the sockets whose time is over: the operation that waits on them then ends by itself.
pub(crate) async fn sweep(worker: Rc<Worker>) {
    loop {
        runtime::sleep(SWEEP).await;
        let now = runtime::now();
        for watch in &worker.watches {
            let over = watch.deadline.get().is_some_and(|deadline| deadline < now);
            if over && let Some(socket) = &*watch.socket.borrow() {
                watch.expired.set(true);
                _ = socket.shutdown(Shutdown::Both); // already gone: all the better
            }
        }
    }
}

fn source(plan: &Plan, index: usize, seed: u64) -> Source {
    let Pace::Open { rate, arrivals, backlog } = plan.pace else {
        return Source::Closed(plan.requests_of(index));
    };
    let part = (index as u64, plan.cores.len() as u64);
    let schedule = |rate, length, limit, seed| {
        let schedule = Schedule::new(rate, length, part, limit);
        match arrivals {
            Arrivals::Even => schedule,
            Arrivals::Poisson => schedule.poisson(seed),
        }
    };
    let mut parts = VecDeque::new();
    if !plan.warm_up.is_zero() {
        let from = rate.from.max(1.0); // a ramp from nothing warms up with hardly anything
        let warm_up = Rate { from, to: from };
        parts.push_back((Duration::ZERO, schedule(warm_up, plan.warm_up, None, !seed)));
    }
    parts.push_back((plan.warm_up, schedule(rate, plan.duration, plan.requests, seed)));
    Source::Open(parts, backlog)
}
