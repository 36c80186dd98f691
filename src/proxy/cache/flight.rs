//! Fetches that others wait for: one for a key at a time, over all workers. Who comes later waits for
//! what the first one gets, and reads it while it grows.
//!
//! Waking over cores: a sleeper notes with its worker who is to be woken, then says in the flight
//! that its worker wants to know, then looks again. Who makes progress takes those words back, and
//! rings the workers. So no wake-up is lost, and a worker is rung once for all its sleepers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use super::growing::Chain;
use super::stored::{Label, Stored};
use crate::ids::WorkerId;

/// What became of a fetch.
#[derive(Debug)]
pub(super) enum Landing {
    /// Its answer is on its way.
    Begun(Begun),
    /// Its answer is there.
    Here(Arc<Stored>),
    /// Its answer is for nobody else: everybody asks alone.
    Alone,
    /// Nobody knows, as its client left: another one takes its place.
    Again,
}

/// An answer on its way into the store.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) label: Arc<Label>,
    /// Bytes of its body, if it said so.
    pub(super) length: Option<u64>,
    pub(super) chain: Chain,
    /// Once it is there.
    pub(super) stored: OnceLock<Arc<Stored>>,
}

/// One fetch.
#[derive(Debug)]
pub(super) struct Flight {
    id: u64,
    /// That of the look which led to it, see [`super::order::Order::number`].
    pub(super) number: u64,
    /// The worker that fetches.
    home: WorkerId,
    landing: OnceLock<Landing>,
    /// By worker: somebody there sleeps.
    wants: Box<[AtomicBool]>,
}

impl Flight {
    pub(super) fn new(id: u64, number: u64, home: WorkerId, workers: usize) -> Self {
        let wants = (0..workers).map(|_| AtomicBool::new(false)).collect();
        Self { id, number, home, landing: OnceLock::new(), wants }
    }

    pub(super) fn landing(&self) -> Option<&Landing> {
        self.landing.get()
    }

    /// Says what became of it, once.
    pub(super) fn land(&self, landing: Landing) {
        // Said already: that holds.
        _ = self.landing.set(landing);
    }
}

/// The sleepers of one worker, and the way to the others.
pub(super) struct Sleepers {
    own: WorkerId,
    asleep: RefCell<HashMap<u64, Vec<Waker>>>,
    /// Tells another worker of a flight's progress; false: it could not be told.
    ring: Box<dyn Fn(WorkerId, u64) -> bool>,
    /// By worker: it was not told of something.
    missed: Arc<[AtomicBool]>,
}

impl std::fmt::Debug for Sleepers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleepers").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Sleepers {
    pub(super) fn new(
        own: WorkerId,
        missed: Arc<[AtomicBool]>,
        ring: Box<dyn Fn(WorkerId, u64) -> bool>,
    ) -> Self {
        Self { own, asleep: RefCell::default(), ring, missed }
    }

    /// Waits until `ready`, or longer: until something happened on the flight. May be dropped.
    pub(super) async fn sleep(&self, flight: &Flight, ready: impl Fn() -> bool) {
        let mut asleep = false;
        poll_fn(|context| {
            if asleep || ready() {
                return Poll::Ready(());
            }
            asleep = true;
            let waker = context.waker().clone();
            self.asleep.borrow_mut().entry(flight.id).or_default().push(waker);
            if let Some(wants) = flight.wants.get(self.own.index()) {
                wants.store(true, Ordering::SeqCst);
            }
            fence(Ordering::SeqCst);
            if ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Something happened on the flight: wakes all who wait for it.
    pub(super) fn progress(&self, flight: &Flight) {
        fence(Ordering::SeqCst);
        for (worker, wants) in (0u16..).map(WorkerId).zip(&flight.wants) {
            if wants.load(Ordering::SeqCst) && wants.swap(false, Ordering::SeqCst) {
                self.tell(worker, flight.id);
            }
        }
    }

    /// A reader let pieces go: the one who fetches may be waiting for that.
    pub(super) fn made_room(&self, flight: &Flight) {
        let wants = flight.wants.get(flight.home.index());
        if wants.is_some_and(|wants| wants.load(Ordering::SeqCst)) {
            self.tell(flight.home, flight.id);
        }
    }

    fn tell(&self, worker: WorkerId, id: u64) {
        if worker == self.own {
            self.wake(id);
        } else if !(self.ring)(worker, id)
            && let Some(missed) = self.missed.get(worker.index())
        {
            missed.store(true, Ordering::SeqCst);
        }
    }

    /// Wakes this worker's sleepers of a flight.
    pub(super) fn wake(&self, id: u64) {
        let woken = self.asleep.borrow_mut().remove(&id);
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    /// Wakes all if something was missed.
    pub(super) fn catch_up(&self) {
        let missed = self.missed.get(self.own.index());
        if missed.is_some_and(|missed| missed.swap(false, Ordering::SeqCst)) {
            let all = std::mem::take(&mut *self.asleep.borrow_mut());
            all.into_values().flatten().for_each(Waker::wake);
        }
    }
}
