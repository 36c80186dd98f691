//! The loop on both drivers: tasks and timers.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::clock;
use crate::net::driver::RingFlags;
use crate::net::pair::{Either, race};
use crate::net::runtime;

/// Runs `body` on every driver that the host allows.
pub(super) fn on_each(body: impl Fn(Driver)) {
    body(Driver::Epoll);
    for flags in [RingFlags::Deferred, RingFlags::Cooperative, RingFlags::Plain] {
        if flags.builder().build(8).is_ok() {
            body(Driver::IoUring(flags));
        }
    }
}

/// The same for a body that knows no driver.
pub(super) fn run_on_each<F: Future>(body: impl Fn() -> F) {
    on_each(|driver| {
        block_on(driver, body()).unwrap();
    });
}

/// One end in the loop, the other one outside.
pub(super) fn unix_pair() -> (Source, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Source::new(OwnedFd::from(ours)), theirs)
}

/// Waits, as a fresh source may have something until a call says otherwise.
pub(super) async fn wait_to_read(source: &Source) {
    source.exhausted(Side::Read);
    source.wait(Side::Read).await.unwrap();
}

#[test]
fn tasks_run_in_the_order_in_which_they_came() {
    run_on_each(|| async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        for number in 0..3 {
            let seen = Rc::clone(&seen);
            spawn(async move {
                for round in 0..2 {
                    seen.borrow_mut().push((round, number));
                    give_way().await;
                }
            });
        }
        for _ in 0..3 {
            give_way().await;
        }
        let all = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
        assert_eq!(*seen.borrow(), all);
    });
}

#[test]
fn a_task_that_never_rests_holds_up_neither_sockets_nor_timers() {
    run_on_each(|| async {
        spawn(async {
            loop {
                give_way().await;
            }
        });
        let (source, mut theirs) = unix_pair();
        let writer = std::thread::spawn(move || theirs.write_all(b"x").map(|()| theirs));
        wait_to_read(&source).await;
        sleep(Duration::from_millis(2)).await;
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn thousands_of_tasks_come_and_go_and_their_places_are_used_again() {
    run_on_each(|| async {
        let ended = Rc::new(Cell::new(0));
        for round in 1..=5 {
            for number in 0..2000 {
                let ended = Rc::clone(&ended);
                spawn(async move {
                    for _ in 0..number % 3 {
                        give_way().await;
                    }
                    ended.set(ended.get() + 1);
                });
            }
            while ended.get() < round * 2000 {
                give_way().await;
            }
        }
        let places = REACTOR.with(|reactor| reactor.tasks.borrow().places());
        assert_eq!(places, 2000);
    });
}

#[test]
fn who_wakes_a_task_that_has_ended_wakes_nobody() {
    let kept = RefCell::new(Vec::<Waker>::new());
    run_on_each(|| async {
        // Those of an earlier loop.
        kept.borrow_mut().drain(..).for_each(Waker::wake);
        let (waker, polls) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let keep = Rc::clone(&waker);
        spawn(poll_fn(move |context| {
            *keep.borrow_mut() = Some(context.waker().clone());
            Poll::Ready(())
        }));
        give_way().await;
        let count = Rc::clone(&polls);
        spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::Pending
        }));
        give_way().await;
        let late = waker.borrow_mut().take().unwrap();
        late.wake_by_ref();
        for _ in 0..3 {
            give_way().await;
        }
        assert_eq!(polls.get(), 1);
        kept.borrow_mut().push(late);
    });
}

#[test]
fn a_waker_rings_once_however_often_it_is_used() {
    run_on_each(|| async {
        let polls = Rc::new(Cell::new(0));
        let (count, waker) = (Rc::clone(&polls), Rc::new(RefCell::new(None)));
        let keep = Rc::clone(&waker);
        spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            *keep.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        }));
        give_way().await;
        for _ in 0..10 {
            waker.borrow().as_ref().unwrap().wake_by_ref();
        }
        give_way().await;
        give_way().await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_panic_ends_one_task() {
    run_on_each(|| async {
        let panics = Rc::new(Cell::new(0));
        for number in 0..4 {
            let count = Rc::clone(&panics);
            let panicked = move || count.set(count.get() + 1);
            runtime::spawn(
                async move {
                    give_way().await;
                    assert!(number % 2 == 0, "on purpose");
                },
                panicked,
            );
        }
        for _ in 0..3 {
            give_way().await;
        }
        assert_eq!(panics.get(), 2);
    });
}

/// Says when it is dropped, and wakes and spawns as it is.
struct Noisy(Rc<Cell<u32>>, Waker);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        self.1.wake_by_ref();
        spawn(async {});
    }
}

#[test]
fn what_was_spawned_is_dropped_with_the_loop() {
    on_each(|driver| {
        let dropped = Rc::new(Cell::new(0));
        block_on(driver, async {
            for _ in 0..3 {
                let dropped = Rc::clone(&dropped);
                spawn(async move {
                    let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
                    let _noisy = Noisy(dropped, waker);
                    std::future::pending::<()>().await;
                });
            }
            give_way().await;
        })
        .unwrap();
        assert_eq!(dropped.get(), 3);
    });
}

#[test]
fn a_thread_has_one_loop_at_a_time() {
    on_each(|driver| {
        let inner = block_on(driver, async { block_on(driver, async {}).is_err() });
        assert!(inner.unwrap());
        assert!(block_on(driver, async {}).is_ok());
    });
}

#[test]
fn sleepers_wake_in_order_and_never_early() {
    run_on_each(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for millis in [9_u64, 1, 5, 1] {
            let order = Rc::clone(&order);
            spawn(async move {
                let (before, span) = (clock::now(), Duration::from_millis(millis));
                sleep(span).await;
                assert!(clock::now().since(before) >= span);
                order.borrow_mut().push(millis);
            });
        }
        // One that gives up.
        let long = pin!(sleep(Duration::from_secs(3600)));
        let short = pin!(sleep(Duration::from_millis(12)));
        assert!(matches!(race(long, short).await, Either::Second(())));
        while order.borrow().len() < 4 {
            give_way().await;
        }
        assert_eq!(*order.borrow(), [1, 1, 5, 9]);
    });
    REACTOR.with(|reactor| assert!(reactor.timers.borrow().next().is_none()));
}
