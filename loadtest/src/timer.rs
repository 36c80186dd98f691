//! Waking at an instant, to some microseconds: one timerfd per thread for all who wait. The
//! runtime's own timers count in milliseconds, which is longer than most answers take.

use crate::runtime;
use monoio::net::TcpStream;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// The alarm clock of one thread.
pub struct Timer {
    fd: OwnedFd,
    sleepers: RefCell<BinaryHeap<Reverse<Sleeper>>>,
    armed: Cell<Option<Instant>>,
}

struct Sleeper {
    at: Instant,
    order: u64,
    waker: Waker,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Timer {
    /// A timer that this thread's runtime drives from now on.
    ///
    /// # Errors
    /// If the system grants no timerfd.
    pub fn start() -> io::Result<Rc<Self>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Only readiness is asked of it, which any descriptor can tell.
        let stream = TcpStream::from_std(fd.try_clone()?.into())?;
        let timer = Rc::new(Self { fd, sleepers: RefCell::default(), armed: Cell::new(None) });
        drop(monoio::spawn(drive(Rc::clone(&timer), stream)));
        Ok(timer)
    }

    /// Waits until `at`; returns at once if that is past.
    pub async fn sleep_until(&self, at: Instant) {
        let mut waits = false;
        poll_fn(|context| {
            if runtime::now() >= at {
                return Poll::Ready(());
            }
            if !waits {
                waits = true;
                self.add(at, context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits for `span`.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(runtime::now() + span).await;
    }

    fn add(&self, at: Instant, waker: Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        let order = sleepers.len() as u64;
        sleepers.push(Reverse(Sleeper { at, order, waker }));
        drop(sleepers);
        if self.armed.get().is_none_or(|armed| at < armed) {
            self.arm(at);
        }
    }

    fn arm(&self, at: Instant) {
        self.armed.set(Some(at));
        let span = at.saturating_duration_since(runtime::now()).max(Duration::from_nanos(1));
        let timespec = |span: Duration| Timespec {
            tv_sec: span.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        };
        let new = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(span) };
        // The arguments are always valid; a timer that cannot be set would show as a hang in tests.
        _ = timerfd_settime(self.fd.as_fd(), TimerfdTimerFlags::empty(), &new);
    }

    /// Wakes who is due; true if somebody still waits.
    fn ring(&self) {
        let now = runtime::now();
        self.armed.set(None);
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            match sleepers.peek() {
                Some(Reverse(sleeper)) if sleeper.at <= now => {
                    let due = sleepers.pop();
                    drop(sleepers);
                    if let Some(Reverse(sleeper)) = due {
                        sleeper.waker.wake();
                    }
                }
                Some(Reverse(sleeper)) => {
                    let at = sleeper.at;
                    drop(sleepers);
                    return self.arm(at);
                }
                None => return,
            }
        }
    }
}

/// Runs until the runtime ends.
async fn drive(timer: Rc<Timer>, stream: TcpStream) {
    let mut count = [0; 8];
    while stream.readable(false).await.is_ok() {
        // It says how often the timer fired; another arming may have taken that back.
        _ = rustix::io::read(timer.fd.as_fd(), &mut count);
        timer.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_in_order_and_never_early() {
        let order = runtime::block_on(None, |_| async {
            let timer = Timer::start().unwrap();
            let woken: Rc<RefCell<Vec<u64>>> = Rc::default();
            let start = runtime::now();
            let tasks: Vec<_> = [7, 3, 0, 5, 3]
                .into_iter()
                .map(|millis| {
                    let (timer, woken) = (Rc::clone(&timer), Rc::clone(&woken));
                    monoio::spawn(async move {
                        timer.sleep_until(start + Duration::from_millis(millis)).await;
                        assert!(runtime::now() - start >= Duration::from_millis(millis));
                        woken.borrow_mut().push(millis);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            woken.take()
        });
        assert_eq!(order.unwrap(), [0, 3, 3, 5, 7]);
    }
}
