//! A worker's event loop: tasks that never leave their thread, and what wakes them.
//!
//! The kernel is asked for readiness alone, by io_uring or by epoll; bytes are received and sent by
//! direct calls. So no memory of ours is ever the kernel's beyond a call, every wait may be dropped at
//! any time, and what waits holds no buffer.
//!
//! One turn: tasks that can run, in order; then one call that hands the kernel what is to be watched
//! and takes what happened. Everything here belongs to one thread.

mod epoll;
mod poller;
mod ring;
mod source;
mod tasks;
mod timers;

#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use self::poller::Poller;
use self::source::Sources;
use self::tasks::{MAIN, Tasks};
use self::timers::Timers;
use super::driver::Driver;

pub(super) use self::source::{Side, Source};
pub(super) use self::timers::sleep;

/// Tasks that run before the kernel is asked again, though more could run.
const TURN: u32 = 256;

/// Operations of a task that are done at once before others get their turn.
const SHARE: u32 = 16;

/// What a thread's loop consists of.
struct Reactor {
    /// Which loop of which thread this is, never the same again; 0: none.
    id: Cell<u64>,
    tasks: RefCell<Tasks>,
    ready: tasks::Ready,
    timers: RefCell<Timers>,
    sources: RefCell<Sources>,
    poller: RefCell<Poller>,
    /// Operations that the task which runs may do before it has to give way.
    share: Cell<u32>,
}

thread_local! {
    static REACTOR: Reactor = const {
        Reactor {
            id: Cell::new(0),
            tasks: RefCell::new(Tasks::new()),
            ready: tasks::Ready::new(),
            timers: RefCell::new(Timers::new()),
            sources: RefCell::new(Sources::new()),
            poller: RefCell::new(Poller::None),
            share: Cell::new(SHARE),
        }
    };
}

/// The loop of this thread while it runs; dropped, all its tasks are, too.
struct Running;

impl Running {
    fn begin(driver: Driver) -> io::Result<Self> {
        REACTOR.with(|reactor| {
            if reactor.id.get() != 0 {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            *reactor.poller.borrow_mut() = Poller::new(driver)?;
            reactor.sources.borrow_mut().forget_watches();
            reactor.id.set(tasks::next_id());
            Ok(Self)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        REACTOR.with(|reactor| {
            // No task can begin any more; each may hold what wakes others as it is dropped.
            reactor.id.set(0);
            loop {
                let task = reactor.tasks.borrow_mut().take_any();
                if task.is_none() {
                    break;
                }
            }
            reactor.ready.clear();
            *reactor.timers.borrow_mut() = Timers::new();
            let mut poller = std::mem::replace(&mut *reactor.poller.borrow_mut(), Poller::None);
            // So that what was watched is closed now, and not when the kernel gets to it: told in the
            // first turn, done in the second.
            for _ in 0..2 {
                _ = poller.turn(false, None, &mut reactor.sources.borrow_mut());
            }
        });
    }
}

/// Runs `future`, and all that it spawns, until it ends; what was spawned is dropped then.
///
/// # Errors
/// The kernel refused the ring or the epoll instance, or a loop runs on this thread already.
pub(super) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    // Dropped behind `future`.
    let _running = Running::begin(driver)?;
    let mut future = pin!(future);
    let waker = REACTOR.with(|reactor| tasks::main_waker(reactor.id.get()));
    waker.wake_by_ref();
    loop {
        if let Some(output) = run(future.as_mut(), &waker) {
            return Ok(output);
        }
        REACTOR.with(turn)?;
    }
}

/// Lets tasks run that can; the output of the first one, if that ended.
fn run<F: Future>(mut main: Pin<&mut F>, waker: &tasks::MainWaker) -> Option<F::Output> {
    for _ in 0..TURN {
        let key = REACTOR.with(|reactor| {
            reactor.share.set(SHARE);
            let key = reactor.ready.pop();
            if let Some(next) = reactor.ready.next() {
                reactor.tasks.borrow().prefetch(next);
            }
            key
        })?;
        if key != MAIN {
            run_task(key);
            continue;
        }
        waker.is_taken();
        if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(waker.as_ref())) {
            return Some(output);
        }
    }
    None
}

fn run_task(key: u64) {
    // The table is not borrowed while the task runs: it may spawn others.
    let taken = REACTOR.with(|reactor| reactor.tasks.borrow_mut().take(key));
    let Some((mut task, waker)) = taken else { return };
    match task.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Pending => {
            REACTOR.with(|reactor| reactor.tasks.borrow_mut().put_back(key, task, waker));
        }
        Poll::Ready(()) => REACTOR.with(|reactor| reactor.tasks.borrow_mut().end(key)),
    }
}

/// Asks the kernel what happened, and waits for it if nothing can run.
fn turn(reactor: &Reactor) -> io::Result<()> {
    let mut timers = reactor.timers.borrow_mut();
    let wait = reactor.ready.is_empty();
    let mut poller = reactor.poller.borrow_mut();
    let mut sources = reactor.sources.borrow_mut();
    if poller.turn(wait, timers.next(), &mut sources)? {
        timers.fire();
    }
    Ok(())
}

/// Starts a task. It runs when its turn comes, and never if the loop has ended.
#[inline]
pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    // Here: each time that it is handed on, all of it is copied.
    let task = Box::pin(task);
    REACTOR.with(|reactor| {
        let id = reactor.id.get();
        if id != 0 {
            let key = reactor.tasks.borrow_mut().add(id, task);
            reactor.ready.push(key);
        }
    });
}

/// Goes behind all tasks that can run.
pub(super) async fn give_way() {
    let mut gone = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gone, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets others run now and then: an operation that is done at once does not pass through the loop,
/// and a peer that is always ready would keep the worker to itself.
pub(super) async fn share() {
    if !may_go_on() {
        give_way().await;
    }
}

/// Whether the task that runs may do one more operation at once; it counts as done.
pub(super) fn may_go_on() -> bool {
    REACTOR.with(|reactor| {
        let left = reactor.share.get();
        reactor.share.set(left.saturating_sub(1));
        left > 0
    })
}
