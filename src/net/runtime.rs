//! What a worker runs on: a thread pinned to its core, the loop, tasks whose panics stay their own.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::driver::Driver;
use super::{reactor, reserve};
use crate::clock::{self, Instant};

thread_local! {
    static COMPLETIONS: Cell<u64> = const { Cell::new(0) };
}

pub(super) fn completed() {
    COMPLETIONS.set(COMPLETIONS.get().wrapping_add(1));
}

/// Operations on sockets that this worker has completed.
#[must_use]
pub fn completions() -> u64 {
    COMPLETIONS.get()
}

/// Times that this thread slept and was woken.
#[must_use]
pub fn wakes() -> u64 {
    // SAFETY: an all-zero rusage is valid, and it is writable during the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage
    };
    u64::try_from(usage.ru_nvcsw).unwrap_or(0)
}

/// The share of a core, in thousandths, that this thread has used since it last asked.
#[must_use]
pub fn load() -> u32 {
    thread_local! {
        static LAST: Cell<(Duration, Option<Instant>)> = const { Cell::new((Duration::ZERO, None)) };
    }
    let (now, used) = (clock::now(), used());
    let (used_before, before) = LAST.replace((used, Some(now)));
    let Some(before) = before else { return 0 };
    let (used, span) = (used.saturating_sub(used_before), now.since(before));
    u32::try_from(used.as_micros() * 1000 / span.as_micros().max(1)).unwrap_or(u32::MAX)
}

/// The processor time of this thread.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid and writable during the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

/// Descriptors that the process may have open: raises the soft RLIMIT_NOFILE to the hard one, as
/// the soft one is kept low for programs that use select(2).
#[must_use]
pub fn descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid and writable during the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return usize::MAX;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` is valid during the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
        limit = raised;
    }
    let most = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX);
    reserve::keep_back(most);
    most
}

/// Binds the calling thread to a core; false if the system refused.
#[must_use]
pub fn pin(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// The cores that the process may use, in order.
#[must_use]
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Runs `future` to its end on the calling thread; what it spawned and has not ended is dropped then.
///
/// # Errors
/// The kernel refused the ring or the epoll instance.
pub fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    reactor::block_on(driver, future)
}

/// A task whose panic stays its own. Not an async block: that would hold the task twice, and a
/// connection's task is most of what an idle connection costs.
struct Guarded<F, P> {
    task: F,
    panicked: Option<P>,
}

impl<F: Future<Output = ()>, P: FnOnce()> Future for Guarded<F, P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `task` is pinned whenever `self` is: it is never moved out of it, and dropped in
        // place. `panicked` is never pinned.
        let (task, panicked) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.task), &mut this.panicked)
        };
        match catch_unwind(AssertUnwindSafe(|| task.poll(context))) {
            Ok(poll) => poll,
            Err(_) => {
                // A task that panicked is not polled again.
                if let Some(panicked) = panicked.take() {
                    panicked();
                }
                Poll::Ready(())
            }
        }
    }
}

/// Starts a task on this worker. A panic in it ends only the task; `panicked` is then called.
#[inline]
pub fn spawn(task: impl Future<Output = ()> + 'static, panicked: impl FnOnce() + 'static) {
    reactor::spawn(Guarded { task, panicked: Some(panicked) });
}

/// Goes behind all tasks that can run: for who has worked for long.
pub async fn give_way() {
    reactor::give_way().await;
}

/// Waits.
pub async fn sleep(span: Duration) {
    reactor::sleep(span).await;
}
