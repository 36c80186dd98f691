//! For tests: runs real threads in every order that matters, one at a time.
//!
//! [`AtomicU64`] is the one that slots and queue are made of. On a thread that [`explore`] started,
//! each operation is a point where another thread may go on instead; elsewhere it is an ordinary
//! atomic. All orders are run in which a thread that could go on is interrupted at most `bound`
//! times. Exact for sequentially consistent operations, which are all that are used.
#![allow(clippy::disallowed_types)]

use std::cell::RefCell;
use std::sync::atomic::{self, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

thread_local! {
    static OWN: RefCell<Option<(Arc<Schedule>, usize)>> = const { RefCell::new(None) };
}

/// An atomic whose every operation is a point of interruption.
#[derive(Debug, Default)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        step();
        self.0.load(order)
    }

    pub(crate) fn fetch_add(&self, by: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_add(by, order)
    }

    pub(crate) fn fetch_sub(&self, by: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_sub(by, order)
    }

    pub(crate) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_or(bits, order)
    }

    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.swap(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        expected: u64,
        value: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        step();
        self.0.compare_exchange(expected, value, success, failure)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ready,
    Blocked,
    Done,
}

#[derive(Debug)]
struct State {
    running: usize,
    status: Vec<Status>,
    /// At each point with a choice: what was chosen, of how many.
    path: Vec<(usize, usize)>,
    depth: usize,
    interruptions: usize,
    bound: usize,
    /// All that are left are blocked, or one panicked: everybody runs freely to the end.
    stuck: bool,
}

/// The order of one run.
#[derive(Debug)]
pub(crate) struct Schedule {
    state: Mutex<State>,
    changed: Vec<Condvar>,
}

impl Schedule {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lets the next one run; `me` is ready to go on, or not.
    fn hand_over(&self, state: &mut State, me: usize) {
        let mut options = Vec::new();
        let goes_on = state.status[me] == Status::Ready;
        if goes_on {
            options.push(me);
        }
        if !goes_on || state.interruptions < state.bound {
            let others = (0..state.status.len()).filter(|other| *other != me);
            options.extend(others.filter(|other| state.status[*other] == Status::Ready));
        }
        if options.is_empty() {
            state.stuck = state.status.contains(&Status::Blocked);
            self.changed.iter().for_each(Condvar::notify_all);
            return;
        }
        let mut choice = 0;
        if options.len() > 1 {
            if state.depth == state.path.len() {
                state.path.push((0, options.len()));
            }
            let (chosen, of) = state.path[state.depth];
            assert_eq!(of, options.len(), "a run is not the same when it is repeated");
            choice = chosen;
            state.depth += 1;
        }
        state.running = options[choice];
        if goes_on && state.running != me {
            state.interruptions += 1;
        }
        if state.running != me {
            self.changed[state.running].notify_all();
        }
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, me: usize) {
        while state.running != me && !state.stuck {
            state = self.changed[me].wait(state).unwrap();
        }
    }

    fn step(&self, me: usize) {
        let mut state = self.lock();
        if !state.stuck {
            self.hand_over(&mut state, me);
            self.wait(state, me);
        }
    }

    /// Waits until somebody calls [`Schedule::unblock`]; false if nobody is left who could.
    pub(super) fn block(&self, me: usize) -> bool {
        let mut state = self.lock();
        state.status[me] = Status::Blocked;
        self.hand_over(&mut state, me);
        self.wait(state, me);
        !self.lock().stuck
    }

    /// Lets a blocked thread go on some time.
    pub(super) fn unblock(&self, other: usize) {
        let mut state = self.lock();
        if state.status[other] == Status::Blocked {
            state.status[other] = Status::Ready;
        }
    }
}

/// Ends the thread's part in the schedule.
struct Part(Arc<Schedule>, usize);

impl Drop for Part {
    fn drop(&mut self) {
        OWN.set(None);
        let mut state = self.0.lock();
        state.status[self.1] = Status::Done;
        if std::thread::panicking() {
            state.stuck = true;
            self.0.changed.iter().for_each(Condvar::notify_all);
        } else if !state.stuck {
            self.0.hand_over(&mut state, self.1);
        }
    }
}

fn step() {
    let own = OWN.with_borrow(Clone::clone);
    if let Some((schedule, me)) = own {
        schedule.step(me);
    }
}

fn run(
    threads: usize,
    bound: usize,
    path: Vec<(usize, usize)>,
    body: &(impl Fn(&Arc<Schedule>, usize) + Sync),
) -> Vec<(usize, usize)> {
    let status = vec![Status::Ready; threads];
    let (depth, interruptions, stuck) = (0, 0, false);
    let state = State { running: 0, status, path, depth, interruptions, bound, stuck };
    let changed = (0..threads).map(|_| Condvar::new()).collect();
    let schedule = Arc::new(Schedule { state: Mutex::new(state), changed });
    std::thread::scope(|scope| {
        for me in 0..threads {
            let schedule = Arc::clone(&schedule);
            scope.spawn(move || {
                OWN.set(Some((Arc::clone(&schedule), me)));
                let _part = Part(Arc::clone(&schedule), me);
                schedule.wait(schedule.lock(), me);
                body(&schedule, me);
            });
        }
    });
    std::mem::take(&mut schedule.lock().path)
}

/// Runs `prepare`, then what it gives on each of `threads` threads, then `check`, in all orders;
/// how many there were.
pub(crate) fn explore<W: Sync>(
    threads: usize,
    bound: usize,
    prepare: impl Fn() -> W,
    body: impl Fn(&W, &Arc<Schedule>, usize) + Sync,
    check: impl Fn(&W),
) -> usize {
    let mut path = Vec::new();
    for count in 1.. {
        let world = prepare();
        path = run(threads, bound, path, &|schedule, me| body(&world, schedule, me));
        check(&world);
        while path.last().is_some_and(|(chosen, of)| chosen + 1 == *of) {
            path.pop();
        }
        match path.last_mut() {
            Some((chosen, _)) => *chosen += 1,
            None => return count,
        }
    }
    0
}

#[test]
fn all_orders_are_run() {
    // Two threads that read, then write one more: some orders lose one of the additions.
    let outcomes = Mutex::new([0; 3]);
    let orders = explore(
        2,
        9,
        AtomicU64::default,
        |cell: &AtomicU64, _, _| {
            let value = cell.load(Ordering::SeqCst);
            cell.swap(value + 1, Ordering::SeqCst);
        },
        |cell| outcomes.lock().unwrap()[cell.0.load(Ordering::SeqCst) as usize] += 1,
    );
    let outcomes = outcomes.into_inner().unwrap();
    assert!(orders >= 6 && outcomes[1] > 0 && outcomes[2] > 0, "{orders} {outcomes:?}");
}
