//! Waiting for a time. A worker has few who do: its sweep, connects, pauses.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::REACTOR;
use crate::clock::{self, Instant};

/// Who waits, the next one first; the number tells those of one instant apart.
pub(super) struct Timers {
    waiting: BTreeMap<(Instant, u64), Waker>,
    number: u64,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), number: 0 }
    }

    /// When somebody is to be woken next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Wakes those whose time has come.
    pub(super) fn fire(&mut self) {
        let now = clock::now();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            first.remove().wake();
        }
    }
}

/// A wait under way.
struct Sleep {
    deadline: Instant,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if clock::now() >= self.deadline {
            return Poll::Ready(());
        }
        REACTOR.with(|reactor| {
            let mut timers = reactor.timers.borrow_mut();
            let number = *self.number.get_or_insert_with(|| {
                timers.number += 1;
                timers.number
            });
            let waker = timers.waiting.entry((self.deadline, number));
            waker.insert_entry(context.waker().clone());
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        // While the loop ends, or its thread, nobody is woken any more.
        _ = REACTOR.try_with(|reactor| {
            if let Ok(mut timers) = reactor.timers.try_borrow_mut() {
                timers.waiting.remove(&(self.deadline, number));
            }
        });
    }
}

/// Waits, never shorter than `span`.
pub(in crate::net) fn sleep(span: Duration) -> impl Future<Output = ()> {
    Sleep { deadline: clock::now().after(span), number: None }
}
